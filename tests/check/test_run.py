"""The check as an installer goes through it, with a daemon that the test plays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kanhu.care.rules.past import Device
from kanhu.cli.check_screen import Screen
from kanhu.errors import DataError
from kanhu.install.check import facts, run, words
from kanhu.install.check.findings import Finding
from kanhu_protocol import kinds as k

HUB = "7m3k0xq2fz"
NOW_MS = 1_790_000_000_000
BUTTON, HALL = Device(1, "call", "bedroom", ""), Device(2, "motion", "hall", "")
DOOR = Device(3, "door", "hall", "", radio=True)
PLAN = run.Plan(Path(), HUB, (BUTTON, HALL, DOOR), "en", 60, 120)
FACTS = facts.Facts(
    NOW_MS, 1_000_000, NOW_MS, {}, {k.UTC_MS: NOW_MS, k.CLOCK: 1, k.LINK: 2, k.POWER: [True, None]}, NOW_MS,
    batteries={3: 80},
)  # fmt: skip
PROOF = {
    "state": "ready", "why": "", "code": "", "ends_ms": NOW_MS, "happened_ms": NOW_MS,
    "stored_ms": NOW_MS + 5, "delivered_ms": NOW_MS + 9,
}  # fmt: skip
HEARD = {"device": 3, "count": 30, "span_ms": 60_000, "interval_ms": 2000, "levels_dbm": [-70, -60, -50]}


class Daemon:
    """Answers as it is told to; a second goes by with each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.facts = FACTS
        self.survey: dict[str, Any] = {"state": "running", "why": "", "heard": []}
        self.seen_after = 5.0
        self.survey_after = 60.0
        self.proofs = ["ready", "stored", "delivered"]
        monkeypatch.setattr(run.requests, "ask", self.ask)
        monkeypatch.setattr(run.facts, "read", lambda folder, hub: self.facts)
        monkeypatch.setattr(run.time, "sleep", self.sleep)
        monkeypatch.setattr(run.time, "monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += 1

    def ask(self, folder: Path, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        self.asked.append(do)
        answer: Callable[[], dict[str, Any]] = getattr(self, do.replace(".", "_"))
        return answer()

    def check_survey(self) -> dict[str, Any]:
        return {"state": "asked", "why": "", "heard": []}

    def check_surveyed(self) -> dict[str, Any]:
        return (
            {**self.survey, "state": "done", "heard": [HEARD]}
            if self.now >= self.survey_after
            else self.survey
        )

    def check_walk(self) -> dict[str, Any]:
        return {"seen": []}

    def check_walked(self) -> dict[str, Any]:
        seen = [{"hub": "0000000000", "device": 2, "count": 9}]  # another hub of the home
        if self.now >= self.seen_after:
            seen.append({"hub": HUB, "device": 2, "count": 1})
        return {"seen": seen}

    def pair_prove(self) -> dict[str, Any]:
        return {**PROOF, "state": "asked"}

    def pair_proof(self) -> dict[str, Any]:
        return {**PROOF, "state": self.proofs.pop(0), "why": "nothing came", "code": "nothing"}

    def pair_close(self) -> dict[str, Any]:
        return {}


class Installer:
    """Reads what is said; tries again so many times."""

    def __init__(self, tries: int = 0) -> None:
        self.said: list[str] = []
        self.questions: list[str] = []
        self._tries = tries

    def now(self, text: str) -> None:
        self.said.append(text)

    def found(self, finding: Finding, device: Device | None) -> None:
        self.said.append(f"found {finding.step} {finding.what}")

    def again(self, question: str) -> bool:
        self.questions.append(question)
        self._tries -= 1
        return self._tries >= 0


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Daemon:
    return Daemon(monkeypatch)


def whats(found: list[Finding]) -> dict[str, str]:
    return {one.step: one.what for one in found}


def test_all_in_its_order(daemon: Daemon) -> None:
    installer = Installer()
    found = run.run(PLAN, installer)
    assert whats(found) == {
        "hub": "heard", "firmware": "runs", "clock": "synced", "link": "other", "mains": "present",
        "walk": "seen", "press": "answered", "sensor": "good", "battery": "good", "path": "by_press",
    }  # fmt: skip
    assert any("now walk past: hall · Movement sensor (1" in one for one in installer.said)
    assert any("now press once: bedroom · Call button" in one for one in installer.said)
    assert any("waiting for the centre" in one for one in installer.said)
    assert 60 <= daemon.now < 80  # the walk is in the survey's minute
    assert not installer.questions


def test_who_does_not_come_is_waited_for_and_no_longer(daemon: Daemon) -> None:
    daemon.seen_after = 1e9
    daemon.proofs = ["ready", "failed"]
    installer = Installer()
    found = run.run(PLAN, installer)
    assert whats(found)["walk"] == "not_seen"
    cure = words.cure(next(one for one in found if one.step == "walk"), "en")
    assert "kanhu registry hub settings HUB pirs=[]" in cure
    assert whats(found)["press"] == "failed"
    assert 120 <= daemon.now < 130
    (question,) = installer.questions
    assert question.startswith("bedroom · Call button: not proven: nothing came. Once more?")


def test_a_second_try_counts(daemon: Daemon) -> None:
    daemon.proofs = ["failed", "failed", "ready", "delivered"]
    assert whats(run.run(PLAN, Installer(tries=2)))["press"] == "answered"
    assert daemon.asked.count("pair.prove") == 3


def test_who_goes_away_leaves_no_press_that_is_a_test(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    daemon.pair_proof = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        run.run(PLAN, Installer())
    assert daemon.asked[-1] == "pair.close"


@pytest.mark.parametrize("alarms", [0, 1])
def test_nothing_is_asked_of_a_hub_that_is_silent_or_has_an_alarm(daemon: Daemon, alarms: int) -> None:
    daemon.facts = replace(FACTS, alarms=1) if alarms else replace(FACTS, last_ms=None)
    found = run.run(PLAN, Installer())
    assert not daemon.asked
    assert found[-1].verdict == "failed"
    assert (daemon.now >= run.START_S) is not bool(alarms)  # a hub that was just plugged in has its time


def test_a_survey_that_fails_and_what_is_left_out(daemon: Daemon) -> None:
    daemon.survey = {"state": "failed", "why": "the hub has restarted", "heard": []}
    daemon.survey_after = 1e9
    plan = replace(PLAN, skips={"walk": "night", "press:1": "out"})
    found = run.run(plan, Installer())
    assert "check.walk" not in daemon.asked
    assert "pair.prove" not in daemon.asked
    assert [(one.step, one.what) for one in found[5:8]] == [
        ("walk", "skipped"),
        ("press", "skipped"),
        ("survey", "failed"),
    ]
    assert found[5].values == {"reason": "night"}
    daemon.asked.clear()
    found = run.run(replace(PLAN, skips={"survey": "no time"}), Installer())
    assert "check.survey" not in daemon.asked
    assert Finding("survey", "skipped", "skipped", 3, {"reason": "no time"}) in found


def test_a_home_without_a_button_cannot_pass(daemon: Daemon) -> None:
    found = run.run(replace(PLAN, devices=(DOOR,)), Installer())
    assert Finding("press", "none", "failed") in found


def test_a_daemon_that_goes_is_one_sentence(daemon: Daemon) -> None:
    def gone() -> dict[str, Any]:
        raise DataError("no daemon answers")

    daemon.check_surveyed = gone  # type: ignore[method-assign]
    with pytest.raises(DataError, match="no daemon answers"):
        run.run(PLAN, Installer())


def test_in_a_pipe_each_line_comes_once(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    with Screen("en") as screen:
        run.run(PLAN, screen)
    lines = capsys.readouterr().out.splitlines()
    assert sum("now walk past" in line for line in lines) == 1
    assert sum("listens to its sensors" in line for line in lines) == 1
    assert "✓ Signal hall · Door sensor: 30 of 30 beacons in 60 s, -60 dBm" in lines
    assert not any("\x1b" in line for line in lines)
