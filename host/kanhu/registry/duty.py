"""Duty lists: which operator a level has on duty for a region, on which days, from when to when."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from kanhu_protocol import names

from . import checks
from .checks import RegistryError
from .file import RegistryFile

DAY_MIN = 1440


class Shift(NamedTuple):
    """One line of a duty list. until_min at or before from_min: it ends on the next day."""

    id: int
    operator: str
    level: int  # names.LEVELS
    region: str  # and everything below it; "": everywhere
    days: int  # mask of the days on which it begins, Monday 1
    from_min: int  # minute of the day in the time zone
    until_min: int
    time_zone: str


class DutyTable(RegistryFile):
    """The registry's duty lists."""

    def shifts(self) -> list[Shift]:
        """All shifts of operators who are not disabled, by number."""
        return list(self._shifts)

    def add_shift(
        self, operator: str, level: int, region: str, days: int, from_min: int, until_min: int, time_zone: str
    ) -> int:
        """Put an operator on duty; returns the shift's number."""
        if level not in names.LEVELS:
            raise RegistryError(f"level {level}: must be 1 community, 2 street, 3 district or 4 city")
        if not 0 < days < 128:
            raise RegistryError(f"days {days}: must be a mask of the week, Monday 1 to Sunday 64")
        if not (0 <= from_min < DAY_MIN and 0 <= until_min <= DAY_MIN):
            raise RegistryError("a shift begins at 00:00 to 23:59 and ends at 00:00 to 24:00")
        row = (
            operator, level, checks.region(region) or "", days, from_min, until_min,
            checks.time_zone(time_zone),
        )  # fmt: skip
        if not self._db.execute("SELECT 1 FROM operators WHERE id=?", (operator,)).fetchone():
            raise RegistryError(f"operator {operator!r}: not known; add the operator first")
        with self._change() as db:
            done = db.execute(
                "INSERT INTO duty (operator, level, region, days, from_min, until_min, time_zone) "
                "VALUES (?,?,?,?,?,?,?)",
                row,
            )
        return int(done.lastrowid or 0)

    def remove_shift(self, shift_id: int) -> None:
        """Take a shift out of the lists."""
        if not self._db.execute("SELECT 1 FROM duty WHERE id=?", (shift_id,)).fetchone():
            raise RegistryError(f"shift {shift_id}: there is none; `kanhu duty list` shows all")
        with self._change() as db:
            db.execute("DELETE FROM duty WHERE id=?", (shift_id,))

    def _read(self, db: sqlite3.Connection) -> None:
        super()._read(db)
        rows = db.execute(
            "SELECT duty.id, operator, level, duty.region, days, from_min, until_min, time_zone FROM duty "
            "JOIN operators ON operators.id = duty.operator WHERE disabled_ms IS NULL ORDER BY duty.id"
        )
        self._shifts = [Shift(*row) for row in rows]
