"""What a fact is worth, and the words for it in both languages."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest

from kanhu.care.proofs import LIMIT_MS
from kanhu.care.rules.past import Device
from kanhu.install.check import findings, words
from kanhu.install.check.facts import Facts
from kanhu.install.check.findings import Finding
from kanhu_protocol import kinds as k

NOW_MS = 1_790_000_000_000
BUTTON = Device(3, "call", "bedroom", "挂坠", radio=True)
HEARTBEAT: dict[int, Any] = {
    k.FIRMWARE: "0.2.0", k.UTC_MS: NOW_MS - 1000, k.CLOCK: 1, k.LINK: 1, k.RSSI: -60, k.POWER: [True, None],
}  # fmt: skip
WELL = Facts(NOW_MS, 1_080_000, NOW_MS - 1000, {k.FIRMWARE: "0.2.0"}, HEARTBEAT, NOW_MS - 900)


def found(facts: Facts) -> dict[str, tuple[str, str]]:
    return {one.step: (one.what, one.verdict) for one in findings.of_hub(facts)}


def beat(**fields: Any) -> Facts:
    return replace(
        WELL, heartbeat={**HEARTBEAT, **{getattr(k, name): value for name, value in fields.items()}}
    )


def test_a_hub_that_is_well() -> None:
    assert found(WELL) == {
        "hub": ("heard", "good"), "firmware": ("runs", "good"), "clock": ("synced", "good"),
        "link": ("good", "good"), "mains": ("present", "good"),
    }  # fmt: skip
    assert findings.verdict(findings.of_hub(WELL)) == "passed"
    unwired = {one.step: one.what for one in findings.of_hub(WELL, senses_mains=False)}
    assert unwired["mains"] == "not_sensed"  # whatever its heartbeats say


@pytest.mark.parametrize(
    ("facts", "step", "what", "verdict"),
    [
        (replace(WELL, last_ms=NOW_MS - 1_080_001), "hub", "silent", "failed"),
        (replace(WELL, last_ms=None), "hub", "silent", "failed"),
        (replace(WELL, heartbeat=None), "hub", "silent", "failed"),
        (replace(WELL, boot={k.SLOT: [3, 1]}), "firmware", "safe", "failed"),
        (replace(WELL, boot={k.SLOT: [2, 1]}), "firmware", "trial", "remark"),
        (replace(WELL, boot={k.SLOT: [2, 2]}), "firmware", "runs", "good"),
        (
            replace(WELL, heartbeat={a: b for a, b in HEARTBEAT.items() if a != k.UTC_MS}),
            "clock",
            "unknown",
            "failed",
        ),
        (beat(UTC_MS=NOW_MS + 120_000), "clock", "off", "remark"),
        (beat(RSSI=-76), "link", "weak", "remark"),
        (beat(POWER=[False, 80]), "mains", "lost", "failed"),
        (beat(POWER=[None, None]), "mains", "not_sensed", "good"),
        (replace(WELL, alarms=1), "alarm", "stands", "failed"),
        (replace(WELL, faults=[(3, k.SENSOR_SILENT)]), "fault", "stands", "remark"),
    ],
)
def test_what_is_wrong_with_a_hub(facts: Facts, step: str, what: str, verdict: str) -> None:
    assert found(facts)[step] == (what, verdict)


def test_a_fault_that_is_said_elsewhere_is_said_once() -> None:
    assert "fault" not in found(replace(WELL, faults=[(-1, k.MAINS_LOST), (3, k.BATTERY_LOW)]))


def survey(count: int, interval_ms: int | None, median: int = -60, span_ms: int = 60_000) -> dict[str, Any]:
    levels = [median - 5, median, median + 5] if median != 127 else [127] * 3
    return {
        "count": count,
        "span_ms": span_ms,
        "interval_ms": interval_ms,
        "levels_dbm": levels if count else None,
    }


@pytest.mark.parametrize(
    ("heard", "role", "used", "what"),
    [
        (survey(30, 2000), "door", False, "good"),
        (survey(18, 2000), "door", False, "good"),  # just enough of 30
        (survey(17, 2000), "door", False, "weak"),
        (survey(30, 2000, -86), "door", False, "weak"),
        (survey(30, 2000, 127), "door", False, "good"),  # of no known level
        (survey(1, None), "door", False, "good"),
        (survey(1, 20_000), "door", False, "good"),  # one of three says little
        (survey(0, None), "smoke", False, "silent"),
        (None, "smoke", False, "silent"),
        (survey(0, None), "call", True, "only_used"),
        (survey(0, None), "call", False, "silent"),
        (survey(0, None), "blood_pressure", False, "asleep"),
    ],
)
def test_how_a_sensor_was_heard(heard: dict[str, Any] | None, role: str, used: bool, what: str) -> None:
    assert findings.of_sensor(replace(BUTTON, role=role), heard, used).what == what


def test_what_is_due_is_never_less_than_what_came() -> None:
    one = findings.of_sensor(BUTTON, survey(31, 2000), False)
    assert (one.values["count"], one.values["due"], one.values["median_dbm"]) == (31, 31, -60)


@pytest.mark.parametrize(
    ("path", "pressed", "what", "verdict"),
    [
        (None, True, "by_press", "good"),
        (None, False, "not_yet", "remark"),
        ((NOW_MS - 1000, 800, 0), False, "proven", "good"),
        ((NOW_MS - LIMIT_MS - 1, 800, 0), False, "late", "remark"),
        ((NOW_MS, 800, 2), True, "failed", "failed"),
        ((0, 0, 1), False, "failed", "failed"),
    ],
)
def test_the_daily_test_call(
    path: tuple[int, int, int] | None, pressed: bool, what: str, verdict: str
) -> None:
    one = findings.path(replace(WELL, path=path), pressed)
    assert (one.what, one.verdict) == (what, verdict)


def test_a_press_and_its_receipts() -> None:
    proof = {
        "state": "delivered", "happened_ms": NOW_MS, "stored_ms": NOW_MS + 200, "delivered_ms": NOW_MS + 900,
        "why": "", "code": "",
    }  # fmt: skip
    assert findings.of_press(BUTTON, proof).values == {"at_ms": NOW_MS, "stored_ms": 200, "delivered_ms": 900}
    ahead = findings.of_press(BUTTON, {**proof, "happened_ms": NOW_MS + 500})  # the hub's clock
    assert ahead.values["stored_ms"] == 0
    unknown = findings.of_press(BUTTON, {**proof, "happened_ms": None})
    assert unknown.values == {"at_ms": NOW_MS + 200, "stored_ms": 0, "delivered_ms": 700}
    late = findings.of_press(BUTTON, {**proof, "state": "failed", "why": "nothing came", "code": "nothing"})
    assert (late.verdict, words.said(late, "en")) == ("failed", "not proven: nothing came")
    assert "nothing" not in words.said(late, "zh")


def test_verdicts() -> None:
    good, remark, failed, skipped = (
        Finding("sensor", "good", verdict)  # type: ignore[arg-type]
        for verdict in ("good", "remark", "failed", "skipped")
    )
    assert findings.verdict([good, good]) == "passed"
    assert findings.verdict([good, remark]) == "passed_with_remarks"
    assert findings.verdict([good, skipped]) == "passed_with_remarks"
    assert findings.verdict([remark, failed, good]) == "failed"


def test_both_languages_say_the_same_values() -> None:
    for key, both in (words.SAID | words.TRY).items():
        en, zh = ({name for _, name, _, _ in string.Formatter().parse(text) if name} for text in both)
        assert en == zh, key
        assert all(both), key
    assert words.TRY.keys() <= words.SAID.keys()
    assert {step for step, _ in words.SAID} == words.STEPS.keys()


def test_names_of_sensors() -> None:
    assert words.title(BUTTON, "en") == "bedroom · 挂坠"
    assert words.title(BUTTON, "zh") == "卧室 · 挂坠"
    assert words.title(replace(BUTTON, name="", room=""), "en").endswith(" 3")
