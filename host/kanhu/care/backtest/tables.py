"""Recordings in text: any file whose rows say time, sensor and state. Wrong rows are counted, never fatal."""

from __future__ import annotations

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kanhu.care.rules.past import Device
from kanhu.errors import ConfigError

from .columns import GONE_WORDS, OFF_WORDS, ON_WORDS, SAMPLE, Layout, joined, named, sniff
from .moments import Times
from .recording import BACK, CLOSED, HEARD, MOVEMENT, OPEN, SILENT, Account, Recording, Step, gaps
from .sensors import Place, guess

DAY_MS = 86_400_000
TOLD_EVERY = 5000  # rows between two reports of progress
MADE_UP = "# made up"  # first line of what `kanhu rules made-up` writes
MAX_SENSORS = 254  # indexes 1..255 of a hub, and one to spare
# A list of sensors before the rows, as the recordings of van Kasteren have it: [12] 'Frontdoor'
_LEGEND = re.compile(r"\s*\[\s*(\S+?)\s*\]\s+'([^']+)'\s*")

Progress = Callable[[int, int], None]  # (bytes read, bytes in all)


class _Row(NamedTuple):
    at_ms: int
    sensor: str
    on: bool | None  # None: it is gone


def read_file(
    path: Path,
    zone: ZoneInfo,
    places: dict[str, Place] | None = None,
    columns: str | None = None,
    gap_ms: int = DAY_MS,
    progress: Progress = lambda done, total: None,
) -> Recording:
    """One home from one file; ConfigError when it cannot be read at all or nothing in it says movement."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            sample = [line for line in islice(file, SAMPLE) if _counts(line)]
        made_up = path.open(encoding="utf-8-sig", errors="replace").readline().startswith(MADE_UP)
        layout = named(columns, sample) if columns else sniff(sample)
        if layout is None:
            raise ConfigError(
                f"{path}: its first {len(sample)} rows do not tell which columns are time, sensor and state; "
                "say it: --columns time,sensor,state (or date,clock,sensor,state; - for any other)"
            )
        legend = {found[1]: found[2] for line in sample if (found := _LEGEND.fullmatch(line))}
        read = _rows(path, layout, legend, zone, progress)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    account = read.account
    devices, roles = _devices(read.words, read.plain, places or {})
    account.sensors = read.words.keys() | set(read.plain.values())
    for sensor, count in read.used.items():
        if sensor not in devices:
            account.used -= count
            account.ignored["sensor says nothing of movement"] += count
    steps = _steps(read.rows, devices, roles)
    if not any(step.what == MOVEMENT for step in steps):
        raise ConfigError(
            f"{path}: {account.rows} rows, and none of them says that somebody moved; "
            f"{'; '.join(account.shown) or 'give --sensors to say which sensor is what'}"
        )
    times = sorted(read.seen)
    steps += gaps(times, gap_ms)
    steps.sort(key=lambda step: step.at_ms)
    return Recording(
        path.stem,
        zone,
        tuple(devices.values()),
        steps,
        times[0],
        times[-1],
        account,
        made_up=made_up,
        gap_ms=gap_ms,
    )


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


class _Read(NamedTuple):
    """What a file holds."""

    rows: list[_Row]
    seen: array[int]  # moments of all good rows: the recording was going on
    used: Counter[str]  # rows by sensor
    words: dict[str, set[str]]  # states by sensor
    plain: dict[str, str]  # what rows call a sensor, by its name
    account: Account


def _rows(path: Path, layout: Layout, legend: dict[str, str], zone: ZoneInfo, progress: Progress) -> _Read:
    read = _Read([], array("q"), Counter(), defaultdict(set), {}, Account())
    account = read.account
    times, ends = Times(zone), Times(zone)
    known: set[_Row] = set()  # of the moment being read: a row written twice
    total, read_bytes, last_ms = path.stat().st_size, 0, 0
    header = layout.header
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            read_bytes += len(line)
            if number % TOLD_EVERY == 0:
                progress(read_bytes, total)
            if not _counts(line):
                continue
            if header:
                header = False
                continue
            account.rows += 1
            if legend and _LEGEND.fullmatch(line):
                account.ignored["name of a sensor"] += 1
                continue
            cells = layout.split(line)
            if len(cells) < layout.width:
                account.refuse(number, "too few columns", line)
                continue
            plain = cells[layout.sensor]
            sensor = legend.get(plain) or layout.name(cells)
            at_ms = times.ms(joined(cells, layout.time))
            if at_ms is None:
                account.refuse(number, "no moment", line)
                continue
            if not plain:
                account.refuse(number, "no sensor", line)
                continue
            read.plain[sensor] = plain
            made = _states(layout, cells, sensor, at_ms, ends, read.words[sensor])
            if isinstance(made, str):
                if made == _MEASURED:
                    read.seen.append(at_ms)
                    account.ignored[made] += 1
                else:
                    account.refuse(number, made, line)
                continue
            if at_ms != last_ms:
                known.clear()
            if made[0] in known:
                account.ignored["repeated"] += 1
                continue
            known.update(made)
            if at_ms < last_ms:
                account.out_of_order += 1
            last_ms = at_ms
            account.used += 1
            read.used[sensor] += 1
            read.seen.extend(row.at_ms for row in made)
            read.rows.extend(made)
    progress(total, total)
    account.repeated, account.skipped = times.repeated, times.skipped
    return read


_MEASURED = "measured value, not a state"


def _states(
    layout: Layout, cells: list[str], sensor: str, at_ms: int, ends: Times, words: set[str]
) -> list[_Row] | str:
    """What a row says, or why it says nothing."""
    if layout.end:
        words |= {"ON", "OFF"}
        end_ms = ends.ms(joined(cells, layout.end))
        if end_ms is None:
            return "no moment"
        if end_ms < at_ms:
            return "ends before it begins"
        return [_Row(at_ms, sensor, True), _Row(end_ms, sensor, False)]
    word = cells[layout.state].upper() if layout.state is not None else "ON"
    if word in ON_WORDS or word in OFF_WORDS:
        words.add(word)
        return [_Row(at_ms, sensor, word in ON_WORDS)]
    if word in GONE_WORDS:
        return [_Row(at_ms, sensor, None)]
    try:
        float(word)
    except ValueError:
        return "unknown state"
    return _MEASURED


def _devices(
    words: dict[str, set[str]], plain: dict[str, str], places: dict[str, Place]
) -> tuple[dict[str, Device], dict[str, Place]]:
    """The home's devices by name, in order of name, and what each sensor is."""
    roles = {
        name: places.get(name) or places.get(plain[name]) or guess(name, seen)
        for name, seen in sorted(words.items())
    }
    used = [name for name, place in roles.items() if place.role != "ignore"]
    devices = {}
    for index, name in enumerate(used[:MAX_SENSORS], 1):
        place = roles[name]
        devices[name] = Device(index, place.role, place.room, name)
    return devices, roles


def _steps(rows: list[_Row], devices: dict[str, Device], roles: dict[str, Place]) -> list[Step]:
    steps: list[Step] = []
    gone: set[str] = set()
    rows.sort(key=lambda row: row.at_ms)
    for at_ms, sensor, on in rows:
        device = devices.get(sensor)
        if device is None:
            continue
        if on is None:
            gone.add(sensor)
            steps.append(Step(at_ms, device.index, SILENT))
            continue
        if sensor in gone:
            gone.discard(sensor)
            steps.append(Step(at_ms, device.index, BACK))
        steps.append(Step(at_ms, device.index, _what(roles[sensor], on)))
    return steps


def _what(place: Place, on: bool) -> str:
    if place.role in ("door", "window"):
        return OPEN if on else CLOSED
    return MOVEMENT if on or place.role == "item" else HEARD
