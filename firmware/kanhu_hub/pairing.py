"""Pairing: for a while the hub tells of every sensor it hears, or takes one press of a caller for a test.
Imported when a host asks for it, dropped when it is over."""

from micropython import const

from kanhu_hub import store
from kanhu_hub.alarm import KINDS
from kanhu_hub.inputs import bthome
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

EXPIRED, BY_COMMAND, ALARM, PRESSED = 1, 2, 4, 5  # DETAIL of pairing.closed; 3 is the host's to say
LATE, ALARM_STANDS, NO_DEVICE, PRESSED_NOW = 4, 5, 6, 7  # DETAIL of command.refused

_AGAIN_MS = const(3000)  # contracts.md section 12, as are the next nine
_SAME_MS = const(15000)  # what says nothing new
_STRANGERS = const(30)
_GONE_MS = const(45000)  # who was not told of for so long is heard no more
_NEAR = const(-45)  # dBm: within reach of the hand at the hub
_PROVE_MS = const(120000)
_SEEN_MS = const(250)  # a wired press sooner than this after the lamp's change began before it
_HELD_MS = const(2000)  # whoever holds a wired button for longer calls
_CLOCKS_MS = const(15000)  # the host's clock and the hub's may differ by this
_COPY_MS = const(4000)  # as inputs/presses.py: a press that began before the pairing
_COPY_NO_ID_MS = const(2500)
_NO_RSSI = const(127)
_CALL = const(1)  # role
# Services of the Health Device Profiles (Bluetooth Assigned Numbers 3.4), BTHome objects: roles; life first.
_MONITORS = {0x1810: 11, 0x180D: 12, 0x1822: 13, 0x1809: 14, 0x181D: 15, 0x1808: 16}
_OBJECTS = (
    (0x29, 5),
    (0x1C, 6),
    (0x17, 7),
    (0x20, 8),
    (0x3A, 1),
    (0x1A, 3),
    (0x1B, 3),
    (0x11, 3),
    (0x2D, 4),
    (0x21, 2),
    (0x22, 2),
    (0x23, 2),
)


def command(app, fields):
    """Do PAIR: 0, or DETAIL of command.refused."""
    ms = fields[k.PAIR_MS]
    device = fields.get(k.PROVE)
    pairing = app.pairing
    if not ms:
        if pairing:
            pairing.close(BY_COMMAND)
        return 0
    if app.alarms.shown():
        return ALARM_STANDS
    utc_ms = app.clock.utc_ms(app.clock.now_ms())
    if k.TIME_MS in fields and utc_ms is not None:
        # A broker may hand a message over hours later: nobody stands at the sensor any more.
        left = fields[k.TIME_MS] - utc_ms
        if not 0 < left <= ms + _CLOCKS_MS:
            return LATE
        ms = min(ms, left)
    elif device:
        return LATE  # a press must not be taken for a test at an unknown time
    button = app.buttons.get(device)
    if button:
        if button.pressed or button.due or not button.wire.value():
            return PRESSED_NOW
    elif not app.radio or (
        device
        and not any(row[0] == device and row[1] == _CALL and len(row[2]) == 6 for row in app.devices.all())
    ):
        return NO_DEVICE
    if device:
        ms = min(ms, _PROVE_MS)
    (pairing or Pairing(app)).open(ms, device)
    return 0


