"""A page for the family: what is installed, what to do, what the lamp says, and that it was tried."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from kanhu import label as links
from kanhu.care.rules.past import Device
from kanhu.care.rules.values import Words
from kanhu.config import Web
from kanhu.install.firmware import source_dir
from kanhu.install.labels import qr
from kanhu.install.paper import Box, Code, Page, Text, pdf, wrapped
from kanhu.install.paper.shapes import A4
from kanhu.registry import Registry
from kanhu.registry.families import Families
from kanhu_protocol import names

from . import words
from .findings import Finding, verdict
from .signing import Installer, now_ms

LEFT, RIGHT = 16.0, A4[0] - 16.0  # mm
WIDTH = RIGHT - LEFT
DARK, GREY, LINE, PALE, GREEN, AMBER, RED = (
    "#111111", "#555555", "#bbbbbb", "#f2f2f2", "#1a6b3c", "#8a5a00", "#a32020"
)  # fmt: skip
STEPS = 20  # of a lamp's pattern, 100 ms each (firmware/kanhu_hub/indicator.py)
# In the order in which an elder meets them.
SHOWN = ("well", "heard", "delivered", "unanswered", "accepted", "coming", "asking", "cannot_tell", "fault")
MAX_LINES = 9  # of installed things: one page stays one page
PHONES = 3

TITLE = Words("Your call for help at home", "家里的紧急呼叫")
PRESS = Words("When you need help, press the button.", "需要帮助时，按一下按钮。")
HELD = Words(
    "Once is enough. Watch the lamp: it says how far your call has come. Press again whenever you want.",
    "按一次就够了。看灯就知道呼叫到了哪一步。想再按随时可以。",
)
INSTALLED = Words("What is installed", "安装了什么")
LAMP = Words("What the lamp says (two seconds, then again)", "指示灯的含义（每 2 秒重复）")
TRIED = Words("Tried", "已测试")
CENTRE = Words(
    "A test call went to the centre and was confirmed in {seconds} s.",
    "测试呼叫到达中心并得到确认，用时 {seconds} 秒。",
)
NO_CENTRE = Words("No test call has come through yet.", "测试呼叫尚未送达。")
SCAN = Words("Family: scan to see that all is well", "家人：扫码看平安")
BY = Words("Checked by", "验收人")
ON = Words("on", "日期")
CALLS = Words("Telephone numbers", "联系电话")
MORE = Words("and {count} more", "另有 {count} 个")
TO_DO = Words("Still to be done", "待处理")
HUB = Words("Hub", "主机")
# For a family, what an installer reads in figures
PLAIN = {
    ("sensor", "weak"): Words("weak signal", "信号弱"), ("sensor", "silent"): Words("no signal", "无信号"),
    ("sensor", "only_used"): Words("battery not watched", "电量无法监测"),
    ("battery", "low"): Words("battery low", "电量低"), ("link", "weak"): Words("weak Wi-Fi", "Wi-Fi 信号弱"),
    ("press", "failed"): Words("test press failed", "按钮测试未通过"),
    ("walk", "not_seen"): Words("has not seen anybody", "没有感应到人"),
    ("mains", "lost"): Words("not plugged in", "未接电源"), ("path", "not_yet"): Words("not yet", "尚未进行"),
    ("hub", "silent"): Words("no signal", "无信号"), ("press", "none"): Words("no button", "没有按钮"),
}  # fmt: skip
STATES = {"good": GREEN, "remark": AMBER, "skipped": AMBER, "failed": RED, "untested": GREY}
COLOURS = {"passed": GREEN, "passed_with_remarks": AMBER, "failed": RED}


@dataclass(frozen=True)
class Sheet:
    """What the page says."""

    hub: str
    lang: words.Lang
    at: str  # the home's local date
    devices: tuple[Device, ...]
    findings: tuple[Finding, ...]
    installer: str
    phones: tuple[str, ...]
    link: str  # of the families' page; empty: none that a telephone could open
    asks: bool = False  # it has a cancel key


def of(
    registry: Registry, web: Web, hub: str, findings: Sequence[Finding], who: Installer | None,
    lang: words.Lang, lab: bool = False,
) -> Sheet:  # fmt: skip
    """Gather it; the hub's label is made when there is none."""
    home = registry.home(registry.hub(hub).home)
    try:
        links.link(web, "", lab)
        link = links.link(web, Families(registry).label(hub), lab)
    except links.LabelError:
        link = ""
    at = datetime.fromtimestamp(now_ms() / 1000, ZoneInfo(home.time_zone))
    date = f"{at.year}年{at.month}月{at.day}日" if lang == "zh" else f"{at.day} {at:%B %Y}"
    return Sheet(
        hub, lang, date, tuple(registry.devices_of(hub)), tuple(findings), who.name if who else "",
        home.phones[:PHONES], link, registry.settings(hub).get("cancel") is not None,
    )  # fmt: skip


