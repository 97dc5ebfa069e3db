"""The hub's copy of the device table: which BLE sensors are this home's."""

from kanhu_hub import store
from kanhu_protocol import cbor


class Devices:
    """entries: [index, role, address, supervision_s, key?]; the registry numbers its versions."""

    def __init__(self, path):
        self.path = path
        self.version = 0
        self.entries = []
        self.zone_s = None  # the home's local time ahead of UTC
        self.on_change = None
        raw = store.read(path)
        if raw:
            try:
                row = cbor.loads(raw, 16384)
                zone_s = row[2] if row[2:] else None  # a table of before had no zone
                self.version, self.entries, self.zone_s = row[0] + 0, row[1] + [], zone_s
            except (ValueError, TypeError, LookupError):
                pass  # the host sees version 0 in the boot event and sends the table again

    def all(self):
        """Every entry."""
        return self.entries

    def replace(self, version, table, zone_s=None):
        """Take a newer table over; False when flash did not take it. An older one changes nothing."""
        if version <= self.version:
            return True
        try:
            store.replace(self.path, cbor.dumps([version, table, zone_s], 16384))
        except OSError:
            return False
        self.version, self.entries, self.zone_s = version, table, zone_s
        if self.on_change:
            self.on_change()
        return True
