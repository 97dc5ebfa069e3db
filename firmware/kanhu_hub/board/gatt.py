"""The peripheral's side of GATT: one service, one connection at a time, as a stream of bytes."""

import asyncio
import time

import bluetooth
from micropython import const

# docs/commissioning.md
_SERVICE = "35b02cea-db40-472c-b04b-0ad3860bf027"
_TO_HUB = "35b02ceb-db40-472c-b04b-0ad3860bf027"
_FROM_HUB = "35b02cec-db40-472c-b04b-0ad3860bf027"
_INTERVAL_US = const(100000)
_DUMB_MS = const(15000)  # a connection that has brought nothing of use
_IDLE_MS = const(120000)  # one that has
_PAUSE_MS = const(1000)  # before the next advertising after such a one; doubles
_PAUSE_MAX_MS = const(32000)
_LOOK_MS = const(500)
_STALL_MS = const(20)
_STALLS = const(100)  # notifications that found no buffer, in a row
_BUFFER = const(2200)  # the longest frame, escaped
_OUT = const(8192)  # bytes waiting to be notified; what is more is not sent: the outbox says it again
# bluetooth._IRQ_*
_CONNECTED = const(1)
_DISCONNECTED = const(2)
_WRITTEN = const(3)
_MTU = const(21)
_WRITE = const(0x0C)  # with and without response
_NOTIFY = const(0x10)


def of(radio, hub_id):
    """The one of this board; it runs from the first call on."""
    gatt = getattr(radio, "gatt", None)
    if not gatt:
        gatt = radio.gatt = Gatt(radio, hub_id)
        asyncio.create_task(gatt.run())  # noqa: RUF006  MicroPython's loop keeps it
    return gatt


