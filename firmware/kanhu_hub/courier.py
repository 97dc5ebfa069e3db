"""Moves the outbox onto the links: P1 on all of them at once, the rest on the first that is connected."""

import asyncio

from micropython import const

from kanhu_hub.links import BULK, URGENT, LinkError

NUMBERS = {"mqtt": 1, "serial": 2, "ble": 3}  # key LINK

_WINDOW_URGENT = const(8)  # P1 events under way and not stored, per link
_WINDOW_BULK = const(16)
_WINDOW_PRESSING = const(24)  # P2 and P3 get past a full window of P4 and P5
_BATCH = const(16)  # events in one publish or frame
_BATCH_BYTES = const(1019)  # a serial frame's body (contracts, section 3)
_AGAIN_MS = const(10000)  # without a receipt; doubles
_AGAIN_MAX_MS = const(60000)
_PATIENCE = const(3)  # tries after which an event leaves the window: a host may refuse it for ever
_LAP_MS = const(300000)  # between two rounds over what has left the window
_PAUSE_MS = const(5000)
_WATCH_MS = const(500)
_STALE_MS = const(1000)
_LOST_MS = const(30000)  # link.lost is debounced this long


class Way:
    """One link and what is known of it."""

    def __init__(self, link):
        self.link = link
        self.number = NUMBERS[link.name]
        self.wake = (asyncio.Event(), asyncio.Event())  # by lane
        self.up = [False, False]
        self.since_ms = 0  # when `up` of the urgent lane last changed
        self.lost = None  # link.lost was said; None: perhaps before this start
        self.greetings = 0  # times that a host came anew to an open link
        self.met = not getattr(link, "optional", False)  # a host is expected, or was heard, at the other end


