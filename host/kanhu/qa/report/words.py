"""The sentences at the top of the report, in English and Chinese."""

from __future__ import annotations

from typing import NamedTuple

from kanhu.qa.model import BROKEN, Run
from kanhu.qa.report.sums import counts, promises


class Words(NamedTuple):
    """One thing said twice."""

    en: str
    zh: str


VERDICTS = {
    "passed": Words("Passed", "通过"),
    "failed": Words("Failed", "未通过"),
    "interrupted": Words("Interrupted", "已中断"),
    "nothing ran": Words("Nothing ran", "未运行"),
}
OUTCOMES = {
    "passed": Words("passed", "通过"),
    "failed": Words("failed", "失败"),
    "error": Words("error", "出错"),
    "skipped": Words("skipped", "跳过"),
    "quarantined": Words("quarantined", "隔离"),
    "flaky": Words("flaky", "不稳定"),
}
STATES = {
    "kept": Words("kept", "兑现"),
    "broken": Words("broken", "违背"),
    "in doubt": Words("in doubt", "存疑"),
    "not tried": Words("not tried", "未测"),
}
SIMULATED = Words(
    "No real board took part. This run says nothing about radio range, brown-outs of a real supply, wear of "
    "real flash, the heap of a real chip, or the electrical behaviour of wires and contacts: these need "
    "--target usb with boards on a bench.",
    "本次运行未使用真实电路板。它不能说明：无线覆盖范围、真实电源的欠压、真实闪存的磨损、真实芯片的堆内存，"
    "以及导线和触点的电气特性。这些须在接有实物的测试台上以 --target usb 验证。",
)
REAL = Words(
    "Real boards took part. It speaks of these boards, cables and this supply on this day; what the bench "
    "could not do is listed as skipped.",
    "本次运行使用了真实电路板。结论仅适用于这些电路板、线缆、电源及当日条件；测试台做不到的项目列为“跳过”。",
)


def limits_of(run: Run) -> Words:
    """What a run of this kind does not prove."""
    return SIMULATED if run.simulated else REAL


def sentence(run: Run) -> Words:
    """The verdict's reason, in one breath."""
    found = counts(run)
    bad = sum(found.get(one, 0) for one in BROKEN)
    ran = len(run.tests) - found.get("skipped", 0)
    states = [one.state for one in promises(run)]
    broken = [one.id for one in promises(run) if one.state == "broken"]
    en, zh = [], []
    if run.interrupted:
        en.append(f"the run ended early ({run.interrupted})")
        zh.append(f"运行提前结束（{run.interrupted}）")
    if run.problems:
        n = len(run.problems)
        en.append(f"{n} {'problem' if n == 1 else 'problems'} of the run itself")
        zh.append(f"运行本身有 {n} 个问题")
    if bad:
        en.append(f"{bad} of {ran} tests that ran failed")
        zh.append(f"已运行的 {ran} 项测试中 {bad} 项失败")
    elif ran:
        quarantined = found.get("quarantined", 0)
        if quarantined:
            en.append(
                f"{ran - quarantined} of {ran} tests that ran passed, {quarantined} failed in quarantine"
            )
            zh.append(f"已运行的 {ran} 项测试中 {ran - quarantined} 项通过，{quarantined} 项在隔离中失败")
        else:
            en.append("the one test that ran passed" if ran == 1 else f"all {ran} tests that ran passed")
            zh.append(f"已运行的 {ran} 项测试全部通过")
    else:
        en.append("no test ran")
        zh.append("没有测试运行")
    if broken:
        en.append(f"{'promise' if len(broken) == 1 else 'promises'} {', '.join(broken)} broken")
        zh.append(f"违背承诺 {'、'.join(broken)}")
    elif states:
        en.append(f"{states.count('kept')} of {len(states)} promises kept, none broken")
        zh.append(f"{len(states)} 项承诺中 {states.count('kept')} 项兑现，无违背")
    said = "; ".join(en)
    return Words(f"{said[:1].upper()}{said[1:]}.", f"{'；'.join(zh)}。")