def pdf_of(sheet: Sheet) -> bytes:
    """The page as a PDF."""
    return pdf([page(sheet)], words.pick(TITLE, sheet.lang))


def page(sheet: Sheet) -> Page:
    """The page, A4."""
    made = Page(*A4)
    bottom = _head(made, sheet)
    bottom = _press(made, sheet, bottom + 8)
    bottom = _lamp(made, sheet, bottom + 9)
    bottom = _installed(made, sheet, bottom + 9)
    _foot(made, sheet)
    return made


def _head(made: Page, sheet: Sheet) -> float:
    result = verdict(sheet.findings)
    text = words.pick(words.VERDICTS.get(result, words.VERDICTS["failed"]), sheet.lang)
    made.add(
        Text(LEFT, 24, 10, words.pick(TITLE, sheet.lang), fit=118, bold=True),
        Text(
            LEFT, 31, 4.2, f"Kanhu 看护 · {words.pick(HUB, sheet.lang)} {sheet.hub} · {sheet.at}", colour=GREY
        ),
        Box(RIGHT - 52, 14.5, 52, 12, line=COLOURS[result], line_width=0.7, radius=2),
        Text(RIGHT - 26, 22.4, 5.2, text, "middle", 48, bold=True, colour=COLOURS[result]),
        Box(LEFT, 34.5, WIDTH, 0.4, DARK),
    )
    return 34.9


def _press(made: Page, sheet: Sheet, top: float) -> float:
    lang = sheet.lang
    callers = [words.title(one, lang) for one in sheet.devices if one.role == "call"]
    made.add(Text(LEFT, top + 7, 9.5, words.pick(PRESS, lang), fit=WIDTH, bold=True))
    y = top + 15
    for line in wrapped(words.pick(HELD, lang), 5.2, WIDTH):
        made.add(Text(LEFT, y, 5.2, line))
        y += 7
    if callers:
        made.add(Text(LEFT, y + 1, 5.2, " · ".join(callers), fit=WIDTH, colour=GREY))
        y += 7
    return y - 4


def _lamp(made: Page, sheet: Sheet, top: float) -> float:
    patterns = lamp_patterns()
    _heading(made, words.pick(LAMP, sheet.lang), top)
    y = top + 6
    cell = 2.6
    for name in SHOWN if sheet.asks else (name for name in SHOWN if name != "asking"):
        pattern = patterns[name].ljust(STEPS, ".")
        made.add(Box(LEFT - 0.6, y - 0.4, STEPS * cell + 1.2, 5.2, PALE, radius=1))
        for first, length in _lit(pattern):
            made.add(Box(LEFT + first * cell, y + 0.2, length * cell, 4.0, DARK, radius=0.6))
        english, chinese = names.LAMP[name]
        text = chinese if sheet.lang == "zh" else english[:1].upper() + english[1:]
        x = LEFT + STEPS * cell + 5
        made.add(Text(x, y + 4.2, 6.0, text, fit=RIGHT - x))
        y += 8.2
    return y - 2


