"""Tests that may fail for now without failing the run: each has an owner, a reason and a last day.

hil_tests/quarantine.toml:
    [[quarantine]]
    test = "hil_tests/faults/test_cut.py::test_x"   # all its parameters, or one: "...::test_x[hub]"
    owner = "Li Wei"
    reason = "the cheap cable of bench 2 loses frames"
    until = 2026-12-01
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from kanhu.errors import ConfigError
from kanhu.qa.model import Quarantine

FIELDS = ("test", "owner", "reason", "until")


class Quarantines:
    """Those in force, and a sentence on each entry that is not fit to be."""

    def __init__(self, today: date, entries: Iterable[Quarantine] = (), problems: Iterable[str] = ()) -> None:
        self.today = today
        self.entries, self.problems = list(entries), list(problems)

    def of(self, nodeid: str) -> Quarantine | None:
        """The entry in force for this test."""
        bare = nodeid.partition("[")[0]
        return next((one for one in self.entries if one.test in (nodeid, bare)), None)

    def take(self, fields: Mapping[str, Any], where: str) -> Quarantine | None:
        """One more entry, None when it is unfit: a problem then says why."""
        found = _entry(fields, where, self.today)
        if isinstance(found, Quarantine):
            self.entries.append(found)
            return found
        if found not in self.problems:
            self.problems.append(found)
        return None


def _entry(fields: Mapping[str, Any], where: str, today: date) -> Quarantine | str:
    test = str(fields.get("test", "")).strip() or "an entry without a test"
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        return f"{where}: {test}: unknown key {unknown[0]!r}; known are {', '.join(FIELDS)}"
    for name in FIELDS:
        if not str(fields.get(name, "")).strip():
            return f"{where}: {test} has no {name}: add {name} = ... or take the entry out"
    until = fields["until"]
    try:
        last = until if type(until) is date else date.fromisoformat(str(until))
    except ValueError:
        return f"{where}: {test}: until is {until!r}, expected a day as 2026-12-01"
    if last < today:
        owner = fields["owner"]
        return f"{where}: the quarantine of {test} (owner {owner}) ended on {last}: mend it or decide anew"
    return Quarantine(
        test=test, owner=str(fields["owner"]), reason=str(fields["reason"]), until=last.isoformat()
    )


def read(path: Path, today: date) -> Quarantines:
    """The file's entries; ConfigError when it is no TOML of that shape. No file: no entries."""
    found = Quarantines(today)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return found
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    entries = table.pop("quarantine", [])
    if table or not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ConfigError(f"{path}: expected nothing but [[quarantine]] tables with {', '.join(FIELDS)}")
    for one in entries:
        found.take(one, str(path))
    return found
