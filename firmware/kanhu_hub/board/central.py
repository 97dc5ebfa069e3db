"""The central's side of GATT: connections to peripherals. Loaded by homes that have a health monitor."""

import asyncio
from array import array
from errno import ENOTCONN

import bluetooth
from micropython import const

# bluetooth._IRQ_*
_CONNECTED = const(7)
_DISCONNECTED = const(8)
_SERVICE = const(9)
_CHARACTERISTIC = const(11)
_DESCRIPTOR = const(13)
_READ = const(15)
_READ_DONE = const(16)
_WRITE_DONE = const(17)
_NOTIFIED = const(18)
_INDICATED = const(19)
_ENCRYPTION = const(28)
_GET_SECRET = const(29)
_SET_SECRET = const(30)

_SLOTS = const(32)  # when full, what comes is counted and gone: a peripheral that floods harms itself
_ENDS = const(6)  # slots that only a connection's begin and end take: there are 4, and one being made
_FIELDS = const(6)  # event, connection, three numbers, length of the data
_DATA = const(64)  # bytes; a measurement is at most 20 without a larger MTU
_RESULTS = const(16)  # of one discovery
_WAITING = const(32)  # measurements the session has not taken; when full, further ones are counted and gone
# A monitor is awake for seconds: the shortest intervals that leave the air to the scan.
_MIN_US = const(15000)
_MAX_US = const(30000)
_NO_CONNECTION = const(65535)
_NO_KEYS = const(3)  # Core specification Vol 3 Part H 2.3.2: no input, no output


class Central:
    """connect() makes a Connection; run() must run. secrets: get(kind, index, key), put(kind, key, value)."""

    def __init__(self, radio, ble, secrets):
        self._radio = radio
        self._ble = ble
        self._secrets = secrets
        self._fields = array("H", bytes(_SLOTS * _FIELDS * 2))
        self._data = bytearray(_SLOTS * _DATA)
        self._view = memoryview(self._data)
        self._head = self._tail = 0
        self._flag = asyncio.ThreadSafeFlag()
        self._known = {}  # UUID: its number
        self._lock = asyncio.Lock()  # a controller makes one connection at a time
        self._made = asyncio.Event()
        self._new = self._wanted = None
        self._handles = {}  # connection's number: Connection
        ble.config(bond=True, mitm=False, le_secure=True, io=_NO_KEYS)
        self._next = radio.other
        radio.other = self._irq

    def uuid(self, number):
        """A 16-bit UUID, by whose number discoveries tell of it from now on."""
        for one, known in self._known.items():
            if known == number:
                return one
        one = bluetooth.UUID(number)
        self._known[one] = number
        return one

    def _irq(self, event, data):
        if event == _GET_SECRET:
            return self._secrets.get(*data)
        if event == _SET_SECRET:
            # The one thing kept at once: the stack asks for it before a task would have its turn.
            self._flag.set()
            return self._secrets.put(*data)
        if event == _CONNECTED or (event == _DISCONNECTED and data[0] == _NO_CONNECTION):
            self._radio.resume()
        elif (event > _INDICATED and event != _ENCRYPTION) or event < _CONNECTED:
            return self._next and self._next(event, data)  # board/gatt.py's
        if (self._tail - self._head - 1) % _SLOTS < _ENDS and event > _DISCONNECTED:
            self._radio.overflows += 1
            return
        fields, at = self._fields, self._head * _FIELDS
        fields[at] = event
        fields[at + 1] = data[0]
        fields[at + 5] = 0
        if event == _CONNECTED:
            self._keep(at, data[2])
        elif event == _SERVICE:
            fields[at + 2], fields[at + 3] = data[1], data[2]
            fields[at + 4] = self._known.get(data[3], 0)
        elif event == _CHARACTERISTIC:
            fields[at + 2], fields[at + 3] = data[2], data[1]
            fields[at + 4] = self._known.get(data[4], 0)
        elif event == _DESCRIPTOR:
            fields[at + 2] = data[1]
            fields[at + 4] = self._known.get(data[2], 0)
        elif event in (_READ, _NOTIFIED, _INDICATED):
            fields[at + 2] = data[1]
            self._keep(at, data[2])
        elif event in (_READ_DONE, _WRITE_DONE):
            fields[at + 2] = data[2]
        elif event > _DISCONNECTED:
            fields[at + 2] = data[1]  # a discovery's status, or whether it is encrypted
        self._head = (self._head + 1) % _SLOTS
        self._flag.set()

    def _keep(self, at, value):
        length = min(len(value), _DATA)
        self._fields[at + 5] = length
        start = self._head * _DATA
        self._view[start : start + length] = value[:length]

    async def run(self):
        """Never returns."""
        while True:
            while self._tail != self._head:
                at = self._tail * _FIELDS
                event, handle, a, b, c, length = self._fields[at : at + _FIELDS]
                start = self._tail * _DATA
                data = bytes(self._view[start : start + length])
                self._tail = (self._tail + 1) % _SLOTS
                try:
                    self._happened(event, handle, (a, b, c), data)
                except Exception as error:
                    print("central", repr(error))
            self._secrets.keep()
            await self._flag.wait()

    def _happened(self, event, handle, numbers, data):
        if event == _CONNECTED:
            connection = self._handles[handle] = Connection(self, self._ble, handle)
            if self._made.is_set() or data != self._wanted:
                connection.leave()  # too late: its measurements would be taken for another's
            else:
                self._new = connection
                self._made.set()
        elif handle == _NO_CONNECTION:
            self._made.set()
        elif handle in self._handles:
            self._handles[handle].happened(event, numbers, data)
            if event == _DISCONNECTED:
                del self._handles[handle]

    async def connect(self, address_type, address, ms):
        """A Connection; None when the peripheral did not answer within ms, OSError when none can be."""
        async with self._lock:
            self._new = None
            self._wanted = address
            self._made.clear()
            self._radio.connecting = True
            try:
                self._ble.gap_connect(address_type, address, ms, _MIN_US, _MAX_US)
                await asyncio.wait_for_ms(self._made.wait(), ms + 1000)
            except asyncio.TimeoutError:
                self._ble.gap_connect(None)
            finally:
                self._made.set()
                self._radio.resume()
                if not self._new:  # who only pretends to be there must not keep the hub from its callers
                    await asyncio.sleep_ms(ms)
            return self._new