def _installed(made: Page, sheet: Sheet, top: float) -> float:
    lang = sheet.lang
    column = (WIDTH - 8) / 2
    right = LEFT + column + 8
    _heading(made, words.pick(INSTALLED, lang), top)
    _heading(made, words.pick(TRIED, lang), top, right, column)
    y = top + 7
    shown = sheet.devices if len(sheet.devices) <= MAX_LINES else sheet.devices[: MAX_LINES - 1]
    for device in shown:
        state = _state(sheet, device)
        made.add(
            Text(LEFT, y + 1, 5.0, words.title(device, lang), fit=column - 22),
            Text(LEFT + column, y + 1, 4.2, words.pick(words.VERDICTS[state], lang), "end",
                 colour=STATES[state]),
        )  # fmt: skip
        y += 6.6
    if len(shown) < len(sheet.devices):
        made.add(
            Text(LEFT, y + 1, 4.6, words.pick(MORE, lang, count=len(sheet.devices) - len(shown)), colour=GREY)
        )
        y += 6.6
    at = top + 7
    for line in wrapped(_centre(sheet), 5.0, column):
        made.add(Text(right, at + 1, 5.0, line))
        at += 6.6
    left = [one for one in sheet.findings if one.verdict == "failed"]
    left += [one for one in sheet.findings if one.verdict == "remark"]
    if left:
        at += 2
        made.add(Text(right, at + 1, 4.6, words.pick(TO_DO, lang), bold=True))
        at += 6
        for one in left[:5]:
            made.add(Text(right, at + 1, 4.6, "· " + _line(sheet, one), fit=column))
            at += 6.0
        if len(left) > 5:
            made.add(Text(right, at + 1, 4.0, words.pick(MORE, lang, count=len(left) - 5), colour=GREY))
    return max(y, at)


def _foot(made: Page, sheet: Sheet) -> None:
    lang = sheet.lang
    top, side = 243.0, 34.0
    made.add(Box(LEFT, top - 5, WIDTH, 0.4, DARK))
    x = LEFT
    if sheet.link:
        code = qr(sheet.link)
        made.add(
            Code(LEFT, top, side, code.rows),
            *(
                Text(LEFT + side / 2, top + side + 6 + 5 * number, 4.0, line, "middle")
                for number, line in enumerate(wrapped(words.pick(SCAN, lang), 4.0, side + 2))
            ),
        )
        x = LEFT + side + 14
    made.add(Text(x, top + 4, 4.8, words.pick(CALLS, lang), bold=True))
    for number in range(PHONES):
        y = top + 13 + 9.5 * number
        if number < len(sheet.phones):
            made.add(Text(x, y, 6.4, sheet.phones[number], fit=64))
        made.add(Box(x, y + 1.6, 66, 0.2, LINE))
    x = RIGHT - 54
    made.add(
        Text(x, top + 4, 4.8, words.pick(BY, lang), bold=True),
        Text(x, top + 13, 5.2, sheet.installer, fit=54),
        Box(x, top + 14.6, 54, 0.2, LINE),
        Text(x, top + 22, 4.2, sheet.at, colour=GREY),
    )


def _heading(made: Page, text: str, top: float, left: float = LEFT, width: float = WIDTH) -> None:
    made.add(Text(left, top, 5.4, text, fit=width, bold=True), Box(left, top + 2, width, 0.25, LINE))


def _state(sheet: Sheet, device: Device) -> str:
    found = {one.verdict for one in sheet.findings if one.device == device.index}
    for state in ("failed", "remark", "skipped"):
        if state in found:
            return state
    return "good" if found else "untested"


def _centre(sheet: Sheet) -> str:
    spans = [
        one.values["delivered_ms"] for one in sheet.findings if (one.step, one.what) == ("press", "answered")
    ]
    spans += [one.values["span_ms"] for one in sheet.findings if (one.step, one.what) == ("path", "proven")]
    if not spans:
        return words.pick(NO_CENTRE, sheet.lang)
    return words.pick(CENTRE, sheet.lang, seconds=f"{max(0.1, spans[0] / 1000):.1f}")


def _line(sheet: Sheet, finding: Finding) -> str:
    device = next((one for one in sheet.devices if one.index == finding.device), None)
    step = words.pick(words.STEPS[finding.step], sheet.lang)
    whose = words.title(device, sheet.lang) if device is not None else step
    plain = PLAIN.get((finding.step, finding.what))
    what = words.pick(plain, sheet.lang) if plain else words.pick(words.VERDICTS[finding.verdict], sheet.lang)
    return f"{whose}{'：' if sheet.lang == 'zh' else ': '}{what}"


def _lit(pattern: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at, step in enumerate(pattern):
        if step == "#" and found and sum(found[-1]) == at:
            found[-1] = found[-1][0], found[-1][1] + 1
        elif step == "#":
            found.append((at, 1))
    return found


def lamp_patterns() -> dict[str, str]:
    """The lamp's part of PATTERNS in the firmware that this host ships."""
    tree = ast.parse((source_dir() / "kanhu_hub" / "indicator.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PATTERNS":
            return {name: lamp for name, (lamp, _) in ast.literal_eval(node.value).items()}
    raise LookupError("the firmware has no PATTERNS")
