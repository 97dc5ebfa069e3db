"""A hub's wired inputs as sensors that can be proven, too: no address, no place in the hub's table."""

from __future__ import annotations

import sqlite3
from typing import Any

from kanhu_protocol import names

from . import checks
from .care import CareTables
from .checks import RegistryError
from .records import Sensor
from .sensors import SensorTable

_NUMBERS = {name: number for number, name in names.ROLES.items()}


class WiredInputs(CareTables, SensorTable):
    """All inputs of hubs in one view: those on their wires, whose address is b"", and their BLE sensors."""

    def wired_inputs(self, hub_id: str) -> list[Sensor]:
        """What is on a hub's wires, by index; it is paired since the hub is there."""
        hub = self.hub(hub_id)
        proven = dict(self._db.execute("SELECT device, proven_ms FROM wired_proofs WHERE hub=?", (hub_id,)))
        return [
            Sensor(
                hub_id, one.index, _NUMBERS[one.role], b"", one.name, one.room,
                paired_ms=hub.created_ms, proven_ms=proven.get(one.index),
            )
            for one in self.devices_of(hub_id)
            if not one.radio
        ]  # fmt: skip

    def input(self, hub_id: str, index: int) -> Sensor:
        """A wired input or BLE sensor; RegistryError when the hub has none of this index."""
        for one in (*self.wired_inputs(hub_id), *self.sensors(hub_id)):
            if one.index == index:
                return one
        raise RegistryError(f"index {index}: hub {hub_id} has no such sensor or wired input")

    def proven_ms(self, hub_id: str, index: int) -> int | None:
        """When an input last showed, while it was waited for, that what it says reaches the platform."""
        return self.input(hub_id, index).proven_ms

    def sensor_proven(self, sensor: Sensor, at_ms: int) -> None:
        """It has shown so at_ms (host UTC)."""
        if sensor.address:
            super().sensor_proven(sensor, at_ms)
            return
        if sensor.index in self.wired(sensor.hub):
            with self._change(load=False) as db:
                row = (sensor.hub, sensor.index, at_ms)
                db.execute("INSERT OR REPLACE INTO wired_proofs VALUES (?,?,?)", row)

    def _rewired(self, db: sqlite3.Connection, hub_id: str, settings: dict[str, Any]) -> None:
        """Another pin is another input: what was proven of the old one says nothing of it."""
        now = _rows(settings)
        for device, row in _rows(self._settings.get(hub_id, {})).items():
            if now.get(device) != row:
                db.execute("DELETE FROM wired_proofs WHERE hub=? AND device=?", (hub_id, device))


def _rows(settings: dict[str, Any]) -> dict[int, list[Any]]:
    return {
        row[0]: [key, *row]
        for key, default in checks.DEFAULT_WIRED.items()
        for row in settings.get(key, default)
    }
