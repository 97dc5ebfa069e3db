"""BLE advertisements of the sensors in the device table, turned into events."""

import asyncio

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
_CARBON_MONOXIDE = const(0x17)
_DOOR_OPEN = const(0x1A)
_GARAGE_DOOR = const(0x1B)
_GAS = const(0x1C)
_MOISTURE = const(0x20)
_MOTION_SEEN = const(0x21)
_MOVING = const(0x22)
_OCCUPANCY = const(0x23)
_SMOKE = const(0x29)
_TAMPER = const(0x2B)
_WINDOW_OPEN = const(0x2D)
_BUTTON = const(0x3A)
# Roles of the device table: kanhu_protocol/names.py.
_CALL = const(1)
_MOTION = const(2)
_DOOR = const(3)
_WINDOW = const(4)

_WATCH_MS = const(1000)
_MISSED = const(3)  # ours: three supervision periods without a word, as the host does with heartbeats
_LOW_PERCENT = const(15)  # ours
_OK_PERCENT = const(20)  # the gap keeps a cell that recovers when it is warm from going to and fro
_NO_RSSI = const(127)  # Bluetooth Core Specification Vol 4 Part E 7.7.65.2

# Object: kind when true and kind when false. Whatever the role: life safety wins.
_STATES = {
    _SMOKE: (k.SMOKE, k.SMOKE_CLEAR),
    _GAS: (k.GAS, k.GAS_CLEAR),
    _CARBON_MONOXIDE: (k.CARBON_MONOXIDE, k.CARBON_MONOXIDE_CLEAR),
    _MOISTURE: (k.WATER_LEAK, k.WATER_LEAK_CLEAR),
    _TAMPER: (k.TAMPER, k.TAMPER_RESTORED),
}
_CONTACTS = {_DOOR: (k.DOOR_OPEN, k.DOOR_CLOSED), _WINDOW: (k.WINDOW_OPEN, k.WINDOW_CLOSED)}
_CONTACT_OBJECTS = (_OPENING, _DOOR_OPEN, _GARAGE_DOOR, _WINDOW_OPEN)
_MOTION_OBJECTS = (_MOTION_SEEN, _MOVING, _OCCUPANCY)


class Sensor:
    """What is known of one device of the table."""

    def __init__(self, device, role, supervision_s, emit):
        self.device = device
        self.role = role
        self.supervision_s = supervision_s
        self.unheard_ms = 0
        self.silent = False
        self.battery = None  # percent
        self.low_flag = 0
        self.low = False
        self.states = {}  # kind when true: bool
        # A caller's first packet after a restart is a press, though it may be a copy of one stored before it:
        # then the alarm is open and a press more does no harm; a call taken for a copy would be lost.
        self.presses = Presses() if role == _CALL else None
        self.due = 0  # presses that emit has not taken yet
        self.movement = Movement(device, emit) if role == _MOTION else None
        self.moving = False
        self.motion_id = None


