"""boot.py on its own: whatever NVS and flash say, it ends in one slot that is there."""

from __future__ import annotations

import itertools
import os
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = compile((ROOT / "firmware/boot.py").read_text("utf-8"), "boot.py", "exec")
PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5
A, B, SAFE = 1, 2, 3
FOLDERS = {A: "/a", B: "/b", SAFE: "/safe"}


class Chip:
    """NVS, reset cause and folders of a board."""

    def __init__(self, whole: tuple[int, ...] = (A, B, SAFE), slot: int | None = None) -> None:
        self.whole = whole
        self.values = {} if slot is None else {"slot": slot}
        self.fails: set[str] = set()
        self.commits = 0
        self.cause = PWRON
        self.wdt = 0

    def start(self, cause: int, monkeypatch: pytest.MonkeyPatch) -> int:
        """The slot that boot.py puts first."""
        self.cause = cause
        machine, esp32, micropython = (ModuleType(name) for name in ("machine", "esp32", "micropython"))
        for number, name in enumerate(("PWRON", "HARD", "WDT", "DEEPSLEEP", "SOFT"), 1):
            setattr(machine, name + "_RESET", number)
        machine.reset_cause = lambda: self.cause  # type: ignore[attr-defined]
        machine.WDT = self._wdt  # type: ignore[attr-defined]
        esp32.NVS = self._open  # type: ignore[attr-defined]
        micropython.alloc_emergency_exception_buf = lambda size: None  # type: ignore[attr-defined]
        path = sys.path[:]
        with monkeypatch.context() as patch:
            for module in (machine, esp32, micropython):
                patch.setitem(sys.modules, module.__name__, module)
            patch.setattr(os, "stat", self._stat)
            import gc

            patch.setattr(gc, "threshold", lambda size: None, raising=False)
            exec(CODE, {})  # noqa: S102  the hub's own script
        chosen = sys.path[0]
        assert sys.path[1:] == path
        sys.path[:] = path
        return {folder: slot for slot, folder in FOLDERS.items()}[chosen]

    def _wdt(self, timeout: int) -> None:
        self.wdt = timeout

    def _stat(self, path: str) -> None:
        if "stat" in self.fails or path not in {FOLDERS[slot] + "/manifest" for slot in self.whole}:
            raise OSError(2)

    def _open(self, space: str) -> Any:
        assert space == "kanhu"
        if "open" in self.fails:
            raise OSError(-0x1101)
        return self

    def get_i32(self, key: str) -> int:
        if "get" in self.fails or key not in self.values:
            raise OSError(-0x1102)
        return self.values[key]

    def set_i32(self, key: str, value: int) -> None:
        if "set" in self.fails:
            raise OSError(-0x1105)
        assert -0x80000000 <= value <= 0x7FFFFFFF
        self.values[key] = value

    def commit(self) -> None:
        if "commit" in self.fails:
            raise OSError(-0x1105)
        self.commits += 1

    @property
    def bits(self) -> tuple[int, int, int, int, int]:
        """good, trial, why, bad, starts."""
        value = self.values.get("slot", 0)
        return value & 3 or 1, value >> 2 & 3, value >> 4 & 15, value >> 8 & 15, value >> 12 & 255


def test_a_board_as_flashed(monkeypatch: pytest.MonkeyPatch) -> None:
    for slot in (None, 0, 1):
        chip = Chip(slot=slot)
        assert chip.start(PWRON, monkeypatch) == A
        assert chip.bits == (A, 0, 0, 0, 1)
        assert chip.wdt == 30_000


def test_a_developers_board_has_nothing_else_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(whole=())
    assert {chip.start(cause, monkeypatch) for cause in (WDT, HARD, PWRON) * 30} == {A}


def test_three_crashes_and_the_other_slot_takes_over_then_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip()
    assert [chip.start(WDT, monkeypatch) for _ in range(12)] == [A] * 3 + [B] * 3 + [SAFE] * 3 + [A] * 3
    chip = Chip(whole=(A, SAFE), slot=A)
    assert [chip.start(HARD, monkeypatch) for _ in range(7)] == [A] * 3 + [SAFE] * 3 + [A]
    chip = Chip(slot=B)
    assert [chip.start(WDT, monkeypatch) for _ in range(8)] == [B] * 3 + [A] * 3 + [SAFE] * 2


def test_a_believed_start_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip()
    for _ in range(20):
        for _ in range(3):
            assert chip.start(WDT, monkeypatch) == A
        chip.values["slot"] &= ~(255 << 12)  # as believed.py does


def test_unplugging_is_not_crashing(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip()
    assert {chip.start(PWRON, monkeypatch) for _ in range(15)} == {A}
    assert chip.start(PWRON, monkeypatch) == B  # a brown-out looks the same, and may be the program's doing
    chip = Chip(slot=A)
    commits = 0
    for _ in range(100):
        assert chip.start(SOFT, monkeypatch) == A  # a person at the REPL
        commits = max(commits, chip.commits)
    assert commits == 0


def test_a_trial_has_three_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(slot=A | B << 2)
    assert [chip.start(WDT, monkeypatch) for _ in range(4)] == [B, B, B, A]
    assert chip.bits == (A, B, 5, 1 << B, 1)
    # The program that runs says so, and it is not tried again, although it is whole.
    assert {chip.start(WDT, monkeypatch) for _ in range(2)} == {A}
    assert [chip.start(WDT, monkeypatch) for _ in range(3)] == [SAFE] * 3


def test_a_trial_that_is_not_whole_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(whole=(A, SAFE), slot=A | B << 2)
    assert chip.start(HARD, monkeypatch) == A
    assert chip.bits[:3] == (A, B, 5)


def test_safe_that_crashes_gives_the_others_another_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    chip = Chip(slot=SAFE | (1 << A | 1 << B) << 8)
    assert [chip.start(WDT, monkeypatch) for _ in range(5)] == [SAFE] * 3 + [A] * 2


@pytest.mark.parametrize("fails", ["open", "get", "set", "commit", "stat", "set get", "open stat"])
def test_an_nvs_or_flash_that_fails_costs_no_start(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for slot in (0, A, B, SAFE, A | B << 2, B | A << 2 | 6 << 4):
        chip = Chip(slot=slot)
        chip.fails = set(fails.split())
        for cause in (PWRON, WDT, HARD, SOFT) * 6:
            chip.start(cause, monkeypatch)


def test_whatever_stands_in_nvs_a_slot_runs_and_soon_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(3)
    everything = [(), (A,), (A, SAFE), (B, SAFE), (A, B), (A, B, SAFE)]
    values = [chance.getrandbits(31) * sign for sign in (1, -1) for _ in range(60)]
    for value, whole in itertools.product([*values, 0, -1, 0x7FFFFFFF, -0x80000000], everything):
        chip = Chip(whole=whole, slot=value)
        ran = [chip.start(WDT, monkeypatch) for _ in range(12)]
        if whole:
            assert set(ran[-5:]) & set(whole), (value, whole, ran)
