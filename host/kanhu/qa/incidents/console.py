"""The hub's console log as an incident keeps it: lines of known forms, without names in them.

A console is free text, so nothing is kept because it looks harmless: a line is kept when the firmware is
known to say it, and what it names (network, broker, addresses) is not."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from kanhu.qa.incidents.form import MAX_LINES, IncidentError, Line
from kanhu_protocol import names

_STAMP = re.compile(
    r"^\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z| ?UTC|[+-]\d\d:?\d\d))\]?[ \t]+"
)
_BOOT = re.compile(r"hub (\S+) boot (\d{1,10}), (\d{1,3}) alarms open")
_TASK = r"[a-z0-9_ ]{1,20}"
# What the firmware is known to say, and what of it is kept ({n}: its n-th group).
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(rf"lamp ({'|'.join(names.LAMP)})"), "lamp {1}"),
    (_BOOT, "hub booted {2}, {3} alarms open"),
    (re.compile(r"mqtt: .{1,80}?: connected"), "mqtt: connected"),
    (re.compile(r"mqtt: .*"), "mqtt: not connected"),
    (re.compile(r"ntp: .*"), "ntp: failed"),
    (re.compile(r"modem: .*"), "modem: a line"),
    (re.compile(rf"task ({_TASK}) failed: ([A-Za-z]{{1,30}})\b.*"), "task {1} failed: {2}"),
    (re.compile(rf"giving up on ({_TASK}): ([A-Za-z]{{1,30}})\b.*"), "giving up on {1}: {2}"),
    (re.compile(rf"task ({_TASK}) stalled"), "task {1} stalled"),
    (re.compile(rf"({_TASK}) ended"), "{1} ended"),
    (re.compile(r"outbox: (\d{1,6}) files held damaged events.*"), "outbox: {1} files held damaged events"),
    (re.compile(r"NVS does not take the boot counter.*"), "NVS does not take the boot counter"),
    (re.compile(r"config: ([a-z_]{1,20}) is not usable.*"), "config: {1} is not usable"),
    (re.compile(r"device (\d{1,3}): .* is not usable.*"), "device {1} is not usable"),
    (re.compile(r"commissioning is (open|closed)"), "commissioning is {1}"),
    (re.compile(r"new network settings are in force"), "new network settings are in force"),
    (re.compile(r"cancel key, (\d{1,3}) asked"), "cancel key, {1} asked"),
)
_TRACE = re.compile(r'\s*File "([a-z_./]{1,60})", line (\d{1,6}), in ([A-Za-z0-9_<>]{1,40})')
_ERROR = re.compile(r"([A-Za-z]{1,30}(?:Error|Exception))(?::.*)?")


class Console(NamedTuple):
    """What is kept of a log, and how many lines are not, by why."""

    lines: list[Line]
    left_out: dict[str, int]


def read(text: str, begin_utc_ms: int, length_ms: int, hub: str) -> Console:
    """A console log, or a daemon's JSON log that holds it, as lines of the span; IncidentError when too long.

    Lines may begin with an ISO 8601 time with its zone; those of the daemon's log must be the hub's."""
    kept: list[Line] = []
    left_out: Counter[str] = Counter()
    boot: int | None = None
    for at_utc_ms, line in _lines(text.splitlines(), hub, left_out):
        shown = _form(line)
        if shown is None:
            if line.strip():
                left_out["log lines of no known form"] += 1
            continue
        if found := _BOOT.search(line):
            boot = int(found.group(2))
            boot = boot if boot <= 0xFFFFFFFF else None
        at_ms = None if at_utc_ms is None else at_utc_ms - begin_utc_ms
        if at_ms is not None and not 0 <= at_ms <= length_ms:
            left_out["log lines of another time"] += 1
            continue
        kept.append(Line(boot=boot, at_ms=at_ms, text=shown))
        if len(kept) > MAX_LINES:
            raise IncidentError(f"the log has more than {MAX_LINES} lines: cut it to the span")
    return Console(kept, dict(left_out))


def _lines(lines: Iterable[str], hub: str, left_out: Counter[str]) -> Iterable[tuple[int | None, str]]:
    for line in lines:
        if line.startswith("{"):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if isinstance(row, dict) and row.get("event") == "hub log" and row.get("hub") == hub:
                yield _utc_ms(str(row.get("timestamp", row.get("time", "")))), str(row.get("line", ""))
            else:
                left_out["lines of a log that are not this hub's"] += 1
        elif found := _STAMP.match(line):
            yield _utc_ms(found.group(1)), line[found.end() :]
        else:
            yield None, line


def _utc_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.replace(" UTC", "Z").replace(",", "."))
    except ValueError:
        return None
    return int(moment.timestamp() * 1000) if moment.tzinfo is not None else None


def _form(line: str) -> str | None:
    line = line.rstrip().removeprefix("kanhu: ")
    for pattern, shown in _FORMS:
        if found := pattern.fullmatch(line):
            return shown.format("", *found.groups())
    if line == "Traceback (most recent call last):":
        return line
    if found := _TRACE.fullmatch(line):
        return '  File "{}", line {}, in {}'.format(*found.groups())
    if found := _ERROR.fullmatch(line):
        return found.group(1)
    return None


def lamps(lines: Iterable[Line]) -> list[tuple[int | None, str]]:
    """(time or None, pattern) of each change of the lamp."""
    return [(one.at_ms, one.text[5:]) for one in lines if one.text.startswith("lamp ")]
