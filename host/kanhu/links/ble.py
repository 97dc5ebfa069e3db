"""The spare path: hubs in range that offer their GATT service because no other link of theirs works.

Serial's frames (contracts, section 3) over each connection; a hub ends it when its network is back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from kanhu.errors import LinkDown
from kanhu.links import hello
from kanhu.links.gatt import Backends, Found, Pipe, look
from kanhu.links.hub_link import Inlet
from kanhu_protocol import VERSION, cbor, frame

log = structlog.get_logger("kanhu.ble")

LOOK_S = 10.0  # of scanning at a time
PAUSE_S = 2.0  # between two scans
NO_RADIO_S = 60.0
AT_ONCE = 4  # connections; small adapters carry no more
USELESS_S = 15.0  # a connection over which no event came
AWAY_S, AWAY_MAX_S = 30.0, 600.0  # then it is left to others, an installer perhaps
OUTGOING_MAX = 64  # frames waiting for one hub


class BleLink:
    """All hubs in range. known(): hub_ids that are served."""

    name = "ble"

    def __init__(
        self, inlet: Inlet, known: Callable[[], Iterable[str]], backends: Backends | None = None
    ) -> None:
        self._inlet, self._known, self._backends = inlet, known, backends
        self._talks: dict[str, _Talk] = {}  # by address
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._away: dict[str, tuple[float, float]] = {}  # address: until when (monotonic), how long next

    @property
    def connected(self) -> bool:
        return any(talk.hub_id for talk in self._talks.values())

    def send_down(self, hub_id: str, data: bytes) -> bool:
        """Queue one sealed down message; False when the hub is not here or does not keep up."""
        # To all of them: whoever says the hub's id first may not be the hub, and can read none of it.
        talks = [talk for talk in self._talks.values() if talk.hub_id == hub_id]
        return sum(talk.put(frame.DOWN, data) for talk in talks) > 0

    async def run(self) -> None:
        """Look for hubs, serve them, until cancelled."""
        complained = ""
        try:
            while True:
                pause, found = PAUSE_S, list[Found]()
                if len(self._serving) < AT_ONCE:
                    try:
                        found = await self._look()
                        complained = ""
                    except LinkDown as error:
                        if str(error) != complained:
                            complained = str(error)
                            log.warning("no Bluetooth; will keep trying", error=complained)
                        pause = NO_RADIO_S
                    for one in found[: AT_ONCE - len(self._serving)]:
                        address = one.device.address
                        self._serving[address] = task = asyncio.create_task(self._serve(one))
                        task.add_done_callback(partial(self._served, address))
                await asyncio.sleep(pause)
        finally:
            tasks = list(self._serving.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _served(self, address: str, task: asyncio.Task[None]) -> None:
        del self._serving[address]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection's task ended", error=repr(error))

    async def _look(self) -> list[Found]:
        ids = list(self._known())
        heard = await look(LOOK_S, lambda hubs: bool(self._wanted(hubs, ids)), self._backends)
        return self._wanted(heard, ids)

    def _wanted(self, found: list[Found], ids: list[str]) -> list[Found]:
        now = time.monotonic()
        # Addresses may change all the time.
        self._away = {at: away for at, away in self._away.items() if away[0] + AWAY_MAX_S > now}
        return [
            one
            for one in found
            if one.device.address not in self._serving
            and self._away.get(one.device.address, (0.0, 0.0))[0] <= now
            and any(one.may_be(hub_id) for hub_id in ids)
        ]

    async def _serve(self, one: Found) -> None:
        address = one.device.address
        talk = self._talks[address] = _Talk(self.name, self._inlet, self._known)
        pipe = Pipe(one.device, talk.came, talk.over.set, self._backends)
        try:
            await pipe.open()
            log.info("connected", hub=one.hub, rssi=one.rssi)
            await talk.run(pipe)
        except LinkDown as error:
            log.info("connection lost", hub=one.hub, error=str(error))
        finally:
            del self._talks[address]
            with contextlib.suppress(asyncio.CancelledError):
                await pipe.close()
        if talk.useful:
            self._away.pop(address, None)
        else:
            _, before = self._away.get(address, (0.0, 0.0))
            away = min(max(2 * before, AWAY_S), AWAY_MAX_S)
            self._away[address] = (time.monotonic() + away, away)


class _Talk:
    """One connection, one hub. Up frames are taken only after a hello named the hub."""

    def __init__(self, name: str, inlet: Inlet, known: Callable[[], Iterable[str]]) -> None:
        self.hub_id: str | None = None
        self.useful = False  # events came
        self.over = asyncio.Event()
        self._name, self._inlet, self._known = name, inlet, known
        self._decoder = frame.Decoder()
        self._seen_bad = 0
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING_MAX)

    def put(self, kind: int, body: bytes) -> bool:
        """False: it was not taken."""
        try:
            self._outgoing.put_nowait(frame.encode(kind, body))
        except (asyncio.QueueFull, frame.FrameError):
            return False
        return True

    async def run(self, pipe: Pipe) -> None:
        """Until it is over, or of no use; LinkDown."""
        self.put(frame.HELLO, cbor.dumps({0: VERSION}))
        writing = asyncio.create_task(self._write(pipe))
        ending = asyncio.create_task(self.over.wait())
        try:
            await asyncio.wait((writing, ending), timeout=USELESS_S, return_when=asyncio.FIRST_COMPLETED)
            if self.useful:
                await asyncio.wait((writing, ending), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                await writing
        finally:
            writing.cancel()
            ending.cancel()
            await asyncio.gather(writing, ending, return_exceptions=True)

    async def _write(self, pipe: Pipe) -> None:
        while True:
            await pipe.write(await self._outgoing.get())

    def came(self, data: bytes) -> None:
        """Bytes of the hub."""
        for kind, body in self._decoder.feed(data):
            if kind == frame.HELLO:
                self._hello(body)
            elif kind != frame.UP:
                continue  # of an installer's talk, perhaps
            elif self.hub_id is None:
                self._inlet.refuse(self._name, "unknown_hub")
            else:
                self.useful = True
                self._inlet.submit(self.hub_id, body, self._name)
        bad = self._decoder.bad_crc + self._decoder.too_long + self._decoder.broken
        for _ in range(bad - self._seen_bad):
            self._inlet.refuse(self._name, "malformed")
        self._seen_bad = bad

    def _hello(self, body: bytes) -> None:
        said = hello.read(body)
        if said is None:
            self._inlet.refuse(self._name, "malformed")
            return
        hub_id, wants_answer = said
        if hub_id not in self._known():
            self._inlet.refuse(self._name, "unknown_hub")
            self.over.set()
            return
        if hub_id != self.hub_id:
            log.info("hub says hello", hub=hub_id)
            self.hub_id = hub_id
        self._inlet.present(hub_id, self._name)
        if wants_answer:
            self.put(frame.HELLO, cbor.dumps({0: VERSION}))
