"""One health monitor of the device table: when to connect, and what is wrong with it."""

from micropython import const

from kanhu_protocol import kinds as k

BOND_LOST, REFUSED, GAVE_NOTHING, NOT_UNDERSTOOD, OTHER_HOST, FLOODS = 1, 2, 3, 4, 5, 6  # of monitor.fault

_AWAY_MS = const(10_000)  # ours: unheard for so long it is switched on anew, or comes home
_REST_MS = const(2000)  # ours: it may advertise for a while after it has given all
_VAIN_MS = const(500)  # ours: after the first vain connection, then doubled: it is awake for seconds
_REST_MAX_MS = const(60_000)  # ours: of one that advertises all day and gives nothing
_ATTEMPTS = const(3)  # vain connections before it is a fault
_EACH_MS = const(30_000)  # ours: one measurement in this time, twice what a stream says,
_MOST_MS = const(2048 * 30_000)  # and so many more at once as a meter's memory may hold
_CALM_MS = const(64 * 30_000)  # after too many
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
        self._spent_ms = 0  # until then its measurements would last, one in _EACH_MS
        self._calm_ms = 0  # not to be connected to before, since it said too much

    def heard(self, types, data):
        """The radio has heard it."""
        now = self.clock.now_ms()
        if self._heard_ms is None or now - self._heard_ms >= _AWAY_MS:
            self._ready_ms = now
            self._vain = 0
        self._heard_ms = now
        if types < _CONNECTABLE and not self.session and now >= max(self._ready_ms, self._calm_ms):
            self._begin(self, types & 3, data)

    def over(self, gave):
        """A session or an attempt has ended; whether it gave a measurement."""
        self.session = None
        rest_ms = _REST_MS if gave else min(_VAIN_MS << self._vain, _REST_MAX_MS)
        self._vain = 0 if gave else min(self._vain + 1, 7)
        self._heard_ms = self.clock.now_ms()
        self._ready_ms = self._heard_ms + rest_ms

    def may_say(self):
        """Whether one more measurement may be said: a broken monitor must not fill flash."""
        now = self.clock.now_ms()
        spent_ms = max(self._spent_ms, now) + _EACH_MS
        if spent_ms - now > _MOST_MS:
            self._calm_ms = now + _CALM_MS
            self.wrong(FLOODS)
            return False
        self._spent_ms = spent_ms
        return True

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
