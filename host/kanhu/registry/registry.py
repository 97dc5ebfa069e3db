"""The registry: homes, hubs, keys and sensors, as they are added, changed, revoked and forgotten."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any

from kanhu.aead import KEY_BYTES
from kanhu.journal.identity import new_id
from kanhu.journal.past import Past, past
from kanhu_protocol import cbor, names

from . import checks
from .care import CareTables
from .checks import RegistryError
from .duty import DutyTable

MAX_GENERATION = 0xFFFF
# Boots that a board may have started and never told of, when another takes its place: four days of a start
# every 30 s. Its own events are then never taken for the new board's.
BOOT_STEP = 10_000
MAX_FLOOR = 0x7FFFFFFF - BOOT_STEP  # NVS keeps an i32
PASSWORD_BYTES = 24  # random, of a hub's password at the broker
NEVER = Past()  # heard
MAX_SENSORS = 28  # a device table with as many keys travels in one sealed message (contracts, section 5)


class Registry(CareTables, DutyTable):
    """A whole registry; here homes, hubs, keys and sensors are changed, what else there is in the parts."""

    # Homes

    def add_home(
        self, region: str | None = None, time_zone: str = "Asia/Shanghai", name: str = "", address: str = "",
        phones: Sequence[str] = (), home_id: str | None = None,
    ) -> str:  # fmt: skip
        """Add a home; returns its pseudonym, made at random when none is given."""
        home_id = checks.identifier(home_id, "home") if home_id else new_id()
        if home_id in self._homes:
            raise RegistryError(f"home {home_id!r}: there already")
        row = (
            home_id,
            checks.region(region),
            checks.time_zone(time_zone),
            checks.plain_text(name, "name"),
            checks.plain_text(address, "address"),
            json.dumps([checks.phone(phone) for phone in phones]),
        )
        with self._change() as db:
            db.execute("INSERT INTO homes VALUES (?,?,?,?,?,?)", row)
        return home_id

    # Hubs and keys

    def add_hub(self, home: str, hub_id: str | None = None, heard: Past = NEVER) -> tuple[str, bytes]:
        """Add a hub to a home; returns its id (random when none is given) and its first key.

        heard: what the journal knows of the id, when it was in a registry that is lost. The key is of
        generation 1 then no more: an old one must not open what a new one seals."""
        self.home(home)
        hub_id = checks.identifier(hub_id, "hub") if hub_id else new_id()
        if hub_id in self._hubs:
            raise RegistryError(f"hub {hub_id!r}: there already")
        key, now = secrets.token_bytes(KEY_BYTES), checks.now_ms()
        floor = heard.boot + BOOT_STEP if heard.boot else 0
        with self._change() as db:
            db.execute(
                "INSERT INTO hubs (id, home, created_ms, next_floor, mqtt_password) VALUES (?,?,?,?,?)",
                (hub_id, home, now, floor, secrets.token_urlsafe(PASSWORD_BYTES)),
            )
            db.execute("INSERT INTO keys VALUES (?,?,?,?)", (hub_id, heard.generation + 1, key, now))
        return hub_id, key

    def new_key(self, hub_id: str, heard: Past = NEVER) -> tuple[int, bytes, int]:
        """A further key, and the boot counter to begin above, for a board that is made this hub; older keys
        still open its backlog. heard: what the journal knows of the hub."""
        hub = self._active(hub_id)
        generation, key = max(hub.generation, heard.generation) + 1, secrets.token_bytes(KEY_BYTES)
        if generation > MAX_GENERATION:
            raise RegistryError(f"hub {hub_id!r}: has used up its keys; add a new hub")
        (next_floor,) = self._db.execute("SELECT next_floor FROM hubs WHERE id=?", (hub_id,)).fetchone()
        floor = max(next_floor, heard.boot + BOOT_STEP if heard.boot else 0)
        if floor > MAX_FLOOR:
            raise RegistryError(f"hub {hub_id!r}: has used up its boots; add a new hub")
        with self._change() as db:
            db.execute("INSERT INTO keys VALUES (?,?,?,?)", (hub_id, generation, key, checks.now_ms()))
            db.execute("UPDATE hubs SET next_floor=? WHERE id=?", (floor + BOOT_STEP, hub_id))
        return generation, key, floor

    def retire_keys(self, hub_id: str) -> list[int]:
        """Delete all keys of a hub but the newest; returns their generations. What they sealed and has not
        arrived can no longer be opened."""
        hub = self._active(hub_id)
        retired = sorted(set(self._keys[hub_id]) - {hub.generation})
        if retired:
            with self._change() as db:
                db.execute("DELETE FROM keys WHERE hub=? AND generation<?", (hub_id, hub.generation))
        return retired

    def revoke_hub(self, hub_id: str) -> None:
        """Forget a hub's keys: from now on nothing it says is believed."""
        self._active(hub_id)
        with self._change() as db:
            db.execute("UPDATE hubs SET revoked_ms=? WHERE id=?", (checks.now_ms(), hub_id))
            db.execute("DELETE FROM keys WHERE hub=?", (hub_id,))

    # Erasure: here at once, in the journal by whoever has it open (kanhu.erasure)

    def forget_home(self, home_id: str, discard: bool) -> list[str]:
        """Delete a home with its hubs, keys and sensors, for ever; returns the hubs, now to be erased."""
        self.home(home_id)
        hubs = [hub.id for hub in self.hubs(home_id)]
        with self._change() as db:
            for hub in hubs:
                db.execute("INSERT OR REPLACE INTO erasures VALUES (?,?)", (hub, discard))
                for table in ("keys", "sensors"):
                    db.execute(f"DELETE FROM {table} WHERE hub=?", (hub,))  # noqa: S608  # fixed names
            db.execute("DELETE FROM hubs WHERE home=?", (home_id,))
            self._forget_care(db, home_id)
            db.execute("DELETE FROM homes WHERE id=?", (home_id,))
        self._compact()
        return hubs

    def erased(self, hub_id: str) -> None:
        """The journal has forgotten a hub; nothing names it any more."""
        with self._change() as db:
            db.execute("DELETE FROM erasures WHERE hub=?", (hub_id,))
        self._compact()

    def _compact(self) -> None:
        """Write the file anew, without what deleted rows have left."""
        try:
            self._db.execute("VACUUM")
        except sqlite3.Error as error:
            raise RegistryError(f"{self.path}: {error}; deleted, and to be run once more") from None

    def mqtt_password(self, hub_id: str) -> str:
        """The hub's password at the broker, its hub_id being its user name; made if it never had one."""
        self._active(hub_id)
        if hub_id not in self._passwords:
            made = secrets.token_urlsafe(PASSWORD_BYTES)
            with self._change() as db:
                # Another process may have made one meanwhile.
                db.execute(
                    "UPDATE hubs SET mqtt_password=? WHERE id=? AND mqtt_password IS NULL", (made, hub_id)
                )
        return self._passwords[hub_id]

    # Sensors

    def sensor_history(self, hub_id: str) -> list[dict[str, Any]]:
        """All sensors a hub has ever had, without their keys, as plain values."""
        rows = self._db.execute(
            "SELECT device, role, address, name, room, supervision_s, added_ms, removed_ms FROM sensors "
            "WHERE hub=? ORDER BY added_ms",
            (hub_id,),
        )
        return [
            {
                "index": device, "role": names.ROLES.get(role, str(role)),
                "address": address.hex(":").upper(), "name": name, "room": room,
                "supervision_s": supervision_s, "added_ms": added_ms, "removed_ms": removed_ms,
            }
            for device, role, address, name, room, supervision_s, added_ms, removed_ms in rows
        ]  # fmt: skip

    def add_sensor(
        self, hub_id: str, role: str, address: str, name: str = "", room: str = "", supervision_s: int = 0,
        index: int | None = None, bind_key: bytes | None = None,
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
        row = (
            hub_id, index, checks.role(role), mac,
            checks.plain_text(name, "name"), checks.plain_text(room, "room"),
            checks.supervision(supervision_s), checks.now_ms(), bind_key,
        )  # fmt: skip
        version = self._next_table(hub_id)
        with self._change() as db:
            db.execute(
                "INSERT INTO sensors (hub, device, role, address, name, room, supervision_s, added_ms, "
                "bind_key) VALUES (?,?,?,?,?,?,?,?,?)",
                row,
            )
            db.execute("UPDATE hubs SET table_version=max(table_version+1, ?) WHERE id=?", (version, hub_id))
        return index

    def remove_sensor(self, hub_id: str, index: int) -> None:
        """Take a sensor out of a hub's device table, and forget its key."""
        self._change_sensor(hub_id, index, "removed_ms=?, bind_key=NULL", checks.now_ms())

    def set_bind_key(self, hub_id: str, index: int, bind_key: bytes | None) -> None:
        """Give a sensor another key, or none."""
        self._active(hub_id)
        self._change_sensor(hub_id, index, "bind_key=?", bind_key)

    def _change_sensor(self, hub_id: str, index: int, change: str, value: object) -> None:
        self.hub(hub_id)
        if all(sensor.index != index for sensor in self._sensors.get(hub_id, ())):
            raise RegistryError(f"index {index}: hub {hub_id} has no such sensor")
        version = self._next_table(hub_id)
        with self._change() as db:
            db.execute(
                f"UPDATE sensors SET {change} WHERE hub=? AND device=? "  # noqa: S608  # fixed columns
                "AND removed_ms IS NULL",
                (value, hub_id, index),
            )
            db.execute("UPDATE hubs SET table_version=max(table_version+1, ?) WHERE id=?", (version, hub_id))

    def _next_table(self, hub_id: str) -> int:
        # Above what an older copy of this file has forgotten: the hub would not take the table otherwise.
        return max(self.hub(hub_id).table_version, past(self.path.parent, hub_id).table) + 1

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        """(version, [[index, role, address, supervision_s, key?], ..]) for DEVICES (contracts, section 5)."""
        keys = self._bind_keys.get(hub_id, {})
        entries: list[list[Any]] = [
            [s.index, s.role, s.address, s.supervision_s, *([keys[s.index]] if s.encrypted else [])]
            for s in self.sensors(hub_id)
        ]
        return self.hub(hub_id).table_version, entries

    # Settings

    def set_settings(self, hub_id: str, settings: dict[str, Any]) -> int:
        """Replace a hub's settings; returns the new version. They reach the hub when it is provisioned."""
        self._active(hub_id)
        checks.settings(settings)
        sensors = {sensor.index for sensor in self._sensors.get(hub_id, ())}
        for device in checks.wired_devices(settings):
            if device in sensors:
                raise RegistryError(f"settings: device {device} is a sensor of hub {hub_id} already")
        with self._change() as db:
            db.execute(
                "UPDATE hubs SET settings=?, config_version=config_version+1 WHERE id=?",
                (json.dumps(settings), hub_id),
            )
        return self.hub(hub_id).config_version

    def hub_config(
        self,
        hub_id: str,
        wifi: tuple[str, str] | None = None,
        broker: tuple[str, int, str, str] | None = None,
        tls: bool = False,
    ) -> bytes:
        """The CBOR map for the hub's NVS; wifi (ssid, password), broker (host, port, user, password)."""
        config: dict[str, Any] = self.settings(hub_id)
        for key in checks.STAYS_HERE:
            config.pop(key, None)
        config["version"] = self.hub(hub_id).config_version
        if wifi is not None:
            config["wifi"] = list(wifi)
        if broker is not None:
            config["broker"] = list(broker)
            if tls:
                config["tls"] = True
        try:
            data: bytes = cbor.dumps(config)
        except cbor.CborError:
            raise RegistryError(
                f"hub {hub_id}: its configuration is longer than {cbor.MAX_SIZE} bytes"
            ) from None
        return data

    # Inside

    def _free_index(self, hub_id: str, taken: set[int]) -> int:
        (used,) = self._db.execute("SELECT max(device) FROM sensors WHERE hub=?", (hub_id,)).fetchone()
        start = max(used or 0, *taken, 0) + 1
        # After 255 the numbers of removed sensors have to serve again.
        for index in (*range(start, 256), *range(1, 256)):
            if index not in taken:
                return int(index)
        raise RegistryError(f"hub {hub_id}: has 255 devices, and no index is left")
