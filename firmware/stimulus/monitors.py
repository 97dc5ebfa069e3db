"""A health monitor as a script has it: its services, what it indicates, how it pairs and hangs up."""

import asyncio
import binascii

from micropython import const

from stimulus.monitor_script import Script

_ADVERTISE_US = const(50000)
_AGAIN_MS = const(1000)  # MicroPython tells of no subscription: what was not confirmed is said again
_LOG = const(64)  # things that happened, the newest
_SECRETS = const(32)
_NO_KEYS = const(3)
# bluetooth._IRQ_*
_CONNECTED = const(1)
_DISCONNECTED = const(2)
_WRITTEN = const(3)
_INDICATED = const(20)
_ENCRYPTION = const(28)
_GET_SECRET = const(29)
_SET_SECRET = const(30)


class Monitors:
    """Plays one at a time; bonds are kept until the board restarts or is told to forget them."""

    def __init__(self, app, radio):
        self._app, self._radio = app, radio
        self._secrets = []  # (type, key, value), oldest first
        self._news = []  # of the interrupt: (event, connection, number, number)
        self._flag = asyncio.ThreadSafeFlag()
        self._log = []
        self._said = self._of = 0
        app.register(
            "monitor",
            self.monitor,
            (
                "address", "advertising", "services", "sayings", "bonded", "asks",
                "advertise_ms", "settle_ms", "linger_ms", "hang_up_ms",
            ),
        )  # fmt: skip
        app.register("monitor_log", self.log)
        app.register("forget", self.forget)

    def _irq(self, event, data):
        # On NimBLE's task, with buffers that are reused: copy and flag.
        if event == _GET_SECRET:
            return self._secret(*data)
        if event == _SET_SECRET:
            return self._keep(*data)
        if event in (_CONNECTED, _DISCONNECTED):
            self._news.append((event, data[0], 0, 0))
        elif event == _WRITTEN:
            self._news.append((event, data[0], data[1], 0))
        elif event in (_INDICATED, _ENCRYPTION):
            self._news.append((event, data[0], data[1], data[2]))
        else:
            return None
        self._flag.set()
        return None

    def _secret(self, kind, index, key):
        for row in self._secrets:
            if row[0] == kind:
                if key is None:
                    if not index:
                        return row[2]
                    index -= 1
                elif row[1] == key:
                    return row[2]
        return None

    def _keep(self, kind, key, value):
        key = bytes(key)
        self._secrets = [row for row in self._secrets if row[0] != kind or row[1] != key][1 - _SECRETS :]
        if value is not None:
            self._secrets.append((kind, key, bytes(value)))
        return True

    # Commands

    async def forget(self, request):
        """End all bonds, as a changed battery may."""
        self._secrets = []

    async def log(self, request):
        """What happened since the monitor began: [ticks_ms, what, detail]; how much of it was confirmed."""
        return {"said": self._said, "of": self._of, "log": self._log}

    async def monitor(self, request):
        """Be this monitor until all is said and confirmed, or nobody came."""
        script = Script(request, self._app.board.uuid)
        self._radio.require(request)
        await self._radio.begin("monitor", self._run(script))
        return self._app.board.ticks_us()

    def _note(self, what, detail=""):
        self._log = self._log[1 - _LOG :]
        self._log.append([self._app.board.ticks_ms(), what, detail])

    async def _run(self, script):
        ble = self._radio.ble
        self._radio.other = self._irq
        self._log, self._news = [], []
        self._said, self._of = 0, len(script.sayings)
        ble.config(bond=script.bonded, mitm=False, le_secure=True, io=_NO_KEYS)
        await self._radio.settled(lambda: script.register(ble))
        visit = None
        try:
            left_ms = script.advertise_ms
            began = self._app.board.ticks_ms()
            while script.pending and left_ms > 0:
                self._note("advertising")
                ble.gap_advertise(_ADVERTISE_US, script.advertising)
                conn = await self._connection(left_ms)
                if conn is None:
                    break
                visit = Visit(self, ble, script, conn)
                await visit.run()
                visit = None
                left_ms = script.advertise_ms - self._app.board.ticks_diff(self._app.board.ticks_ms(), began)
        finally:
            self._radio.other = None
            if visit:
                visit.leave()
        self._note("asleep")
        self._app.emit("monitor", {"said": self._said, "of": self._of})

    async def next(self, ms):
        """What the interrupt saw next; None after ms."""
        if not self._news:
            try:
                await asyncio.wait_for_ms(self._flag.wait(), ms)
            except asyncio.TimeoutError:
                pass
        return self._news.pop(0) if self._news else None

    async def _connection(self, ms):
        end = self._app.board.ticks_ms()
        while True:
            left = ms - self._app.board.ticks_diff(self._app.board.ticks_ms(), end)
            if left <= 0:
                return None
            news = await self.next(left)
            if news and news[0] == _CONNECTED:
                self._note("connected")
                return news[1]


