"""How a file of time, sensor and state is laid out: what parts its columns, and which column is what."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kanhu.errors import ConfigError

from . import moments

SAMPLE = 300  # lines looked at
LEAST = 0.6  # share of the sample's rows that must fit
NAMES = ("time", "date", "clock", "end", "end-date", "end-clock", "sensor", "state", "-")

ON_WORDS = frozenset((
    "ON", "OPEN", "OPENED", "1", "1.0", "TRUE", "YES", "ACTIVE", "DETECTED", "MOTION", "PRESENT", "PRESENCE",
    "START", "OCCUPIED", "HOME", "有人", "打开",
))  # fmt: skip
OFF_WORDS = frozenset((
    "OFF", "CLOSE", "CLOSED", "0", "0.0", "FALSE", "NO", "INACTIVE", "CLEAR", "NONE", "STILL", "ABSENT",
    "END", "STOP", "IDLE", "UNOCCUPIED", "无人", "关闭",
))  # fmt: skip
GONE_WORDS = frozenset(("UNAVAILABLE", "OFFLINE", "LOST", "SILENT", "离线"))
STATE_WORDS = ON_WORDS | OFF_WORDS | GONE_WORDS

_HEADERS = {
    "time": "time timestamp datetime date_time moment last_changed last_updated when start start_time "
            "starttime start-time event_time 时间",
    "date": "date start_date 日期",
    "clock": "clock time_of_day",
    "end": "end end_time endtime stop finish",
    "sensor": "sensor device entity entity_id sensor_id device_id sensorid name location item id 传感器",
    "state": "state value status message reading sensor_status event val sensor_value data 状态",
    "kind": "type kind sensor_type device_class 类型",
    "room": "place room area 房间 位置",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a file's columns are; None for a delimiter is any blank. state None: every row is movement."""

    delimiter: str | None
    time: tuple[int, ...]  # one column, or date and time of day
    sensor: int
    state: int | None
    end: tuple[int, ...] = ()  # of a file whose rows last from one moment to another
    header: bool = False
    more: tuple[int, ...] = ()  # what the sensor is and where: two rooms may have a sensor of one name

    def split(self, line: str) -> list[str]:
        """The cells of a line."""
        return split(line, self.delimiter)

    @property
    def width(self) -> int:
        """Columns a row must have at least."""
        return 1 + max(*self.time, *self.end, self.sensor, self.state or 0)

    def name(self, cells: Sequence[str]) -> str:
        """A row's sensor, with what it is and where when the file has columns of that."""
        words = [cells[self.sensor], *(cells[place] for place in self.more if place < len(cells))]
        return " ".join(word for word in dict.fromkeys(words) if word)


def split(line: str, delimiter: str | None) -> list[str]:
    """The cells of a line; quotes are minded where there is a delimiter."""
    if delimiter is None:
        return line.split()
    if '"' in line:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
    return [cell.strip() for cell in line.split(delimiter)]


def joined(cells: Sequence[str], places: tuple[int, ...]) -> str:
    """The text of a moment from its one or two columns."""
    return cells[places[0]] if len(places) == 1 else f"{cells[places[0]]} {cells[places[1]]}"


def named(text: str, sample: Sequence[str]) -> Layout:
    """The layout that a person has written: names of NAMES in the order of the columns; ConfigError."""
    words = [word.strip().casefold() for word in text.split(",")]
    unknown = [word for word in words if word not in NAMES]
    if unknown:
        raise ConfigError(f"--columns: {unknown[0]!r} is none of {', '.join(NAMES)}")
    at = {word: place for place, word in enumerate(words) if word != "-"}
    time = (
        (at["time"],) if "time" in at else (at["date"], at["clock"]) if {"date", "clock"} <= at.keys() else ()
    )
    if not time or "sensor" not in at:
        raise ConfigError(
            "--columns: must name time (or date and clock) and sensor, such as time,sensor,state"
        )
    end: tuple[int, ...] = ()
    if "end" in at:
        end = (at["end"],)
    elif {"end-date", "end-clock"} <= at.keys():
        end = (at["end-date"], at["end-clock"])

    def fitting(delimiter: str | None) -> int:
        rows = [split(line, delimiter) for line in sample]
        return sum(len(row) >= len(words) and moments.read(joined(row, time)) is not None for row in rows)

    delimiter = max((",", ";", "\t", "|", None), key=fitting)
    if not fitting(delimiter):
        raise ConfigError("--columns: no row of the file has a moment there")
    return Layout(delimiter, time, at["sensor"], at.get("state"), end)