class Gatt:
    """want() it, then read() and write() as of a console; `tap` is shown all that is read."""

    def __init__(self, radio, hub_id):
        self._radio = radio
        self._ble = bluetooth.BLE()
        self._next = radio.other
        radio.other = self._irq
        self._hub_id = hub_id
        self._handles: list = []  # of the two values, once the service is registered
        self._flag = asyncio.ThreadSafeFlag()
        self._wants = set()
        self._advertising = False
        self._seen = self._connection = None  # as the interrupt has it, and as run() has it
        self._mtu = 23
        self._since_ms = time.ticks_ms()  # when it began, or last was of use
        self._used = False
        self._pause_ms = _PAUSE_MS
        self._free_ms = time.ticks_ms()  # no advertising before
        self._in = bytearray()
        self._out = bytearray()
        self._came = asyncio.Event()
        self.tap = None
        self.connections = 0

    def want(self, who, wanted):
        """Somebody needs a central to come, or does not any more."""
        if wanted:
            self._wants.add(who)
        else:
            self._wants.discard(who)
        self._flag.set()

    def connected(self):
        """Whether a central is there."""
        return self._connection is not None

    def used(self):
        """What the central sent was authentic."""
        self._used = True
        self._since_ms = time.ticks_ms()
        self._pause_ms = _PAUSE_MS

    def leave(self):
        """End the connection; what was written leaves first."""
        if self._connection is not None:
            self._since_ms = time.ticks_add(time.ticks_ms(), -_IDLE_MS)
            self._flag.set()

    async def read(self):
        """What has come, at least one byte."""
        while not self._in:
            self._came.clear()
            await self._came.wait()
        data = bytes(self._in)
        self._in = bytearray()
        return data

    def write(self, data):
        """Queue data for the central; dropped without one, or when it does not keep up."""
        if self._connection is not None and len(self._out) + len(data) <= _OUT:
            self._out += data
            self._flag.set()

    def _irq(self, event, data):
        if event == _CONNECTED:
            if self._seen is None:
                self._mtu = 23
                self._seen = data[0]
        elif event == _DISCONNECTED:
            if data[0] == self._seen:
                self._seen = None
        elif event == _MTU and data[0] == self._seen:
            self._mtu = data[1]
        elif event != _WRITTEN:
            return self._next and self._next(event, data)
        self._flag.set()

    async def run(self):
        """Never returns."""
        while True:
            try:
                self._look()
                await self._notify()
            except Exception as error:  # short of memory, too: the next caller may be needed
                print("gatt", repr(error))
                await asyncio.sleep_ms(_PAUSE_MS)
            try:
                await asyncio.wait_for_ms(self._flag.wait(), _LOOK_MS)
            except asyncio.TimeoutError:
                pass

    def _look(self):
        now = time.ticks_ms()
        if time.ticks_diff(now, self._free_ms) > 0:
            self._free_ms = now  # ticks wrap: one of a week ago would seem to lie ahead
        if self._seen != self._connection:
            if self._connection is not None:
                self._over(now)
            self._connection = self._seen
            self._since_ms = now
            if self._seen is not None:
                self._advertising = False
                self.connections += 1
        if self._connection is not None:
            self._take()
            quiet_ms = time.ticks_diff(now, self._since_ms)
            if not self._wants or quiet_ms >= (_IDLE_MS if self._used else _DUMB_MS):
                self._ble.gap_disconnect(self._connection)
        elif self._wants:
            if not self._advertising and time.ticks_diff(now, self._free_ms) >= 0:
                self._advertise()
        elif self._advertising:
            self._advertising = False
            self._ble.gap_advertise(None)  # type: ignore[arg-type]  # no more

    def _over(self, now):
        # Whoever connects for nothing, again and again, gets ever less of the air.
        self._in = bytearray()
        self._out = bytearray()
        self._free_ms = time.ticks_add(now, self._pause_ms)
        if not self._used:
            self._pause_ms = min(2 * self._pause_ms, _PAUSE_MAX_MS)
        self._used = False
        if self._handles:
            self._ble.gatts_read(self._handles[0])

    def _take(self):
        data = self._ble.gatts_read(self._handles[0])
        if data:
            if self.tap:
                self.tap(data)
            if len(self._in) < _BUFFER:  # nobody reads: then nobody needs more
                self._in += data
            self._came.set()

    def _advertise(self):
        if not self._handles and not self._register():
            return
        hub_id = self._hub_id
        service = bytes(bluetooth.UUID(_SERVICE))  # type: ignore[call-overload]  # the stubs know no buffer
        data = b"\x02\x01\x06\x11\x07" + service + b"\x09\x08" + hub_id[:8].encode()
        name = b"kanhu " + hub_id.encode()
        answer = bytes((len(name) + 1, 9)) + name
        self._ble.gap_advertise(_INTERVAL_US, data, resp_data=answer)
        self._advertising = True

    def _register(self):
        # NimBLE takes services only while nothing else goes on; the scan begins again at once.
        radio = self._radio
        if radio.connecting:
            return False
        radio.connecting = True
        try:
            self._ble.gap_scan(None)  # type: ignore[arg-type]  # no more
            rows = ((bluetooth.UUID(_TO_HUB), _WRITE), (bluetooth.UUID(_FROM_HUB), _NOTIFY))
            handles = self._ble.gatts_register_services(((bluetooth.UUID(_SERVICE), rows),))[0]
            self._ble.gatts_set_buffer(handles[0], _BUFFER, True)
            self._handles = list(handles)
        finally:
            radio.resume()
        return True

    async def _notify(self):
        stalls = 0
        while self._out and self._connection is not None:
            piece = bytes(self._out[: self._mtu - 3])
            try:
                self._ble.gatts_notify(self._connection, self._handles[1], piece)  # type: ignore[call-arg]
            except OSError:
                stalls += 1
                if stalls == _STALLS or self._seen != self._connection:
                    self._out = bytearray()
                await asyncio.sleep_ms(_STALL_MS)
                continue
            self._out = self._out[len(piece) :]
            stalls = 0
            await asyncio.sleep_ms(0)
            self._take()
