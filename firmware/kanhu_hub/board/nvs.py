"""NVS namespace "kanhu": integers and blobs that outlive flash files."""

from esp32 import NVS
from micropython import const

_MAX_BLOB = const(1024)


class Nvs:
    """Every set is committed before it returns."""

    def __init__(self):
        self._nvs = NVS("kanhu")

    def i32(self, key, default):
        """An integer, or the default while it was never set."""
        try:
            return self._nvs.get_i32(key)
        except OSError:
            return default

    def set_i32(self, key, value):
        """OSError when NVS did not take it."""
        self._nvs.set_i32(key, value)
        self._nvs.commit()

    def blob(self, key):
        """Bytes, at most 1,024; None while never set."""
        buffer = bytearray(_MAX_BLOB)
        try:
            return bytes(memoryview(buffer)[: self._nvs.get_blob(key, buffer)])
        except OSError:
            return None

    def set_blob(self, key, value):
        """OSError when NVS did not take it."""
        self._nvs.set_blob(key, value)
        self._nvs.commit()