def sniff(sample: Sequence[str]) -> Layout | None:
    """The layout of a file's first lines; None: it cannot be told."""
    best: tuple[tuple[int, bool], Layout] | None = None
    for delimiter in ("\t", ",", ";", "|", None):
        rows = [split(line, delimiter) for line in sample[:SAMPLE]]
        found = _columns(rows, delimiter)
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return best[1] if best else None


def _columns(rows: list[list[str]], delimiter: str | None) -> tuple[tuple[int, bool], Layout] | None:
    """((rows that fit, whether the header stands over its columns), layout) under one delimiter."""
    width = max((len(row) for row in rows), default=0)
    if width < 2:
        return None
    head = _header(rows[0])
    body = rows[1:] if head else rows
    if not body:
        return None
    times = _times(body, min(width, 8), head)
    if not times:
        return None
    time, end = times[0], times[1] if len(times) > 1 else ()
    taken = {*time, *end}
    state = head.get("state")
    if state is None or state in taken:
        state = _most(body, width, taken, lambda cell: cell.upper() in STATE_WORDS, 0.2)
    if state is not None:
        taken.add(state)
    sensor = head.get("sensor")
    if sensor is None or sensor in taken:
        sensor = _most(body, width, taken, lambda cell: bool(cell) and moments.read(cell) is None, LEAST)
    if sensor is None or (state is None and not end):
        return None
    over = head.get("sensor") == sensor
    taken.add(sensor)
    more = tuple(head[name] for name in ("kind", "room") if over and head.get(name, sensor) not in taken)
    layout = Layout(delimiter, time, sensor, state, end, bool(head), more)
    fits = sum(
        len(row) >= layout.width and moments.read(joined(row, time)) is not None and bool(row[sensor])
        for row in body
    )
    return ((fits, over), layout) if fits >= LEAST * len(body) else None


def _header(row: list[str]) -> dict[str, int]:
    """The columns that a first line names; empty when it is no header."""
    found: dict[str, int] = {}
    for place, cell in enumerate(row):
        word = cell.casefold().strip().replace(" ", "_")
        for name, words in _HEADERS.items():
            if name not in found and word in words.split():
                found[name] = place
    if any(moments.read(cell) is not None for cell in row):
        return {}
    return found if found.keys() & {"time", "date", "sensor", "state"} else {}


def _times(rows: list[list[str]], width: int, head: dict[str, int]) -> list[tuple[int, ...]]:
    """Columns that hold moments, one or two to each, in order."""
    found: list[tuple[int, ...]] = []
    place = 0
    while place < width and len(found) < 2:
        for columns in ((place,), (place, place + 1)):
            whole = [row for row in rows if len(row) > columns[-1]]
            good = sum(moments.read(joined(row, columns)) is not None for row in whole)
            if whole and good >= LEAST * len(rows):
                found.append(columns)
                place = columns[-1]
                break
        place += 1
    if "date" in head and "time" in head:  # date and time of day, whichever stands first
        together = (head["date"], head["time"])
        if sum(moments.read(joined(row, together)) is not None for row in rows if len(row) > max(together)):
            return [together]
    return found


def _most(
    rows: list[list[str]], width: int, taken: set[int], fits: Callable[[str], bool], least: float
) -> int | None:
    """The column, none of those taken, most cells of which fit."""
    counts = {
        place: sum(len(row) > place and fits(row[place]) for row in rows)
        for place in range(width)
        if place not in taken
    }
    if not counts:
        return None
    best = max(counts, key=lambda place: (counts[place], -place))
    return best if counts[best] >= least * len(rows) and counts[best] else None
