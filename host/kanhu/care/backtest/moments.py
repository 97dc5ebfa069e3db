"""Moments as recordings write them: ISO 8601, date and time apart, seconds or ms since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MILLIS_FROM = 1e11  # a number above is in ms: in seconds it would be the year 5138
EARLIEST_S, LATEST_S = 631_152_000, 4_102_444_800  # 1990 and 2100: no recording is from outside
_NUMBER = re.compile(r"[0-9]{9,13}(\.[0-9]*)?")
# Without leading zeros, as spreadsheets write it: 2026/3/2 7:05, 2026年3月2日 7:05:09
_LOOSE = re.compile(
    r"([0-9]{4})[-/.年]([0-9]{1,2})[-/.月]([0-9]{1,2})日? ?T?"
    r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?"
)
_OTHERS = ("%d-%b-%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M")


def read(text: str) -> datetime | None:
    """A moment, aware where the text says its offset or counts from 1970; None: it is no moment."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if seconds > MILLIS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC) if EARLIEST_S <= seconds < LATEST_S else None
    found = _iso(text) or _loose(text)
    if found is None:
        for form in _OTHERS:
            try:
                found = datetime.strptime(text, form)  # noqa: DTZ007  # its zone is the recording's
                break
            except ValueError:
                continue
    return found if found is not None and 1990 <= found.year < 2100 else None


def _iso(text: str) -> datetime | None:
    if len(text) < 15 or text[4] not in "-/" or not text[:4].isdigit():
        return None  # a date alone is no moment
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None


def _loose(text: str) -> datetime | None:
    parts = _LOOSE.fullmatch(text)
    if parts is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    micros = int(float(parts[7] or 0) * 1_000_000)
    try:
        return datetime(year, month, day, hour, minute, second, micros)  # noqa: DTZ001  # as above
    except ValueError:
        return None


class Times:
    """Turns one file's moments into UTC ms, row after row: an hour that came twice is told by the order."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._last_ms = 0
        self.repeated = 0  # of the hour that came twice, taken for the second time
        self.skipped = 0  # of an hour that the clocks left out

    def ms(self, text: str) -> int | None:
        """UTC ms of a row's moment; None: it is no moment."""
        moment = read(text)
        if moment is None:
            return None
        if moment.tzinfo is None:
            moment = self._local(moment)
        at_ms = (moment - _EPOCH) // timedelta(milliseconds=1)
        self._last_ms = max(self._last_ms, at_ms)
        return at_ms

    def _local(self, moment: datetime) -> datetime:
        first = moment.replace(tzinfo=self._zone)
        second = first.replace(fold=1)
        before, after = first.utcoffset(), second.utcoffset()
        if before != after and before is not None and after is not None:
            if before < after:
                self.skipped += 1
            elif (first.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1) < self._last_ms:
                self.repeated += 1
                return second
        return first


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