class Pairing:
    """Until close(): `device` is the caller, wired or BLE, whose next press is a test; None: it listens."""

    def __init__(self, app):
        self._app = app
        self._seen = {}  # address: [ms told of, what was told, ms heard, what was heard, not in the table]
        self._near_ms = 0  # when one was told of only because it is near
        self._over = 0  # why, once it is
        self._closed = True
        self._until_ms = 0
        self._button = None  # the wired caller that is proven
        self._held = None  # (wired caller, ms): its test press, while it is not let go
        self._set(self)

    def _set(self, pairing):
        self._app.pairing = pairing
        if self._app.radio:
            self._app.radio.pairing = pairing

    def _tests(self, device, test):
        for sensor in self._app.radio.sensors.values() if self._app.radio else ():
            sensor.test = test if sensor.device == device else None

    def open(self, ms, device):
        """For ms from now."""
        app = self._app
        self.device = device
        self._over = 0
        self._closed = False
        now = app.clock.now_ms()
        self._since_ms = now + _SEEN_MS
        self._until_ms = now + ms
        self._button = app.buttons.get(device)
        self._tests(None if self._button else device, self)
        app.recorder.record(k.PAIRING_OPENED, {k.SPAN_MS: ms, k.DEVICE: device})
        app.indicator.look()

    def close(self, detail):
        """Say why. For a moment it still knows what it has heard: met() may come after it."""
        if self._closed:
            return
        app = self._app
        self._tests(None, None)
        self._over = detail
        self._closed = True
        self._until_ms = app.clock.now_ms() + _COPY_MS
        app.recorder.record(k.PAIRING_CLOSED, {k.DETAIL: detail, k.DEVICE: self.device})
        app.indicator.look()

    def lamp(self):
        """The pattern to show while no alarm has one."""
        return None if self._closed else "proving" if self.device else "pairing"

    def tick(self):
        """Call a few times a second."""
        app = self._app
        now = app.clock.now_ms()
        over = now >= self._until_ms
        if self._held:
            button, since_ms = self._held
            if button.pressed and now - since_ms >= _HELD_MS:
                app.emit(k.CALL, {k.DEVICE: button.device})
                self._held = None  # not before flash has it
            elif not button.pressed:
                self._held = None
        if not self._over and app.alarms.shown():
            self._over = ALARM
        if not self._closed and (self._over or over):
            self.close(self._over or EXPIRED)
        elif over:
            self._set(None)

    def _waits(self):
        app = self._app
        return not self._over and app.clock.now_ms() < self._until_ms and not app.alarms.shown()

    def emitted(self, kind, fields):
        """The kind of an event that is about to be recorded: an alarm, or the awaited press, is the end."""
        button = self._button
        # Not due: it is a BLE caller's, under the same number.
        if kind == k.CALL and button and fields.get(k.DEVICE) == self.device and button.due and self._waits():
            now = self._app.clock.now_ms()
            if now >= self._since_ms:
                self._held = button, now
                kind = k.TEST_PRESS
        if kind in KINDS:
            self._over = ALARM
        elif kind == k.TEST_PRESS:
            fields[k.FLAGS] = fields.get(k.FLAGS, 0) | k.TEST
            self._over = PRESSED
        return kind

    def is_test(self, sensor, codes, presses, flags):
        """Whether this is the one press that proves a caller. Every other one, and the next, is a call."""
        sensor.test = None
        return (
            self._waits()
            and presses == 1
            and not flags  # a sensor that is doubted
            and bytes([code for code in codes if code]) == b"\x01"  # not a double press, not a hold
            and sensor.device == self.device
        )

    def met(self, sensor, address):
        """A sensor has come into the table: the press that it was picked by is not over, and was no call."""
        row = self._seen.get(address)
        if row and row[3]:
            service = row[3]
            if sensor.guard:
                service = sensor.guard.open(service)
                sensor.guard.taken(False)
            if service and not service[0] & bthome.ENCRYPTED:
                packet_id, codes = None, bytearray()
                for what, value in bthome.objects(service):
                    if what == 0:
                        packet_id = value
                    elif what == 0x3A:
                        codes.append(value)
                age_ms = self._app.clock.now_ms() - row[2]
                if sensor.presses and age_ms <= (_COPY_NO_ID_MS if packet_id is None else _COPY_MS):
                    sensor.presses.count(packet_id, bytes(codes))
        if self.device == sensor.device and not self._over and not self._button:
            sensor.test = self

    def heard(self, address, rssi, data, sensor):
        """An advertisement, sensor being its sender where the table has it. Never raises."""
        try:
            self._heard(address, rssi, data, sensor)
        except (ValueError, IndexError, MemoryError) as error:
            print("pairing", repr(error))

    def _heard(self, address, rssi, data, sensor):
        now = self._app.clock.now_ms()
        service = bthome.service_data(data)
        if service is not None and not bthome.version_2(service):
            service = None
        row = self._seen.get(address)
        if row and service:
            row[2:4] = (now, service)
        if (
            self.device
            or self._over
            or (row and now - row[0] < (_AGAIN_MS if service != row[1] else _SAME_MS))
        ):
            return
        fields = _look(data, service)
        if not fields or not (row or sensor or self._room(now, rssi)):
            return
        self._seen[address] = [now, service, now, service, not sensor]
        fields[k.ADDRESS] = address
        fields[k.FLAGS] = k.UNVERIFIED
        if rssi != _NO_RSSI:
            fields[k.RSSI] = rssi
        if sensor:
            fields[k.DEVICE] = sensor.device
            fields[k.ROLE] = sensor.role
        self._app.recorder.record(k.SENSOR_HEARD, fields)

    def _room(self, now, rssi):
        # Whether a stranger more is told of. Whoever fills the air keeps none out that is held to the hub.
        strangers = [(row[0], address) for address, row in self._seen.items() if row[4]]
        if len(strangers) < _STRANGERS:
            return True
        told_ms, address = min(strangers)
        if now - told_ms < _GONE_MS:
            if not _NEAR <= rssi < _NO_RSSI or now - self._near_ms < _AGAIN_MS:
                return False
            self._near_ms = now
        del self._seen[address]
        return True


