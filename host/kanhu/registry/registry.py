"""The registry: homes, hubs and keys, as they are added, changed, revoked and forgotten."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Any

from kanhu.aead import KEY_BYTES
from kanhu.journal.identity import new_id
from kanhu.journal.past import Past
from kanhu_protocol import cbor

from . import checks
from .checks import RegistryError
from .duty import DutyTable
from .sensors import MAX_SENSORS as MAX_SENSORS
from .sites import Sites
from .wired import WiredInputs

MAX_GENERATION = 0xFFFF
# Boots that a board may have started and never told of, when another takes its place: four days of a start
# every 30 s. Its own events are then never taken for the new board's.
BOOT_STEP = 10_000
MAX_FLOOR = 0x7FFFFFFF - BOOT_STEP  # NVS keeps an i32
PASSWORD_BYTES = 24  # random, of a hub's password at the broker
NEVER = Past()  # heard


class Registry(WiredInputs, DutyTable, Sites):
    """A whole registry; here homes, hubs and keys are changed, what else there is in the parts."""

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
        retired = sorted(set(self.keys(hub_id)) - {hub.generation})
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
            self._rewired(db, hub_id, settings)
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
