"""BLE radio: listens all the time, and hands advertisements over in preallocated slots."""

import asyncio

import bluetooth
from micropython import const

_IRQ_SCAN_RESULT = const(5)
_IRQ_SCAN_DONE = const(6)
_SLOTS = const(128)
_SLOT = const(41)  # address 6, RSSI 1, length 1, data 31, types 1 (address's + 4 x advertisement's); 1 spare
_TYPES = const(39)  # where the types stand
_DATA = const(31)
# Window = interval: the port's default of 11.25 ms every 1.28 s hears 0.9 % of the air.
_INTERVAL_US = const(30000)
_BUSY_MS = const(50)
_SCAN_MS = const(0)  # until stopped


class Radio:
    """heard() gives advertisements; `overflows` counts those that found no free slot."""

    def __init__(self):
        self._ble = bluetooth.BLE()
        self._slots = bytearray(_SLOTS * _SLOT)
        self._view = memoryview(self._slots)
        self._head = 0  # next slot the interrupt writes
        self._tail = 0  # next slot to read
        self._flag = asyncio.ThreadSafeFlag()
        self._scanning = False
        self._count = 0
        self.overflows = 0
        self.watched = {}  # address: called with its types (as in a slot) and data
        self.connecting = False  # meanwhile no controller scans
        self.other = None  # the interrupt of all other events

    def start(self):
        """Switch BLE on and scan."""
        self._ble.active(True)
        self._ble.irq(self._irq)
        self._scan()

    def _scan(self):
        # Passive: callers say everything in their advertisement, and a scan request costs air.
        self._ble.gap_scan(_SCAN_MS, _INTERVAL_US, _INTERVAL_US, False)
        self._scanning = True

    def central(self, secrets):
        """The same radio as a central; secrets as inputs/monitors/bonds.py has them."""
        from kanhu_hub.board.central import Central

        return Central(self, self._ble, secrets)

    def resume(self):
        """A connection is made, or is not: scan again."""
        self.connecting = False
        self._flag.set()

    def _irq(self, event, data):
        # Runs on NimBLE's task with buffers that are reused: copy and flag, nothing else.
        if event == _IRQ_SCAN_RESULT:
            following = (self._head + 1) % _SLOTS
            if following == self._tail:
                self.overflows += 1
                return
            address_type, address, kind, rssi, payload = data
            at = self._head * _SLOT
            view = self._view
            length = min(len(payload), _DATA)
            view[at : at + 6] = address
            view[at + 6] = rssi & 255
            view[at + 7] = length
            view[at + 8 : at + 8 + length] = payload[:length]
            view[at + _TYPES] = address_type | kind << 2
            self._head = following
            self._flag.set()
        elif event == _IRQ_SCAN_DONE:
            self._scanning = False
            self._flag.set()
        elif self.other:
            return self.other(event, data)

    async def heard(self):
        """Wait for advertisements; an iterable of (address: 6 bytes as printed, RSSI dBm, data)."""
        while self._tail == self._head:
            if not self._scanning and not self.connecting:
                try:
                    self._scan()
                except OSError:  # the controller is not done with a connection
                    await asyncio.sleep_ms(_BUSY_MS)
                    continue
            await self._flag.wait()
        return self._drain()

    def _drain(self):
        while self._tail != self._head:
            at = self._tail * _SLOT
            slots = self._slots
            rssi = slots[at + 6]
            types = slots[at + _TYPES]
            advertisement = (
                bytes(slots[at : at + 6]),
                rssi - 256 if rssi > 127 else rssi,
                bytes(slots[at + 8 : at + 8 + slots[at + 7]]),
            )
            self._tail = (self._tail + 1) % _SLOTS
            self._count += 1
            watcher = self.watched.get(advertisement[0])
            if watcher:
                watcher(types, advertisement[2])
            yield advertisement

    def report(self):
        """[scan duty percent, advertisements heard since the last report]."""
        count = self._count
        self._count = 0
        return [100 if self._scanning else 0, count]