def _look(data, service):
    # What an advertisement says of its sender; {} of what is no sensor.
    fields = {}
    at = 0
    while at + 1 < len(data) and data[at]:
        what = data[at + 1]
        value = data[at + 2 : at + 1 + data[at]]
        at += 1 + data[at]
        if what in (0x02, 0x03, 0x16):  # 16-bit service UUIDs, some or all; service data
            for first in range(0, 2 if what == 0x16 else len(value), 2):
                role = _MONITORS.get(int.from_bytes(value[first : first + 2], "little"))
                if role:
                    fields[k.ROLE] = role
        elif what in (0x08, 0x09) and value:  # name, short or whole
            try:
                fields[k.NAME] = value.decode()
            except ValueError:
                pass  # not UTF-8
    if service is None:
        return fields if k.ROLE in fields else None
    if service[0] & bthome.ENCRYPTED:
        fields[k.ADVERTISED] = service
        return fields
    found = {what: value for what, value in bthome.objects(service)}  # noqa: C416  # a generator's pairs
    if found.get(1, 101) <= 100:
        fields[k.BATTERY] = found[1]
    for what, role in _OBJECTS:
        if what in found:
            fields[k.ROLE] = role
            break
    return fields or {k.FLAGS: k.UNVERIFIED}


def changed(app, drop):
    """The table in force is another one, or the hub has started."""
    try:
        if not app.collector and any(10 < row[1] < 17 for row in app.devices.entries):
            from kanhu_hub.inputs.monitors.collector import start

            app.collector = start(app, drop)
    except Exception as error:  # a hub without it still calls
        print("monitors", repr(error))
    tell(app)


def tell(app):
    """Say what has come into the table in force and what has left it, since it was last said."""
    if app.radio:
        app.radio.passed(0)  # not a second later: what has left the table raises nothing any more
    path = app.devices.path + ".told"
    table = [[row[0], row[1], row[2]] for row in app.devices.all() if len(row[2]) == 6]
    try:
        told = [row[:3] for row in cbor.loads(store.read(path) or b"\x80", 1024)]
    except (ValueError, TypeError):
        told = []
    if told == table:
        return
    for kind, rows, others in ((k.UNPAIRED, told, table), (k.PAIRED, table, told)):
        for row in rows:
            if row not in others:
                fields = {k.DEVICE: row[0], k.ADDRESS: row[2]}
                if kind == k.PAIRED:
                    fields[k.ROLE] = row[1]
                app.recorder.record(kind, fields)
    try:
        # After the events: a power cut between the two says them twice, but loses none.
        store.replace(path, cbor.dumps(table))
    except OSError:
        pass  # said once more after the next start
