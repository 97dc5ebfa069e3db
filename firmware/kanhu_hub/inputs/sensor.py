"""What a BLE sensor's BTHome objects become, by its role in the device table."""

from micropython import const

from kanhu_hub.inputs import bthome
from kanhu_hub.inputs.movement import NEW_MOTION_MS, Movement
from kanhu_hub.inputs.presses import Presses
from kanhu_protocol import kinds as k

# BTHome v2 object ids, bthome.io/format
_PACKET_ID = const(0x00)
_BATTERY = const(0x01)
_OPENING = const(0x11)
_BATTERY_LOW = const(0x15)
_YES = const(0x0F)  # generic boolean
_CARBON_MONOXIDE = const(0x17)
_DOOR_OPEN = const(0x1A)
_GARAGE_DOOR = const(0x1B)
_GAS = const(0x1C)
_MOISTURE = const(0x20)
_MOTION_SEEN = const(0x21)
_MOVING = const(0x22)
_OCCUPANCY = const(0x23)
_PROBLEM = const(0x26)
_SMOKE = const(0x29)
_TAMPER = const(0x2B)
_VIBRATION = const(0x2C)
_WINDOW_OPEN = const(0x2D)
_BUTTON = const(0x3A)
# Roles of the device table, kanhu_protocol/names.py
_CALL = const(1)
_MOTION = const(2)
_DOOR = const(3)
_WINDOW = const(4)
_FALL = const(9)
_VISIT = const(10)
_DOUBLE_PRESS = const(2)

_MISSED_MS = const(3000)  # ours: three supervision periods, as the host does with heartbeats
_LOW_PERCENT = const(15)  # ours
_OK_PERCENT = const(20)  # the gap keeps a cell that recovers when it is warm from going to and fro
_FALLEN_MS = const(60_000)  # ours: detectors that never say "no fall" mean another one after so long
_NO_RSSI = const(127)  # Bluetooth Core Specification Vol 4 Part E 7.7.65.2

# Object: kind when true and kind when false. Whatever the role: life safety wins.
_STATES = {
    _SMOKE: (k.SMOKE, k.SMOKE_CLEAR),
    _GAS: (k.GAS, k.GAS_CLEAR),
    _CARBON_MONOXIDE: (k.CARBON_MONOXIDE, k.CARBON_MONOXIDE_CLEAR),
    _MOISTURE: (k.WATER_LEAK, k.WATER_LEAK_CLEAR),
    _TAMPER: (k.TAMPER, k.TAMPER_RESTORED),
}
_FALLS = (k.FALL, 0)
_CONTACTS = {_DOOR: (k.DOOR_OPEN, k.DOOR_CLOSED), _WINDOW: (k.WINDOW_OPEN, k.WINDOW_CLOSED)}


