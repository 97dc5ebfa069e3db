"""What the daemon says of all homes, in a file beside its journal, for commands that run without it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .condition import STATES, Condition, Reason, unknown
from .rules.values import Words

NAME = "conditions.json"
FRESH_MS = 60_000  # older, nobody has said anything
SOON_S = 1.0  # a change is written this soon, of many homes seldom enough to cost little
HOMES_A_SECOND = 1000
AGAIN_S = 20.0  # and without a change this often


class Shown:
    """Writes the file of one data_dir."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._written: Mapping[str, Condition] = {}
        self._next = 0.0  # monotonic s
        self._again = 0.0

    def is_due(self, conditions: Mapping[str, Condition], now: float) -> bool:
        """Whether to write now (monotonic s)."""
        return now >= self._again or (now >= self._next and conditions != self._written)

    def write(self, conditions: Mapping[str, Condition], now_ms: int, now: float) -> None:
        """Put the file in place of the one before; OSError."""
        homes = {
            home: [one.state, [[*reason.words, reason.since_ms] for reason in one.reasons], one.at_ms]
            for home, one in conditions.items()
        }
        text = json.dumps({"at_ms": now_ms, "homes": homes}, ensure_ascii=False)
        new = self._path.with_suffix(".new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(text)
        new.replace(self._path)
        self._written = conditions
        self._next = now + max(SOON_S, len(homes) / HOMES_A_SECOND)
        self._again = now + max(AGAIN_S, self._next - now)


def read(data_dir: Path, homes: Iterable[str], running: bool) -> dict[str, Condition]:
    """How these homes are, as the daemon last said it; cannot_tell where it does not run or has not said."""
    now_ms = time.time_ns() // 1_000_000
    said: dict[str, Any] = {}
    why = Words("no daemon is running, so nobody watches", "看护服务未运行，无人值守")
    if running:
        why = Words("the daemon has not said how it is", "看护服务尚未给出判断")
        try:
            found = json.loads((data_dir / NAME).read_text(encoding="utf-8"))
            if abs(now_ms - found["at_ms"]) <= FRESH_MS:
                said = dict(found["homes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or none that can be read: nothing is known
    return {home: _one(said.get(home)) or unknown(why, now_ms) for home in homes}


def _one(row: Any) -> Condition | None:
    try:
        state, reasons, at_ms = row
        if state not in STATES:
            return None
        return Condition(state, tuple(Reason(Words(en, zh), since) for en, zh, since in reasons), at_ms)
    except (TypeError, ValueError):
        return None