class Connection:
    """A step raises OSError when the connection is gone, asyncio.TimeoutError after ms; status 0 is well."""

    def __init__(self, central, ble, handle):
        self.uuid = central.uuid
        self._ble = ble
        self.handle = handle
        self.encrypted = self.gone = False
        self.heard = []  # (value handle, data) of notifications and indications
        self.missed = 0
        self.news = asyncio.Event()  # something heard, or gone
        self._awaited = 0
        self._results = []
        self._status = 0
        self._done = asyncio.Event()

    def happened(self, event, numbers, data):
        """What the central heard of this connection."""
        if event in (_NOTIFIED, _INDICATED):
            if len(self.heard) < _WAITING:
                self.heard.append((numbers[0], data))
            else:
                self.missed += 1
            self.news.set()
        elif event in (_SERVICE, _CHARACTERISTIC, _DESCRIPTOR, _READ):
            if len(self._results) < _RESULTS:
                self._results.append(data if event == _READ else numbers)
        elif event == _DISCONNECTED:
            self.gone = True
            self.news.set()
            self._done.set()
        else:
            if event == _ENCRYPTION:
                self.encrypted = bool(numbers[0])
            if event == self._awaited:
                self._status = numbers[0]
                self._done.set()

    async def _ask(self, done, ms, start, *args):
        if self.gone:
            raise OSError(ENOTCONN)
        self._results = []
        self._awaited = done
        self._done.clear()
        try:
            start(self.handle, *args)
        except OSError:
            if self.gone or done != _ENCRYPTION:
                raise OSError(ENOTCONN)
            # Otherwise the peripheral has asked for it before, and it is under way.
        try:
            await asyncio.wait_for_ms(self._done.wait(), ms)
        finally:
            self._awaited = 0
        if self.gone:
            raise OSError(ENOTCONN)
        return self._results

    async def service(self, number, ms):
        """(first handle, last handle) of a service; None without it."""
        found = await self._ask(_SERVICE + 1, ms, self._ble.gattc_discover_services, self.uuid(number))
        return found[0][:2] if found else None

    async def characteristics(self, first, last, ms):
        """[(value handle, last handle, UUID's number or 0), ...] of a service."""
        return await self._ask(_CHARACTERISTIC + 1, ms, self._ble.gattc_discover_characteristics, first, last)

    async def descriptor(self, value, last, number, ms):
        """Handle of a characteristic's descriptor; None without it."""
        self.uuid(number)
        found = await self._ask(_DESCRIPTOR + 1, ms, self._ble.gattc_discover_descriptors, value, last)
        for handle, _, found_number in found:
            if found_number == number:
                return handle

    async def read(self, handle, ms):
        """(status, data)."""
        found = await self._ask(_READ_DONE, ms, self._ble.gattc_read, handle)
        return self._status, found[0] if found else b""

    async def write(self, handle, data, ms):
        """Status of a write with response."""
        await self._ask(_WRITE_DONE, ms, self._ble.gattc_write, handle, data, 1)
        return self._status

    async def pair(self, ms):
        """Encrypts the connection, with the bond's key or by pairing anew; whether it is encrypted."""
        if not self.encrypted:
            await self._ask(_ENCRYPTION, ms, self._ble.gap_pair)
        return self.encrypted

    def leave(self):
        """Begin to disconnect."""
        try:
            self._ble.gap_disconnect(self.handle)
        except OSError:
            pass  # it is gone