class Advertisements:
    """Hears radio.heard() for devices.find(address); emit(kind, fields) gets the events."""

    def __init__(self, radio, devices, emit, clock):
        self.radio = radio
        self.devices = devices
        self.emit = emit
        self.clock = clock
        self.sensors = {}  # by address, never more than the table has
        self.foreign = self.encrypted = self.malformed = 0  # advertisements since boot

    async def run(self):
        """Never returns; an error is logged and the next advertisement read."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    for address, rssi, data in await self.radio.heard():
                        entry = self.devices.find(address)
                        if entry is None:
                            self.foreign += 1
                        else:
                            self._heard(self._sensor(address, entry), rssi, data)
                except Exception as error:
                    print("advertisements", repr(error))
                    await self.clock.sleep_ms(_WATCH_MS)
        finally:
            watch.cancel()

    def _sensor(self, address, entry):
        address = bytes(address)
        sensor = self.sensors.get(address)
        if sensor is None or (sensor.device, sensor.role) != entry[:2]:
            sensor = self.sensors[address] = Sensor(entry[0], entry[1], entry[2], self.emit)
        sensor.supervision_s = entry[2]
        return sensor

    def _heard(self, sensor, rssi, data):
        if sensor.silent:
            self.emit(k.SENSOR_BACK, {k.DEVICE: sensor.device, k.SPAN_MS: sensor.unheard_ms})
            sensor.silent = False
        sensor.unheard_ms = 0
        service = bthome.service_data(data)
        if service is None:
            return
        if not bthome.version_2(service):
            self.malformed += 1
        elif service[0] & bthome.ENCRYPTED:
            self.encrypted += 1
        else:
            self._read(sensor, rssi, service)

    def _read(self, sensor, rssi, service):
        packet_id = None
        codes = bytearray()
        states = {}
        motion = None
        for what, value in bthome.objects(service):
            if what < 0:
                self.malformed += 1
            elif what == _PACKET_ID:
                packet_id = value
            elif what == _BATTERY and value <= 100:
                sensor.battery = value
            elif what == _BATTERY_LOW:
                sensor.low_flag = value
            elif what == _BUTTON:
                codes.append(value)
            elif what in _MOTION_OBJECTS:
                motion = bool(motion or value)
            else:
                kinds = _STATES.get(what)
                if kinds is None and what in _CONTACT_OBJECTS:
                    kinds = _CONTACTS.get(sensor.role)
                if kinds:
                    states[kinds] = bool(states.get(kinds) or value)
        fields = {k.DEVICE: sensor.device}
        if sensor.battery is not None:
            fields[k.BATTERY] = sensor.battery
        if rssi != _NO_RSSI:
            fields[k.RSSI] = rssi
        if sensor.presses and codes:
            sensor.due += sensor.presses.count(packet_id, bytes(codes), self.clock.ticks_ms(), self.clock)
        self._call(sensor, fields)
        for kinds in sorted(states):  # by kind: life first
            self._change(sensor, kinds, states[kinds], fields)
        self._weigh_battery(sensor, fields)
        if sensor.movement and motion is not None:
            # A sensor that only sends when it detects says a new movement with each packet.
            again = service[0] & bthome.TRIGGER_BASED and packet_id != sensor.motion_id
            if motion and (again or not sensor.moving or sensor.movement.quiet_ms >= NEW_MOTION_MS):
                sensor.movement.began(fields.copy())
            elif motion:
                sensor.movement.seen()
            sensor.moving = motion
            sensor.motion_id = packet_id

    def _call(self, sensor, fields):
        while sensor.due:
            self.emit(k.CALL, fields.copy())
            sensor.due -= 1

    def _change(self, sensor, kinds, active, fields):
        before = sensor.states.get(kinds[0])
        # At the first word after a restart a quiet sensor is no news; how a door stands is.
        if active != before and (active or before is not None or sensor.role in _CONTACTS):
            self.emit(kinds[0] if active else kinds[1], fields.copy())
        sensor.states[kinds[0]] = active

    def _weigh_battery(self, sensor, fields):
        percent = 100 if sensor.battery is None else sensor.battery
        if not sensor.low and (sensor.low_flag or percent <= _LOW_PERCENT):
            self.emit(k.BATTERY_LOW, fields.copy())
            sensor.low = True
        elif sensor.low and not sensor.low_flag and percent >= _OK_PERCENT:
            self.emit(k.BATTERY_OK, fields.copy())
            sensor.low = False

    async def _watch(self):
        last = self.clock.ticks_ms()
        while True:
            await self.clock.sleep_ms(_WATCH_MS)
            now = self.clock.ticks_ms()
            ms = self.clock.ticks_diff(now, last)
            last = now
            try:
                for index, role, address, supervision_s in self.devices.all():
                    if len(address) == 6 and supervision_s:  # silent from the start is silent, too
                        self._sensor(address, (index, role, supervision_s))
                for address in list(self.sensors):
                    if self.devices.find(address) is None:
                        del self.sensors[address]
                    else:
                        self._passed(self.sensors[address], now, ms)
            except Exception as error:
                print("sensors", repr(error))

    def _passed(self, sensor, now, ms):
        sensor.unheard_ms += ms
        if sensor.presses:
            sensor.presses.forget(now, self.clock)
            self._call(sensor, {k.DEVICE: sensor.device})
        if sensor.movement:
            sensor.movement.passed(ms)
        limit_ms = _MISSED * 1000 * sensor.supervision_s
        if limit_ms and not sensor.silent and sensor.unheard_ms >= limit_ms:
            self.emit(k.SENSOR_SILENT, {k.DEVICE: sensor.device, k.SPAN_MS: sensor.unheard_ms})
            sensor.silent = True