class Sensor:
    """One device of the table; emit(kind, fields) gets its events."""

    def __init__(self, device, role, emit, clock):
        self.device = device
        self.role = role
        self.emit = emit
        self.key = self.guard = None  # of encrypted messages
        self.test = None  # pairing.py, while one press is to be no call
        self._flags = 0
        self._unheard_ms = 0
        self._silent = None  # not known: the hub drops the end of a fault that does not stand
        self.battery = None  # percent
        self._rssi = _NO_RSSI
        self._flag = None  # of a low battery
        self._low = None
        self._states = {}  # kinds: whether true, as heard
        self._told = {}  # the same, as emitted
        self._contact = _CONTACTS.get(role)
        # A caller's first packet after a restart is a press, though it may be a copy of one stored before it:
        # then the alarm is open and a press more does no harm; a call taken for a copy would be lost.
        self.presses = Presses(clock) if role in (_CALL, _VISIT) else None
        self._due = []  # kinds of presses that emit has not taken yet
        self._fallen_ms = 0  # since a fall was last heard of
        self._movement = Movement(device, emit) if role == _MOTION else None
        self._moving = None  # not heard yet
        self._motion_id = None

    def alive(self):
        """To be called at each advertisement, whatever it holds."""
        if self._silent is not False:
            self.emit(k.SENSOR_BACK, {k.DEVICE: self.device, k.SPAN_MS: self._unheard_ms})
            self._silent = False
        self._unheard_ms = 0

    def read(self, rssi, service, flags=0):
        """Emits what service data says anew, with flags; False when its end could not be read."""
        whole = True
        packet_id = motion = None
        codes = bytearray()
        states = {}  # one kind may come from several objects
        for what, value in bthome.objects(service):
            if what < 0:
                whole = False
            elif what == _PACKET_ID:
                packet_id = value
            elif what == _BATTERY:
                if value <= 100:
                    self.battery = value
            elif what == _BATTERY_LOW:
                self._flag = value
            elif what == _BUTTON:
                codes.append(value)
            elif what in (_MOTION_SEEN, _MOVING, _OCCUPANCY):
                motion = motion or value
            else:
                kinds = _STATES.get(what)
                if what in (_OPENING, _DOOR_OPEN, _GARAGE_DOOR, _WINDOW_OPEN):
                    kinds = self._contact
                elif self.role == _FALL and what in (_YES, _PROBLEM, _VIBRATION):
                    kinds = _FALLS
                    if value:
                        self._fallen_ms = 0
                if kinds:
                    states[kinds] = bool(states.get(kinds) or value)
        self._rssi = rssi
        self._flags = flags | (self._flags if self._due else 0)
        self._states.update(states)
        if self.presses and codes:
            pressed = bytes(codes)
            kind = k.CALL
            if self.role == _VISIT:
                kind = k.CHECK_OUT if _DOUBLE_PRESS in pressed else k.CHECK_IN
            presses = self.presses.count(packet_id, pressed)
            if presses and self.test and self.test.is_test(self, pressed, presses, flags):
                kind = k.TEST_PRESS
            self._due += [kind] * presses
        self._tell()
        if self._movement and motion is not None:
            # A sensor that only sends when it detects says a new movement with each packet.
            again = service[0] & bthome.TRIGGER_BASED and packet_id != self._motion_id
            if motion and (again or not self._moving or self._movement.quiet_ms >= NEW_MOTION_MS):
                self._movement.began(self._fields())
            elif motion:
                self._movement.seen()
            self._moving = motion
            self._motion_id = packet_id
        return whole

    def _tell(self):
        # What emit has not taken is told again by passed(): no state changes before its event is out.
        while self._due:
            self._say(self._due[0])
            self._due.pop(0)
        for kinds in sorted(self._states):  # by kind: life first
            now, told = self._states[kinds], self._told.get(kinds)
            # At the first word after a restart a quiet sensor is no news; how a door stands is.
            if now != told and (now or told or kinds == self._contact or kinds[0] == k.TAMPER):
                kind = kinds[0] if now else kinds[1]
                if kind:
                    self._say(kind)
            self._told[kinds] = now
        percent = 100 if self.battery is None else self.battery
        low = bool(self._flag or percent < (_OK_PERCENT if self._low else _LOW_PERCENT + 1))
        if low != self._low and (self.battery is not None or self._flag is not None):
            self._say(k.BATTERY_LOW if low else k.BATTERY_OK)
            self._low = low

    def _fields(self):
        fields = {k.DEVICE: self.device}
        if self._flags:
            fields[k.FLAGS] = self._flags
        if self.battery is not None:
            fields[k.BATTERY] = self.battery
        if self._rssi != _NO_RSSI:
            fields[k.RSSI] = self._rssi
        return fields

    def _say(self, kind):
        self.emit(kind, self._fields())

    def passed(self, ms, supervision_s):
        """ms went by; to be called every few seconds. supervision_s is 0 when unknown."""
        self._unheard_ms += ms
        self._fallen_ms += ms
        if self._fallen_ms >= _FALLEN_MS and _FALLS in self._states:
            self._states[_FALLS] = False
        if self.presses:
            self.presses.forget()
        self._tell()
        if self._movement and self._moving is not None:
            self._movement.passed(ms)
        if supervision_s and not self._silent and self._unheard_ms >= _MISSED_MS * supervision_s:
            self.emit(k.SENSOR_SILENT, {k.DEVICE: self.device, k.SPAN_MS: self._unheard_ms})
            self._silent = True
