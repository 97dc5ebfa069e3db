"""A made-up run of the suite with everything a report can show; seeded: pages and tests agree on it."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kanhu.qa.history import Entry
from kanhu.qa.model import (
    BoardInfo,
    Calls,
    Mark,
    Measure,
    Outcome,
    Quarantine,
    Run,
    Span,
    Test,
)
from kanhu.qa.promises import load

PROMISES = Path(__file__).parents[1] / "hil_tests/promises.toml"
TRIED = tuple(
    f"{area}-{number:02}" for area, last in (("D", 14), ("L", 8), ("A", 4)) for number in range(1, last + 1)
)
UNTRIED = tuple(f"{area}-{number:02}" for area, last in (("P", 4), ("U", 6)) for number in range(1, last + 1))
BEGAN = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC)
TESTS = {
    "smoke": ("press_reaches_the_platform", "lamp_says_heard", "motion_is_seen", "mains_cut_is_told"),
    "latency": ("press_to_platform", "press_to_lamp", "press_while_the_uplink_is_slow"),
    "faults": tuple(
        f"no_call_is_lost_during[{fault}]"
        for fault in ("cut", "stall", "reset", "slow", "mute_broker", "daemon_kill", "disk_full", "power_cut")
    ),
    "release": (
        "a_heard_press_survives_a_power_cut", "replay_state_survives", "ticks_wrap", "alarm_is_said_again",
        "stuck_pir_is_a_fault", "log_does_not_break_frames", "resend_is_no_second_call",
        "no_update_during_an_alarm", "radio_range", "brown_out",
    ),
    "soak": ("thirty_minutes_of_faults",),
}  # fmt: skip
LINES = (
    "I (312) boot: kanhu 0.1.0 slot a", "wifi: 192.168.4.2", "mqtt: connected", "press line=button n=41",
    "outbox: 1 waits", "stored 41", "heap free 98432", "W uplink: ack late, again in 2 s",
    "\x1b[33mpir stuck?\x1b[0m",
)  # fmt: skip


def example(seed: int = 1, *, broken: bool = True, slower: float = 1.0) -> Run:
    """A release run on two simulated boards; broken: two tests fail."""
    chance = random.Random(seed)
    texts = {one: promise.text for one, promise in load(PROMISES).items()}
    promises = {one: texts.get(one, f"A promise that is made no more, {one}.") for one in (*TRIED, *UNTRIED)}
    run = Run(
        id=f"{BEGAN:%Y%m%dT%H%M%SZ}", started_utc=BEGAN, target="sim", seed=4711, promises=promises,
        host_version="0.1.0", git="4886e46ab1f0c1e38a6d5f6b2d7c0f9e8a7b6c5d", python="3.12.9",
        platform="Linux-6.8.0-x86_64-with-glibc2.39",
        command=["pytest", "hil_tests", "--target", "sim", "-m", "release", "--seed", "4711"],
        boards=[
            BoardInfo(
                name=name, role=role, chip="ESP32-D0WD-V3 (revision v3.1)", mac=f"24:0a:c4:00:00:a{number}",
                port=f"rfc2217://127.0.0.1:447{number}", firmware_version="0.1.0", simulated=True,
                firmware_sha256=hashlib.sha256(role.encode()).hexdigest(), micropython="1.28.0",
            )
            for number, (name, role) in enumerate((("hub", "hub"), ("stimulus", "stimulus")))
        ],
        notes=["12 tests were not chosen (-m, -k)"],
    )  # fmt: skip
    at, heap, number = 9.0, 98_000.0, 0
    for suite, names in TESTS.items():
        for name in names:
            test = Test(
                id=f"hil_tests/{suite}/test_{suite}.py::test_{name}", suite=suite, started_s=at,
                title=f"{name.replace('_', ' ').capitalize()}.", promises=[TRIED[number % len(TRIED)]],
                markers=["needs", "release"],
            )  # fmt: skip
            heap = _fill(test, chance, heap, slower)
            run.tests.append(test)
            at += test.duration_s + 0.2
            number += 1
    _end(run, chance, broken)
    run.ended_utc = BEGAN + timedelta(seconds=at)
    run.verdict = run.judge()
    return run


def _fill(test: Test, chance: random.Random, heap: float, slower: float) -> float:
    long = test.suite == "soak"
    call = 1200.0 if long else chance.uniform(2, 22)
    test.phases = {"setup": chance.uniform(0.1, 1.4), "call": call, "teardown": chance.uniform(0.05, 0.6)}
    test.duration_s = sum(test.phases.values())
    presses = 240 if long else chance.randint(2, 9)
    begin = test.phases["setup"]
    took = [slower * (0.35 + chance.lognormvariate(-1.2, 0.55)) for _ in range(presses)]
    if "[" in test.id or long:
        for _ in range(14 if long else 1):
            start = begin + chance.uniform(0.1, 0.6) * call
            name = test.id.partition("[")[2].rstrip("]") or chance.choice(
                ("cut", "stall", "power_cut", "reset")
            )
            test.faults.append(Span(name=name, begin_s=start, end_s=start + 0.06 * call, detail="hub 0"))
        test.seed = 4711
        test.schedule = [
            {"at_s": round(one.begin_s, 3), "action": one.name, "hub": 0, "for_s": 2.0} for one in test.faults
        ]
    for number, seconds in enumerate(took):
        press = begin + call * (number + 0.5) / (presses + 1)
        for name, after in (("press", 0.0), ("heard", 0.08), ("stored", seconds)):
            test.marks.append(Mark(name=name, at_s=press + after, detail=f"call {number}"))
    test.calls = Calls(pressed=presses, arrived=presses)
    for number in range(300 if long else 12):
        heap = min(104_000, max(82_000, heap + chance.uniform(-1500, 1480)))
        point = (test.duration_s * number / (300 if long else 12), round(heap))
        test.series.setdefault("heap free (B)", []).append(point)
    if test.suite in ("latency", "soak", "smoke"):
        name = "press to lamp" if "lamp" in test.id else "press to platform"
        share = 0.3 if "lamp" in name else 1.0
        many = [share * slower * (0.35 + chance.lognormvariate(-1.2, 0.55)) for _ in range(60)]
        many = took if long else many
        value = sorted(many)[-max(1, len(many) // 20)]
        test.measures.append(
            Measure(
                name=name, value=value, unit="s", limit=4.0, passed=value <= 4, statistic="p95", samples=many
            )
        )
    low = min(value for _, value in test.series["heap free (B)"])
    test.measures.append(
        Measure(
            name="lowest free heap", value=low, unit="B", limit=40_000, at_most=False, passed=low >= 40_000
        )
    )
    test.log = {
        "hub": "\n".join(f"[{n * 0.37:9.3f}] {chance.choice(LINES)}" for n in range(40)),
        "daemon": "\n".join(f"{n} intake: stored hub=h1 n={n}" for n in range(12)),
    }
    return heap


def _end(run: Run, chance: random.Random, broken: bool) -> None:
    by = {test.id.partition("::test_")[2]: test for test in run.tests}
    for name in ("radio_range", "brown_out"):
        test = by[name]
        test.outcome, test.calls, test.measures, test.marks, test.series = "skipped", None, [], [], {}
        test.log, test.phases = {}, {"setup": 0.001, "teardown": 0.001}
        test.message = f"this bench has no {name}: run --target usb with real boards"
    shaky = by["ticks_wrap"]
    shaky.outcome, shaky.message = "quarantined", "the lamp showed nothing for 41.2 s, expected 'well'"
    shaky.quarantine = Quarantine(
        test=shaky.id, owner="Li Wei", reason="the simulated clock drifts under load", until="2026-04-01"
    )
    by["motion_is_seen"].outcome = "flaky"
    by["motion_is_seen"].attempts = 2
    by["motion_is_seen"].message = "passed at attempt 2; before: no motion within 15 s"
    if not broken:
        return
    lost = by["a_heard_press_survives_a_power_cut"]
    lost.outcome = "failed"
    lost.message = "press 3 was called heard at 4.21 s and never reached the platform (waited 60 s)"
    lost.details = (
        "def test_a_heard_press_survives_a_power_cut(hub, platform, fault):\n"
        ">       assert platform.calls(hub) == pressed\n"
        "E       AssertionError: press 3 <b>was</b> called heard\n"
        f"PROMISE BROKEN {lost.promises[0]}: {run.promises[lost.promises[0]]}\n"
    )
    lost.calls = Calls(pressed=6, arrived=5, lost=1)
    lost.faults = [Span(name="power_cut", begin_s=4.4, end_s=6.1), Span(name="stall", begin_s=6.0)]
    error = by["resend_is_no_second_call"]
    error.outcome, error.message = (
        "error",
        "the hub was left with an open alarm: A-17 did not close within 30 s",
    )
    error.details = "E   Failed: the hub was left with an open alarm"
    error.sections = {"Captured log call": "WARNING proxy: connection reset by peer"}


def past(run: Run, runs: int = 25, seed: int = 5) -> list[Entry]:
    """Runs before that one, in which two tests were not always of one mind."""
    chance = random.Random(seed)
    found = []
    for number in range(runs):
        outcomes: dict[str, Outcome] = {test.id: "passed" for test in run.tests if test.outcome != "skipped"}
        for name, share in (("ticks_wrap", 0.3), ("motion_is_seen", 0.12)):
            if chance.random() < share:
                outcomes[next(one for one in outcomes if name in one)] = "failed"
        found.append(
            Entry(
                id=f"run{number:02}", started_utc=BEGAN - timedelta(hours=6 * (runs - number)), target="sim",
                git=f"{number // 4:040x}", firmware="f" * 64, outcomes=outcomes,
                verdict="failed" if "failed" in outcomes.values() else "passed",
            )
        )  # fmt: skip
    return found
