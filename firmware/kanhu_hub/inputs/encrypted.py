"""Encrypted BTHome v2 (bthome.io/encryption): opened, judged by its counter. Imported when first needed."""

from micropython import const

from kanhu_hub import store
from kanhu_hub.ccm import Ccm
from kanhu_hub.inputs import bthome
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

# DETAIL of sensor.doubted
WENT_BACK, REPEATED, NOT_ENCRYPTED, FORGED, NO_KEY = 1, 2, 3, 4, 5

_MAX_BYTES = const(16384)  # of the file
_USED = const(8)  # bytes that name a message: its counter (little-endian) and its MIC, as they are sent
_KEPT = const(8)  # messages remembered: more would refuse what a caller says again from its start
_RESTART = const(3)  # rising counters that prove a restart, where no life hangs on the sensor
_MIXED_MS = const(10_000)  # ours: copies of two messages may come mixed for this long
_SAVE_MS = const(15_000)  # ours: what caused no event is written this often at most, for the flash's sake
_AGAIN_MS = const(600_000)  # ours: a doubt that stays is said this often, with its count
_RESTARTED_MS = const(86_400_000)  # ours: no message above the highest for so long: a new battery, no replay
_LIFE = (0x17, 0x1C, 0x29)  # BTHome objects carbon monoxide, gas, smoke


class Counters:
    """`path` over all starts: what each sensor sent last. Sensors that left the table are dropped."""

    def __init__(self, path, table):
        self._path = path
        self.rows = {}  # address: (proof of the key, messages: _USED bytes each, newest last; highest)
        self._dirty_ms = -1
        ours = [entry[2] for entry in table]
        try:
            for address, proof, used, highest in cbor.loads(store.read(path) or b"\x80", _MAX_BYTES):
                if address in ours:
                    self.rows[address] = proof, used, highest
        except (ValueError, TypeError):
            pass  # each sensor's next message is its first one

    def put(self, address, row, at_once):
        """Take a sensor's row over; at_once: a power cut must not forget it."""
        self.rows[address] = row
        self._dirty_ms = _SAVE_MS if at_once else max(self._dirty_ms, 0)
        self.passed(0)

    def passed(self, ms):
        """ms went by."""
        if self._dirty_ms < 0:
            return
        self._dirty_ms += ms
        if self._dirty_ms >= _SAVE_MS:
            self._dirty_ms = 0
            try:
                rows = [(address,) + row for address, row in self.rows.items()]
                store.replace(self._path, cbor.dumps(rows, _MAX_BYTES))
                self._dirty_ms = -1
            except (OSError, MemoryError, ValueError):
                pass  # another time


class Guard:
    """Of one sensor; key None: it should not encrypt. `flags` of the event say how far to believe it."""

    def __init__(self, sensor, address, key, counters, emit):
        self._sensor = sensor
        self._address = address
        self._counters = counters
        self._emit = emit
        self._doubts = {}  # DETAIL: [ms until it may be said again, how often since]
        self._used = b""
        self._new = None
        self._rising = 0
        self._below = self._highest = -1
        self._age_ms = 0  # of the newest message
        self._low_ms = -1  # since the counter went back
        self.flags = 0
        self._ccm = None
        if key:
            self._ccm = Ccm(key, 4)
            self._proof = self._ccm.seal(bytes(13), b"", b"")  # no message has this nonce
            proof, used, highest = counters.rows.get(address, (b"", b"", -1))
            if proof == self._proof:
                self._used = used
                self._highest = highest
                if int.from_bytes(used[-_USED:-4], "little") < highest:
                    self._low_ms = 0

    def open(self, service):
        """Service data as if it had been sent plain; None when it must not be believed."""
        self.flags = 0
        self._new = None
        info = service[0]
        if not self._ccm:
            return self._doubt(NO_KEY) if info & bthome.ENCRYPTED else service
        if not info & bthome.ENCRYPTED:
            return self._doubt(NOT_ENCRYPTED)
        new = service[-_USED:]
        used = self._used
        for at in range(0, len(used), _USED):
            if used[at : at + _USED] == new:
                if at + _USED < len(used) and self._age_ms > _MIXED_MS:
                    self._doubt(REPEATED)
                return None
        at = 7 if info & bthome.MAC_INCLUDED else 1
        mac = self._address if at == 1 else bytes(reversed(service[1:7]))
        try:
            if len(service) < at + _USED:
                raise ValueError
            nonce = mac + b"\xd2\xfc" + service[:1] + new[:4]
            plain = self._ccm.open(nonce, service[at:-_USED] + new[4:], b"")
        except ValueError:
            return self._doubt(FORGED)
        service = bytes((info & ~(bthome.ENCRYPTED | bthome.MAC_INCLUDED),)) + plain
        counter = int.from_bytes(new[:4], "little")
        if counter <= self._highest:
            # A changed battery restarts the counter: that must not cost a call.
            if self._sensor.role in (2, 3, 4) and not any(
                what in _LIFE and value for what, value in bthome.objects(service)
            ):  # motion, door, window
                if counter != self._below:  # else a copy
                    self._rising = self._rising + 1 if counter > self._below else 1
                    self._below = counter
                if self._rising < _RESTART:
                    return self._doubt(WENT_BACK)
                self._low_ms = _RESTARTED_MS  # proven
            self.flags = k.UNVERIFIED
        self._new = new
        return service

    def taken(self, said):
        """The message was read; said: it caused events, which are safe by now."""
        if self._new:
            self._used = self._used[_USED * (1 - _KEPT) :] + self._new
            self._age_ms = self._rising = 0
            counter = int.from_bytes(self._new[:4], "little")
            self._new = None
            if not self.flags or self._low_ms >= _RESTARTED_MS:
                # Above the highest: a sensor that counts on from there shows that lower ones were replays.
                self._highest = counter
                self._low_ms = -1
            elif self._low_ms < 0:
                self._low_ms = 0
            self._counters.put(self._address, (self._proof, self._used, self._highest), said)
        if self.flags:
            self._doubt(WENT_BACK)

    def _doubt(self, detail):
        if detail in self._doubts:
            self._doubts[detail][1] += 1
        else:
            self._say(detail, 1)

    def _say(self, detail, count):
        self._emit(k.SENSOR_DOUBTED, {k.DEVICE: self._sensor.device, k.DETAIL: detail, k.COUNT: count})
        self._doubts[detail] = [_AGAIN_MS, 0]

    def passed(self, ms):
        """ms went by."""
        self._age_ms += ms
        if self._low_ms >= 0:
            self._low_ms += ms
        for detail, doubt in list(self._doubts.items()):
            doubt[0] -= ms
            if doubt[0] <= 0:
                del self._doubts[detail]
                if doubt[1]:
                    self._say(detail, doubt[1])