class Courier:
    """on_down(bytes) takes each down message; links stand in the order of preference."""

    def __init__(self, links, outbox, clock, on_down):
        self.ways = [Way(link) for link in links]
        self._outbox = outbox
        self._clock = clock
        self._on_down = on_down
        self._connected_ms = 0  # when some link was last seen connected
        self._stale_ms = -_STALE_MS
        self._lap_ms = -_LAP_MS
        self._answered = False  # since the last round

    def new(self, cls):
        """An event of a class was kept."""
        for way in self.ways:
            way.wake[URGENT if cls == 1 else BULK].set()
            if cls == 1:
                way.link.hurry()

    def progress(self):
        """Receipts came: windows may be open again."""
        self._answered = True
        for way in self.ways:
            way.wake[URGENT].set()
            way.wake[BULK].set()

    def stale(self):
        """Sealed for the last boot: lost to this hub, which says all again soon. Later ones are replays."""
        now = self._clock.now_ms()
        if self._outbox.first_due and now - self._stale_ms >= _STALE_MS:
            self._stale_ms = now
            for way in self.ways:
                self._due_again(way, now + _STALE_MS)

    def _due_again(self, way, when, lanes=(URGENT, BULK)):
        outbox = self._outbox
        if BULK in lanes:
            outbox.rewind()
        for lane in lanes:
            for held in outbox.urgent if lane == URGENT else outbox.flight + [outbox.first]:
                if held and way.number in held.due:
                    held.due[way.number] = (when, 0)
            way.wake[lane].set()

    def ready(self):
        """Whether some link can take a P1 event now."""
        return any(way.link.connected(URGENT) for way in self.ways)

    def cut_off_ms(self):
        """How long no link has been connected, 0 while one is."""
        if any(way.met and way.link.connected(URGENT) for way in self.ways):
            return 0
        return self._clock.now_ms() - self._connected_ms

    def preferred(self):
        """The first way whose bulk lane is connected, or None."""
        for way in self.ways:
            if way.link.connected(BULK):
                return way
        return None

    async def receive(self, way):
        """Open the link and take its down messages, for ever."""
        while True:
            await way.link.open()
            try:
                while True:
                    message = await way.link.receive()
                    if self._on_down(message) is not False:
                        way.met = True
            except LinkError:
                await self._clock.sleep_ms(_WATCH_MS)

    async def urgent(self, way, beat):
        """Send P1 on one link, for ever; beat() at least every _PAUSE_MS while the link moves."""
        while True:
            beat()
            batch, payload, wait_ms = self._due_urgent(way)
            if not batch or not await self._send(way, URGENT, 1, batch, payload):
                await self._pause(way.wake[URGENT], wait_ms)

    async def bulk(self, way, beat):
        """Send P2 to P5 on one link while it is the preferred one, for ever."""
        while True:
            beat()
            batch = self._due_bulk(way) if self.preferred() is way else None
            payload = b"".join([held.sealed for held in batch or ()])
            if not batch or not await self._send(way, BULK, batch[0].cls, batch, payload):
                await self._pause(way.wake[BULK], 1000 if self._outbox.flight else _PAUSE_MS)

    async def _pause(self, event, ms):
        try:
            # wait_for takes the sleep to use: so time stays an argument.
            await asyncio.wait_for(event.wait(), ms, self._clock.sleep_ms)  # type: ignore[call-arg]
        except asyncio.TimeoutError:
            pass
        event.clear()

    def _due_urgent(self, way):
        now = self._clock.now_ms()
        batch, payload, waiting, wait_ms = [], b"", 0, _PAUSE_MS
        for held in self._outbox.urgent[:]:
            when, tries = held.due.get(way.number, (0, 0))
            if tries < _PATIENCE:
                waiting += 1
                if waiting > _WINDOW_URGENT:
                    continue
            if when > now:
                wait_ms = min(wait_ms, when - now)
                continue
            sealed = self._outbox.sealed(held)
            if not sealed:
                waiting -= 1
                continue
            if len(payload) + len(sealed) > _BATCH_BYTES or len(batch) == _BATCH:
                break
            batch.append(held)
            payload += sealed
        return batch, payload, wait_ms

    def _due_bulk(self, way):
        now = self._clock.now_ms()
        first = self._outbox.first
        if first and self._outbox.first_due and first.due.get(way.number, (0, 0))[0] <= now:
            return [first]
        outbox = self._outbox
        flight = outbox.flight
        active = 0
        for held in flight[:]:
            when, tries = held.due.get(way.number, (0, 0))
            if tries < _PATIENCE:
                active += 1
            elif held.segment:
                if when <= now:
                    outbox.park(held)
                else:
                    active += 1
        for cls in (2, 3, 4, 5):
            batch, size = [], 0
            for held in flight:
                if held.cls == cls and held.due.get(way.number, (0, 0))[0] <= now:
                    size += len(held.sealed)
                    if size > _BATCH_BYTES or len(batch) == _BATCH:
                        break
                    batch.append(held)
            room = (_WINDOW_PRESSING if cls < 4 else _WINDOW_BULK) - active
            if not batch and room > 0:
                batch = outbox.take(cls, min(room, _BATCH), _BATCH_BYTES)
            if batch:
                return batch
        if not active and self._answered and now - self._lap_ms >= _LAP_MS and outbox.rewind():
            self._answered = False
            self._lap_ms = now
        return None

    async def _send(self, way, lane, cls, batch, payload):
        try:
            await way.link.send(lane, cls, payload)
        except LinkError:
            return False
        now = self._clock.now_ms()
        for held in batch:
            tries = held.due.get(way.number, (0, 0))[1]
            held.due[way.number] = (now + min(_AGAIN_MS << tries, _AGAIN_MAX_MS), min(tries + 1, 8))
        return True

    async def watch(self, lost, back, beat):
        """Notice connections coming and going; lost(number) and back(number, span_ms) after debouncing."""
        while True:
            beat()
            now = self._clock.now_ms()
            for way in self.ways:
                for lane in (URGENT, BULK):
                    self._look(way, lane, now, back)
                greetings = getattr(way.link, "greetings", 0)
                if greetings != way.greetings:
                    way.greetings = greetings
                    self._due_again(way, now)
                if way.up[URGENT]:
                    if way.met:
                        self._connected_ms = now
                elif way.met and not way.lost and now - way.since_ms >= _LOST_MS:
                    way.lost = True
                    lost(way.number)
            await self._clock.sleep_ms(_WATCH_MS)

    def _look(self, way, lane, now, back):
        up = way.link.connected(lane)
        if up == way.up[lane]:
            return
        way.up[lane] = up
        if up:
            # What the last connection had under way may be gone.
            self._due_again(way, now, (lane,))
        if lane == URGENT:
            if up and way.lost is not False:
                way.lost = False
                back(way.number, now - way.since_ms)
            way.since_ms = now
