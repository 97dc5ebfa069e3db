"""Giving a hub its network, by cable or over BLE: the installer's side (docs/provisioning.md)."""

from kanhu.install.code import ProvisionError

from .session import Session, Settings, Step
from .wires import SerialWire, Wire

__all__ = ["ProvisionError", "SerialWire", "Session", "Settings", "Step", "Wire"]
