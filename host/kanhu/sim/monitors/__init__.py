"""Simulated personal health monitors; Bumble is loaded with the first one."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kanhu.sim.monitors.manners import Manners

if TYPE_CHECKING:
    from kanhu.sim.gatt import Link
    from kanhu.sim.monitors.base import Monitor

__all__ = ["KINDS", "Manners", "make"]

KINDS = {
    "blood_pressure": "BloodPressure",
    "heart_rate": "HeartRate",
    "pulse_oximeter": "PulseOximeter",
    "thermometer": "Thermometer",
    "weight_scale": "WeightScale",
    "glucose": "Glucose",
}


async def make(kind: str, link: Link, address: str, rssi: int, manners: Manners) -> Monitor:
    """A monitor that is switched on and asleep."""
    module = importlib.import_module(f"kanhu.sim.monitors.{kind}")
    monitor: Monitor = getattr(module, KINDS[kind])(link, address, rssi, manners)
    await monitor.start()
    return monitor
