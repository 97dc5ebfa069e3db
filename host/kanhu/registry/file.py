"""registry.db: read from memory, changed on disk; a daemon sees what the CLI has changed by refresh()."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from .checks import RegistryError
from .records import Home, Hub, Sensor
from .store import Access, open_database


class RegistryFile:
    """One registry.db (mode 0600, which is what guards the keys in it). Use from one thread."""

    def __init__(self, data_dir: Path, access: Access = "make") -> None:
        self._db = open_database(data_dir, access)
        self.path = data_dir / "registry.db"
        self.version = 0  # rises whenever anything changed, here or by another process
        self.operators_version = 0  # rises with what is changed here of operators, and of nothing else
        self.families_version = 0  # likewise of families
        self.changes = 0  # made to this registry since it was begun, as its file has it
        self._load()

    @classmethod
    def open(cls, data_dir: Path | str, access: Access = "make") -> Self:
        """Open the registry under data_dir, made if need be only with "make"; DataError with what to do."""
        return cls(Path(data_dir), access)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def refresh(self) -> bool:
        """Notice what another process changed; cheap, call it every second. True when something did."""
        try:
            if self._data_version() == self._seen:
                return False
            self._load()
        except sqlite3.OperationalError:  # being written at this moment: seen the next time
            return False
        return True

    # Homes

    def homes(self) -> list[Home]:
        """All homes, by id."""
        return list(self._homes.values())

    def home(self, home_id: str) -> Home:
        """One home; RegistryError when unknown."""
        found = self._homes.get(home_id)
        if found is None:
            raise RegistryError(f"home {home_id!r}: not known; `kanhu registry home list` shows all")
        return found

    def home_of(self, hub_id: str) -> Home | None:
        """The home of a hub, revoked or not; None for an unknown hub."""
        hub = self._hubs.get(hub_id)
        return self._homes.get(hub.home) if hub is not None else None

    # Hubs, their keys and settings

    def hubs(self, home: str | None = None) -> list[Hub]:
        """All hubs, revoked ones too, or those of one home, by id."""
        return [hub for hub in self._hubs.values() if home is None or hub.home == home]

    def hub(self, hub_id: str) -> Hub:
        """One hub; RegistryError when unknown."""
        found = self._hubs.get(hub_id)
        if found is None:
            raise RegistryError(f"hub {hub_id!r}: not known; `kanhu registry hub list` shows all")
        return found

    def knows(self, hub_id: str) -> bool:
        """Whether the hub is known and not revoked."""
        return hub_id in self._keys

    def remembers(self, hub_id: str) -> bool:
        """Whether the hub is known, revoked or not."""
        return hub_id in self._hubs

    def keys(self, hub_id: str) -> dict[int, bytes]:
        """Keys by generation; empty for an unknown or revoked hub."""
        return self._keys.get(hub_id, {})

    def key(self, hub_id: str) -> tuple[int, bytes] | None:
        """The newest (generation, key); None for an unknown or revoked hub."""
        keys = self._keys.get(hub_id)
        if not keys:
            return None
        generation = max(keys)
        return generation, keys[generation]

    def settings(self, hub_id: str) -> dict[str, Any]:
        """What of a hub's settings is not the default (contracts, section 6), without secrets."""
        self.hub(hub_id)
        return dict(self._settings.get(hub_id, {}))

    # Sensors

    def sensors(self, hub_id: str) -> list[Sensor]:
        """A hub's sensors by index."""
        self.hub(hub_id)
        return list(self._sensors.get(hub_id, ()))

    # Erasure

    def erasures(self) -> dict[str, bool]:
        """Hubs that the journal has still to forget: whether undelivered events are to go too."""
        return dict(self._erasures)

    # Inside, for the parts that derive

    def _active(self, hub_id: str) -> Hub:
        hub = self.hub(hub_id)
        if hub.revoked_ms is not None:
            raise RegistryError(f"hub {hub_id!r}: is revoked; add a new one")
        return hub

    def _data_version(self) -> int:
        (version,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(version)

    @contextmanager
    def _change(self, operators: bool = False, load: bool = True) -> Iterator[sqlite3.Connection]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("UPDATE meta SET value=value+1 WHERE key='changes'")
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.IntegrityError:
            self._load()
            raise RegistryError(
                "another process has just changed the same entry: look, and try again"
            ) from None
        except sqlite3.Error as error:
            raise RegistryError(f"{self.path}: {error}; nothing was changed") from None
        if operators:  # a desk does this in the daemon's loop, where reading 20,000 homes takes half a second
            self.operators_version += 1
        elif load:  # else whoever changes it changes what is in memory, too
            self._load()

    def _load(self) -> None:
        self._db.execute("BEGIN")
        try:
            self._read(self._db)
        finally:
            self._db.execute("COMMIT")
        self._seen = self._data_version()
        self.version += 1

    def _read(self, db: sqlite3.Connection) -> None:
        """Everything anew, as of one moment; a part extends this by its own tables."""
        self._homes = {
            home: Home(home, region, zone, name, address, tuple(json.loads(phones)))
            for home, region, zone, name, address, phones in db.execute(
                "SELECT id, region, time_zone, name, address, phones FROM homes ORDER BY id"
            )
        }
        (self.changes,) = db.execute("SELECT value FROM meta WHERE key='changes'").fetchone()
        self._keys: dict[str, dict[int, bytes]] = {}
        for hub, generation, key in db.execute("SELECT hub, generation, key FROM keys"):
            self._keys.setdefault(hub, {})[generation] = key
        self._hubs: dict[str, Hub] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        for hub, home, table, config, settings, created_ms, revoked_ms in db.execute(
            "SELECT id, home, table_version, config_version, settings, created_ms, revoked_ms "
            "FROM hubs ORDER BY id"
        ):
            generation = max(self._keys.get(hub, {0: b""}))
            self._hubs[hub] = Hub(hub, home, generation, table, config, created_ms, revoked_ms)
            self._settings[hub] = json.loads(settings)
        self._passwords: dict[str, str] = dict(
            db.execute("SELECT id, mqtt_password FROM hubs WHERE mqtt_password IS NOT NULL")
        )
        self._sensors: dict[str, list[Sensor]] = {}
        self._bind_keys: dict[str, dict[int, bytes]] = {}
        for hub, device, role, address, name, room, supervision_s, bind_key, *more in db.execute(
            "SELECT hub, device, role, address, name, room, supervision_s, bind_key, wearer, table_version, "
            "paired_ms, proven_ms FROM sensors WHERE removed_ms IS NULL ORDER BY hub, device"
        ):
            encrypted = bind_key is not None
            sensor = Sensor(hub, device, role, address, name, room, supervision_s, encrypted, *more)
            self._sensors.setdefault(hub, []).append(sensor)
            if encrypted:
                self._bind_keys.setdefault(hub, {})[device] = bind_key
        self._zones: dict[str, int] = dict(db.execute("SELECT id, zone_s FROM hubs WHERE zone_s IS NOT NULL"))
        self._erasures = {
            hub: bool(discard) for hub, discard in db.execute("SELECT hub, discard FROM erasures")
        }
