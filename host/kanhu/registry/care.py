"""What of care stands in the registry: rules of homes, visits that are due, rooms, modes asked for."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from kanhu_protocol import names

from . import checks
from .checks import RegistryError
from .file import RegistryFile

if TYPE_CHECKING:
    from kanhu.care.rules.past import Device  # kanhu.care looks at the registry

ALL_HOMES = ""  # a rule's settings for every home that has none of its own
MAX_WHAT = 64  # characters of what a visit is for


class VisitPlan(NamedTuple):
    """A visit that is due on these days (mask, Monday 1) between two minutes of the day."""

    id: int
    home: str
    days: int
    from_min: int
    until_min: int
    what: str


class ModeRequest(NamedTuple):
    """A mode that a command asks for; the daemon carries it out. until_ms None: as long as the mode goes."""

    id: int
    home: str
    mode: int  # names.MODES
    until_ms: int | None
    by: str
    asked_ms: int


class CareTables(RegistryFile):
    """The registry's part in care."""

    # Rules

    def rules(self, home: str) -> dict[str, dict[str, Any]]:
        """What was set of each rule for a home, or else for all. A rule that nobody has set is off."""
        return {**self._rules.get(ALL_HOMES, {}), **(self._rules.get(home, {}) if home else {})}

    def set_rule(self, home: str, rule: str, settings: dict[str, Any] | None, by: str) -> None:
        """Set a rule for a home or for ALL_HOMES; None: as for all, or nobody's. Its values are the rule's to
        check (kanhu.care.settings)."""
        if home != ALL_HOMES:
            self.home(home)
        with self._change() as db:
            if settings is None:
                db.execute("DELETE FROM rules WHERE home=? AND rule=?", (home, rule))
            else:
                row = (home, rule, json.dumps(settings), checks.now_ms(), checks.plain_text(by, "by"))
                db.execute("INSERT OR REPLACE INTO rules VALUES (?,?,?,?,?)", row)

    # Visits that are due

    def plans(self, home: str) -> list[VisitPlan]:
        """Visits that are due at a home."""
        return list(self._plans.get(home, ()))

    def add_plan(self, home: str, days: int, from_min: int, until_min: int, what: str) -> int:
        """A visit that is due on days (mask, Monday 1) between two minutes of the day; returns its id."""
        self.home(home)
        if not 0 < days < 128:
            raise RegistryError(f"days {days}: must be a mask of the week, Monday 1 to Sunday 64")
        if not 0 <= from_min < until_min <= 1440:
            raise RegistryError(
                f"visit from minute {from_min} to {until_min}: must be two minutes of one day, 0 to 1440"
            )
        what = checks.plain_text(what, "what")
        if not 0 < len(what) <= MAX_WHAT:
            raise RegistryError(f"what the visit is for: must be 1 to {MAX_WHAT} characters")
        with self._change() as db:
            done = db.execute(
                "INSERT INTO visit_plans (home, days, from_min, until_min, what) VALUES (?,?,?,?,?)",
                (home, days, from_min, until_min, what),
            )
        return int(done.lastrowid or 0)

    def remove_plan(self, plan_id: int) -> None:
        """A visit is no longer due."""
        if all(one.id != plan_id for plans in self._plans.values() for one in plans):
            raise RegistryError(f"visit plan {plan_id}: there is none of this number")
        with self._change() as db:
            db.execute("DELETE FROM visit_plans WHERE id=?", (plan_id,))

    # Devices

    def devices_of(self, hub_id: str) -> list[Device]:
        """All inputs of a hub as rules know them: those on its wires and its BLE sensors, by index."""
        from kanhu.care.rules.past import Device

        self.hub(hub_id)
        settings = self._settings.get(hub_id, {})
        places = settings.get("places", {})
        found = []
        for key, role in (("buttons", "call"), ("pirs", "motion")):
            for row in settings.get(key, checks.DEFAULT_WIRED[key]):
                room, name = places.get(str(row[0]), ("", ""))
                found.append(Device(row[0], role, room, name))
        for one in self._sensors.get(hub_id, ()):
            role = names.ROLES.get(one.role, str(one.role))
            found.append(Device(one.index, role, one.room, one.name, one.supervision_s, radio=True))
        return sorted(found, key=lambda device: device.index)

    def pir_warm_up_s(self, hub_id: str) -> int:
        """How long a hub's wired PIRs are not believed after a start."""
        found: int = self._settings.get(hub_id, {}).get("pir_warm_up", checks.DEFAULT_PIR_WARM_UP_S)
        return found

    def wired(self, hub_id: str) -> set[int]:
        """Devices that are on the hub's own wires."""
        return set(checks.wired_devices(self._settings.get(hub_id, {})))

    # Modes that a command asks for while a daemon has the journal

    def ask_mode(self, home: str, mode: int, until_ms: int | None, by: str) -> int:
        """Ask for a mode; returns the number of the request, which is gone once it is carried out."""
        self.home(home)
        with self._change() as db:
            done = db.execute(
                "INSERT INTO mode_requests (home, mode, until_ms, by, asked_ms) VALUES (?,?,?,?,?)",
                (home, mode, until_ms, checks.plain_text(by, "by"), checks.now_ms()),
            )
        return int(done.lastrowid or 0)

    def mode_requests(self) -> list[ModeRequest]:
        """What has been asked for and is not carried out, oldest first."""
        return list(self._mode_requests)

    def mode_done(self, request_id: int) -> None:
        """A request has been carried out, or cannot be."""
        with self._change() as db:
            db.execute("DELETE FROM mode_requests WHERE id=?", (request_id,))

    # Inside

    def _read(self, db: sqlite3.Connection) -> None:
        super()._read(db)
        self._rules: dict[str, dict[str, dict[str, Any]]] = {}
        for home, rule, settings in db.execute("SELECT home, rule, settings FROM rules ORDER BY home, rule"):
            self._rules.setdefault(home, {})[rule] = json.loads(settings)
        self._plans: dict[str, list[VisitPlan]] = {}
        for row in db.execute(
            "SELECT id, home, days, from_min, until_min, what FROM visit_plans ORDER BY id"
        ):
            plan = VisitPlan(*row)
            self._plans.setdefault(plan.home, []).append(plan)
        self._mode_requests = [
            ModeRequest(*row)
            for row in db.execute(
                "SELECT id, home, mode, until_ms, by, asked_ms FROM mode_requests ORDER BY id"
            )
        ]

    @staticmethod
    def _forget_care(db: sqlite3.Connection, home: str) -> None:
        for table in ("rules", "visit_plans", "mode_requests"):
            db.execute(f"DELETE FROM {table} WHERE home=?", (home,))  # noqa: S608  # fixed names
