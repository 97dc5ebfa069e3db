"""Lamp and buzzer: whatever a person sees within one period says one thing only."""

from __future__ import annotations

import itertools
import math
import re
import runpy
from pathlib import Path

import pytest

from kanhu_protocol import names

ROOT = Path(__file__).resolve().parents[2]
SPACE = runpy.run_path(str(ROOT / "firmware/kanhu_hub/indicator.py"))
PATTERNS = {name: tuple(p.ljust(SPACE["STEPS"], ".") for p in row) for name, row in SPACE["PATTERNS"].items()}
RESTING = {"well", "cannot_tell", "fault", "pairing"}
CONTRACT = {
    "well",
    "cannot_tell",
    "heard",
    "stored",
    "delivered",
    "unanswered",
    "accepted",
    "coming",
    "asking",
    "pairing",
    "proving",
    "not_saved",
    "fault",
}  # docs/contracts.md, sections 7, 10 and 12


def same_when_rotated(a: str, b: str) -> bool:
    length = math.lcm(len(a), len(b))
    long_a, long_b = a * (length // len(a)), b * (length // len(b))
    return any(long_a == long_b[shift:] + long_b[:shift] for shift in range(length))


def test_names_are_the_contracts() -> None:
    assert set(PATTERNS) == set(names.LAMP) == CONTRACT
    text = (ROOT / "docs/contracts.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in PATTERNS)


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_pattern_is_readable_and_short(name: str) -> None:
    lamp, buzzer = PATTERNS[name]
    english, chinese = names.LAMP[name]
    assert set(lamp + buzzer) <= set("#.")
    assert len(lamp) == len(buzzer)
    assert len(lamp) * SPACE["STEP_MS"] <= 2000
    assert "#" in lamp, "a dark lamp is a dead hub"
    assert english.isascii()
    assert re.search(r"[\u4e00-\u9fff]", chinese)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(sorted(PATTERNS), 2)))
def test_lamp_alone_tells_them_apart(one: str, other: str) -> None:
    assert not same_when_rotated(PATTERNS[one][0], PATTERNS[other][0])


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(sorted(set(PATTERNS) - RESTING), 2)))
def test_buzzer_alone_tells_alarm_states_apart(one: str, other: str) -> None:
    assert not same_when_rotated(PATTERNS[one][1], PATTERNS[other][1])


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_buzzer_is_quiet_at_rest_only(name: str) -> None:
    assert ("#" in PATTERNS[name][1]) == (name not in RESTING)


class Pin:
    def __init__(self) -> None:
        self.level = 0
        self.writes = 0

    def value(self, level: int) -> None:
        assert level in (0, 1)
        self.level = level
        self.writes += 1


class Clock:
    ms = 0

    def now_ms(self) -> int:
        return self.ms


def test_steps_through_patterns_and_logs_each_change() -> None:
    lamp, buzzer, log, name = Pin(), Pin(), [], ["well"]
    indicator = SPACE["Indicator"](lamp, buzzer, lambda: name[0], Clock(), log.append)
    for shown in ("well", "heard", "heard", "unanswered", "accepted", "well"):
        name[0] = shown
        seen = []
        for _ in range(20):
            indicator.step()
            seen.append(("#" if lamp.level else ".", "#" if buzzer.level else "."))
        assert "".join(one for one, _ in seen) == PATTERNS[shown][0]
        assert "".join(two for _, two in seen) == PATTERNS[shown][1]
    assert log == ["lamp well", "lamp heard", "lamp unanswered", "lamp accepted", "lamp well"]
    assert lamp.writes < 60