class Visit:
    """One connection, until one side ends it."""

    def __init__(self, monitors, ble, script, conn):
        self._monitors, self._ble, self._script, self._conn = monitors, ble, script, conn
        self._encrypted = self._gone = False
        self._ms = monitors._app.board.ticks_ms
        self._diff = monitors._app.board.ticks_diff
        self._heard = self._ms()
        self._said_at = None  # ticks at which the first pending one was said last
        self._ready = self._heard
        self._hung = False

    def leave(self):
        """End the connection."""
        if not self._gone and not self._hung:
            self._hung = True
            try:
                self._ble.gap_disconnect(self._conn)
            except OSError:
                pass  # it is gone

    async def run(self):
        script = self._script
        if script.asks:
            try:
                self._ble.gap_pair(self._conn)
            except OSError:
                pass  # it is gone already
        while not self._gone:
            news = await self._monitors.next(self._speak())
            if news and news[1] == self._conn:
                self._happened(*news)

    def _speak(self):
        # Says what is due; ms until there is something to do again.
        script, now = self._script, self._ms()
        silent = self._diff(now, self._heard)
        if self._hung:
            return 1000
        if not script.pending:
            if silent >= script.hang_up_ms:
                self._monitors._note("hung up", "done")
                self.leave()
                return 1000
            return script.hang_up_ms - silent
        if silent >= script.linger_ms:
            self._monitors._note("hung up", "silent")
            self.leave()
            return 1000
        wait = script.linger_ms - silent
        if script.bonded and not self._encrypted:
            return wait
        settle = script.settle_ms - self._diff(now, self._ready)
        if settle > 0:
            return min(settle, wait)
        saying = script.pending[0]
        due = saying[3] if saying[4] else _AGAIN_MS
        since = None if self._said_at is None else self._diff(now, self._said_at)
        if since is not None and since < due:
            return min(due - since, wait)
        self._said_at = now
        # To those who have subscribed, and to nobody else.
        self._ble.gatts_write(script.handles[saying[0]], saying[1], True)
        if saying[4]:
            self._heard = now
            saying[2] -= 1
            if saying[2] <= 0:
                self._done("notified")
            return 0
        return min(due, wait)

    def _done(self, what):
        saying = self._script.pending.pop(0)
        self._said_at = None
        self._heard = self._ms()
        self._monitors._said += 1
        self._monitors._note(what, binascii.hexlify(saying[1]).decode())

    def _happened(self, event, conn, number, status):
        self._heard = self._ms()
        script, note = self._script, self._monitors._note
        if event == _DISCONNECTED:
            self._gone = True
            note("disconnected")
        elif event == _ENCRYPTION:
            self._encrypted = bool(number)
            self._ready = self._heard
            note("encrypted" if number else "not encrypted")
        elif event == _WRITTEN:
            note("written", script.uuids.get(number, "?") + " " + _hex(self._ble.gatts_read(number)))
        elif event == _INDICATED and not status and script.awaits(number):
            self._done("confirmed")


def _hex(data):
    return binascii.hexlify(data).decode()
