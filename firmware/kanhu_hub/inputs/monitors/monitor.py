"""One health monitor of the device table: when to connect, and what is wrong with it."""

from micropython import const

from kanhu_protocol import kinds as k

BOND_LOST, REFUSED, GAVE_NOTHING, NOT_UNDERSTOOD, OTHER_HOST = 1, 2, 3, 4, 5  # DETAIL of monitor.fault

_AWAY_MS = const(10_000)  # ours: unheard for so long it is switched on anew, or comes home
_REST_MS = const(2000)  # ours: it may advertise for a while after it has given all
_VAIN_MS = const(500)  # ours: after the first vain connection, then doubled: it is awake for seconds
_REST_MAX_MS = const(60_000)  # ours: of one that advertises all day and gives nothing
_ATTEMPTS = const(3)  # vain connections before it is a fault
_CONNECTABLE = const(8)  # types of an advertisement are below: see board/radio.py

BONDED, FAULT, SEQUENCE, MANUFACTURER, MODEL = 0, 1, 2, 3, 4  # its facts


class Monitor:
    """begin(monitor, address type, advertisement) is called when it is here and wants to be connected to."""

    def __init__(self, device, role, address, facts, emit, clock, begin):
        self.device = device
        self.role = role
        self.address = address
        self.facts = facts
        self.emit = emit
        self.clock = clock
        self.session = None  # while there is one
        self.said = []  # measurements of late: see session.py
        self._begin = begin
        self._heard_ms = None
        self._ready_ms = 0
        self._vain = 0  # sessions without a measurement in a row
        self._cut = 0  # those of them that the monitor ended

    def heard(self, types, data):
        """The radio has heard it."""
        now = self.clock.now_ms()
        if self._heard_ms is None or now - self._heard_ms >= _AWAY_MS:
            self._ready_ms = now
            self._vain = 0
        self._heard_ms = now
        if types < _CONNECTABLE and not self.session and now >= self._ready_ms:
            self._begin(self, types & 3, data)

    def over(self, gave):
        """A session or an attempt has ended; whether it gave a measurement."""
        self.session = None
        rest_ms = _REST_MS if gave else min(_VAIN_MS << self._vain, _REST_MAX_MS)
        self._vain = 0 if gave else min(self._vain + 1, 7)
        self._heard_ms = self.clock.now_ms()
        self._ready_ms = self._heard_ms + rest_ms

    def well(self):
        """It gave a whole measurement."""
        self._cut = 0
        if self.facts[FAULT]:
            self.facts[FAULT] = 0
            self.emit(k.MONITOR_OK, {k.DEVICE: self.device})

    def wrong(self, detail):
        """A fault, said once."""
        if self.facts[FAULT] != detail:
            self.facts[FAULT] = detail
            self.emit(k.MONITOR_FAULT, {k.DEVICE: self.device, k.DETAIL: detail})

    def cut(self, detail=GAVE_NOTHING):
        """It ended the connection before it gave anything, or hung."""
        self._cut += 1
        if self._cut >= _ATTEMPTS:
            self.wrong(detail)
