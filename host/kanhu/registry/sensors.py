"""Sensors that hubs listen to: the device tables, of which hubs hold copies by version."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from kanhu.journal.past import past
from kanhu_protocol import names

from . import checks
from .checks import RegistryError
from .file import RegistryFile
from .records import Sensor

MAX_SENSORS = 28  # a device table with as many keys travels in one sealed message (contracts, section 5)
MONITORS = range(11, 17)  # roles (names.ROLES) whose clocks the hub sets by the home's


class SensorTable(RegistryFile):
    """The registry's device tables. Each change is one transaction, and a new version of the hub's table."""

    _held_version = -1  # of the registry that _held was made of
    _held: dict[bytes, list[str]]  # address: hubs

    def sensor(self, hub_id: str, index: int) -> Sensor:
        """One sensor; RegistryError when the hub has none of this index."""
        for sensor in self.sensors(hub_id):
            if sensor.index == index:
                return sensor
        raise RegistryError(f"index {index}: hub {hub_id} has no such sensor")

    def owners(self, address: bytes) -> list[Sensor]:
        """Whoever has a sensor of this address: at most one a hub."""
        if self._held_version != self.version:  # a page asks this of all that a hub hears, twice a second
            self._held_version, self._held = self.version, {}
            for hub, sensors in self._sensors.items():
                for one in sensors:
                    self._held.setdefault(one.address, []).append(hub)
        hubs = self._held.get(address, ())
        return [one for hub in hubs for one in self._sensors.get(hub, ()) if one.address == address]

    def added_ms(self, hub_id: str) -> dict[int, int]:
        """When each BLE sensor that a hub has came to its index, host UTC."""
        sql = "SELECT device, added_ms FROM sensors WHERE hub=? AND removed_ms IS NULL"
        return dict(self._db.execute(sql, (hub_id,)).fetchall())

    def sensor_history(self, hub_id: str) -> list[dict[str, Any]]:
        """All sensors a hub has ever had, without their keys, as plain values."""
        rows = self._db.execute(
            "SELECT device, role, address, name, room, wearer, supervision_s, added_ms, paired_ms, "
            "proven_ms, removed_ms FROM sensors WHERE hub=? ORDER BY added_ms, rowid",
            (hub_id,),
        )
        return [
            {
                "index": device, "role": names.ROLES.get(role, str(role)),
                "address": address.hex(":").upper(), "name": name, "room": room, "wearer": wearer,
                "supervision_s": supervision_s, "added_ms": added_ms, "paired_ms": paired_ms,
                "proven_ms": proven_ms, "removed_ms": removed_ms,
            }
            for device, role, address, name, room, wearer, supervision_s, added_ms, paired_ms, proven_ms,
            removed_ms in rows
        ]  # fmt: skip

    def add_sensor(
        self, hub_id: str, role: str, address: str, name: str = "", room: str = "", supervision_s: int = 0,
        index: int | None = None, bind_key: bytes | None = None, wearer: str = "",
    ) -> int:  # fmt: skip
        """Add a BLE sensor to a hub's device table; returns its index, a never used one by default.

        With a bind_key (16 bytes, BTHome v2) only what is encrypted with it is believed of the sensor."""
        self._active(hub_id)
        mac = checks.mac(address)
        sensors = self._sensors.get(hub_id, [])
        for sensor in sensors:
            if sensor.address == mac:
                raise RegistryError(f"sensor {sensor.mac}: hub {hub_id} has it as {sensor.index}")
        if len(sensors) >= MAX_SENSORS:
            raise RegistryError(
                f"hub {hub_id}: has {MAX_SENSORS} sensors, the most its table holds; remove one or add a hub"
            )
        wired = set(checks.wired_devices(self.settings(hub_id)))
        taken = wired | {sensor.index for sensor in sensors}
        if index is None:
            index = self._free_index(hub_id, taken)
        elif checks.device_index(index) in taken:
            who = "a wired input" if index in wired else "another sensor"
            raise RegistryError(f"index {index}: {who} of hub {hub_id} has it")
        self._insert(
            hub_id,
            (
                index, checks.role(role), mac, checks.plain_text(name, "name"),
                checks.plain_text(room, "room"), checks.plain_text(wearer, "wearer"),
                checks.supervision(supervision_s), bind_key,
            ),
            (),
        )  # fmt: skip
        return index

    def replace_sensor(
        self, hub_id: str, index: int, address: str, bind_key: bytes | None = None, role: int | None = None
    ) -> None:
        """Another sensor takes the index, name and place of one; where the hub has it already, it moves."""
        self._active(hub_id)
        old, mac = self.sensor(hub_id, index), checks.mac(address)
        if mac == old.address:
            raise RegistryError(f"sensor {old.mac}: is sensor {index} of hub {hub_id} already")
        if role is not None and role != old.role:
            raise RegistryError(
                f"sensor {index} is of role {names.ROLES.get(old.role)}, the new one of role "
                f"{names.ROLES.get(role)}: unpair the one and pair the other"
            )
        gone = [index, *(one.index for one in self.sensors(hub_id) if one.address == mac)]
        row = index, old.role, mac, old.name, old.room, old.wearer, old.supervision_s, bind_key
        self._insert(hub_id, row, gone)

    def remove_sensor(self, hub_id: str, index: int) -> None:
        """Take a sensor out of a hub's device table, and forget its key."""
        self.sensor(hub_id, index)
        version = self._next_table(hub_id)
        with self._change() as db:
            _remove(db, hub_id, index)
            self._new_table(db, hub_id, version)

    def set_bind_key(self, hub_id: str, index: int, bind_key: bytes | None) -> None:
        """Give a sensor another key, or none."""
        self._active(hub_id)
        self.sensor(hub_id, index)
        version = self._next_table(hub_id)
        with self._change() as db:
            version = self._new_table(db, hub_id, version)
            db.execute(
                "UPDATE sensors SET bind_key=?, table_version=?, paired_ms=NULL "
                "WHERE hub=? AND device=? AND removed_ms IS NULL",
                (bind_key, version, hub_id, index),
            )

    def rename_sensor(
        self, hub_id: str, index: int, name: str | None = None, room: str | None = None,
        wearer: str | None = None,
    ) -> Sensor:  # fmt: skip
        """What people call it, where it is, who wears it; None stays. The hub does not hold these."""
        old = self.sensor(hub_id, index)
        given = {"name": name, "room": room, "wearer": wearer}
        row = [
            getattr(old, what) if text is None else checks.plain_text(text, what)
            for what, text in given.items()
        ]
        with self._change() as db:
            db.execute(
                "UPDATE sensors SET name=?, room=?, wearer=? WHERE hub=? AND device=? AND removed_ms IS NULL",
                (*row, hub_id, index),
            )
        return self.sensor(hub_id, index)

    # The hub's copy

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        """(version, [[index, role, address, supervision_s, key?], ..]) for DEVICES (contracts, section 5)."""
        keys = self._bind_keys.get(hub_id, {})
        entries: list[list[Any]] = [
            [s.index, s.role, s.address, s.supervision_s, *([keys[s.index]] if s.encrypted else [])]
            for s in self.sensors(hub_id)
        ]
        return self.hub(hub_id).table_version, entries

    def zone_s(self, hub_id: str) -> int | None:
        """The home's local time ahead of UTC in s, as it goes with the table; None: with none yet."""
        return self._zones.get(hub_id)

    def keep_zones(self, now_s: float) -> list[str]:
        """New tables for hubs with health monitors whose home's local time has moved; returns them."""
        moved = [
            hub
            for hub, sensors in self._sensors.items()
            if self.knows(hub)
            and any(sensor.role in MONITORS for sensor in sensors)
            and self._zones.get(hub) != self._offset(hub, now_s)
        ]
        if moved:
            versions = {hub: self._next_table(hub) for hub in moved}
            with self._change() as db:
                for hub, version in versions.items():
                    self._new_table(db, hub, version, now_s)
        return moved

    def tables_confirmed(self, versions: dict[str, int]) -> None:
        """Hubs hold these versions of their tables, or later ones: sensors of those are paired."""
        paired = {
            hub: version
            for hub, version in versions.items()
            if any(s.paired_ms is None and s.table_version <= version for s in self._sensors.get(hub, ()))
        }
        if not paired:
            return
        now = checks.now_ms()
        with self._change(load=False) as db:
            db.executemany(
                "UPDATE sensors SET paired_ms=? WHERE hub=? AND paired_ms IS NULL AND table_version<=? "
                "AND removed_ms IS NULL",
                [(now, hub, version) for hub, version in paired.items()],
            )
        for hub, version in paired.items():
            self._sensors[hub] = [
                replace(s, paired_ms=now) if s.paired_ms is None and s.table_version <= version else s
                for s in self._sensors[hub]
            ]

    def sensor_proven(self, sensor: Sensor, at_ms: int) -> None:
        """The sensor has shown at_ms (host UTC) that what it says reaches the platform."""
        with self._change(load=False) as db:
            db.execute(
                "UPDATE sensors SET proven_ms=? WHERE hub=? AND device=? AND address=? "
                "AND removed_ms IS NULL",
                (at_ms, sensor.hub, sensor.index, sensor.address),
            )
        self._sensors[sensor.hub] = [
            replace(s, proven_ms=at_ms) if (s.index, s.address) == (sensor.index, sensor.address) else s
            for s in self._sensors.get(sensor.hub, ())
        ]

    # Inside

    def _insert(self, hub_id: str, row: tuple[Any, ...], gone: Any) -> None:
        version = self._next_table(hub_id)
        with self._change() as db:
            for index in gone:
                _remove(db, hub_id, index)
            version = self._new_table(db, hub_id, version)
            db.execute(
                "INSERT INTO sensors (device, role, address, name, room, wearer, supervision_s, bind_key, "
                "hub, added_ms, table_version) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                (*row, hub_id, checks.now_ms(), version),
            )

    def _next_table(self, hub_id: str) -> int:
        # Above what an older copy of this file has forgotten: the hub would not take the table otherwise.
        return max(self.hub(hub_id).table_version, past(self.path.parent, hub_id).table) + 1

    def _new_table(
        self, db: sqlite3.Connection, hub_id: str, version: int, now_s: float | None = None
    ) -> int:
        zone_s = self._offset(hub_id, checks.now_ms() / 1000 if now_s is None else now_s)
        (made,) = db.execute(
            "UPDATE hubs SET table_version=max(table_version+1, ?), zone_s=? WHERE id=? "
            "RETURNING table_version",
            (version, zone_s, hub_id),
        ).fetchone()
        return int(made)

    def _offset(self, hub_id: str, now_s: float) -> int:
        offset = datetime.fromtimestamp(
            now_s, ZoneInfo(self.home(self.hub(hub_id).home).time_zone)
        ).utcoffset()
        return int(offset.total_seconds()) if offset is not None else 0

    def _free_index(self, hub_id: str, taken: set[int]) -> int:
        (used,) = self._db.execute("SELECT max(device) FROM sensors WHERE hub=?", (hub_id,)).fetchone()
        start = max(used or 0, *taken, 0) + 1
        # After 255 the numbers of removed sensors have to serve again.
        for index in (*range(start, 256), *range(1, 256)):
            if index not in taken:
                return int(index)
        raise RegistryError(f"hub {hub_id}: has 255 devices, and no index is left")


def _remove(db: sqlite3.Connection, hub_id: str, index: int) -> None:
    db.execute(
        "UPDATE sensors SET removed_ms=?, bind_key=NULL WHERE hub=? AND device=? AND removed_ms IS NULL",
        (checks.now_ms(), hub_id, index),
    )
