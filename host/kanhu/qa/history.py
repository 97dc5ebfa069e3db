"""Runs before this one, a line of JSON each: which tests change their mind though nothing else changed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from kanhu.errors import DataError
from kanhu.qa.model import BROKEN, GOOD, Model, Outcome, Run, Verdict


class Entry(Model):
    """One run as history keeps it."""

    id: str
    started_utc: datetime
    git: str = ""
    firmware: str = ""  # hashes of what was on the hubs
    target: str = ""
    verdict: Verdict
    outcomes: dict[str, Outcome]

    @property
    def same_thing(self) -> tuple[str, str, str] | None:
        """Equal for runs of the same code; None when the work tree had changes that are in no commit."""
        if not self.git or self.git.endswith("+"):
            return None
        return self.git, self.firmware, self.target


def entry(run: Run) -> Entry:
    """What history keeps of a run."""
    hashes = sorted({one.firmware_sha256 for one in run.boards if one.role == "hub" and one.firmware_sha256})
    return Entry(
        id=run.id,
        started_utc=run.started_utc,
        git=run.git,
        firmware=" ".join(hashes),
        target=run.target,
        verdict=run.verdict,
        outcomes={test.id: test.outcome for test in run.tests},
    )


def append(path: Path, run: Run) -> None:
    """One more line, also when another session writes at this moment; DataError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write((entry(run).model_dump_json() + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}") from None


@dataclass
class History:
    """All runs a file tells of, the oldest first; unreadable: the numbers of lines that say nothing."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)


def read(path: Path) -> History:
    """The file's runs; a line that cannot be read is counted, not fatal. No file: no runs. DataError."""
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    found = History()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.entries.append(Entry.model_validate(json.loads(line)))
        except (ValueError, ValidationError):
            found.unreadable.append(number)
    found.entries.sort(key=lambda one: one.started_utc)
    return found


@dataclass
class Record:
    """One test over all runs. repeats: runs of the code of the run before; flips: those with another end."""

    test: str
    outcomes: list[Outcome] = field(default_factory=list)  # without the runs that skipped it
    repeats: int = 0
    flips: int = 0

    @property
    def bad(self) -> int:
        """In how many runs it did not pass."""
        return sum(one in BROKEN or one == "quarantined" for one in self.outcomes)

    @property
    def flake_rate(self) -> float | None:
        """Share of repeats with another result than the run before; None when nothing was repeated."""
        return self.flips / self.repeats if self.repeats else None


def records(entries: Sequence[Entry]) -> dict[str, Record]:
    """What each test did, the flakiest first."""
    found: dict[str, Record] = {}
    last: dict[tuple[str, tuple[str, str, str]], bool] = {}
    for one in entries:
        for test, outcome in one.outcomes.items():
            if outcome == "skipped":
                continue
            record = found.setdefault(test, Record(test))
            record.outcomes.append(outcome)
            if one.same_thing is None:
                continue
            good, key = outcome in GOOD, (test, one.same_thing)
            if key in last:
                record.repeats += 1
                record.flips += last[key] != good or outcome == "flaky"
            last[key] = good
    return dict(sorted(found.items(), key=lambda pair: (-(pair[1].flake_rate or 0), -pair[1].bad, pair[0])))
