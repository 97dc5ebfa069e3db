"""Homes, hubs, sensors and keys: the only place with names, addresses and telephone numbers."""

from .checks import RegistryError
from .records import Home, Hub, Sensor
from .registry import Registry
from .store import Access

__all__ = ["Access", "Home", "Hub", "Registry", "RegistryError", "Sensor"]
