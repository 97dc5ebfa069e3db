"""TCP in memory: bytes arrive late, in pieces and in order; a lost way holds them, a reset ends them."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from kanhu.sim.world.loop import Process, VirtualLoop, owner_of

MIN_DELAY_S, MAX_DELAY_S = 0.002, 0.030
SPLIT_CHANCE = 0.1  # that what was written at once arrives in two pieces
WRITE_HIGH = 64 * 1024  # bytes under way before a writer is told to pause


class Way:
    """A stretch of the network that a connection takes: up, or it carries nothing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.up = True
        self.ends: set[End] = set()  # connections that lead over it, one end each

    def turn(self, up: bool) -> None:
        """Carry, or hold everything until further notice."""
        self.up = up
        if up:
            for end in sorted(self.ends, key=lambda end: end.number):
                end.pump()
                end.peer.pump()

    def cut(self) -> None:
        """Reset every connection over it, as a router does that has lost its tables."""
        for end in sorted(self.ends, key=lambda end: end.number):
            end.reset()


class End(asyncio.Transport):
    """One end of a connection, the transport of its protocol."""

    peer: End

    def __init__(self, net: Net, number: int, ways: tuple[Way, ...], context: contextvars.Context) -> None:
        super().__init__()
        self.number = number
        self.protocol: Any = None
        self._net = net
        self._ways = ways
        self._context = context  # in which this end's protocol is called
        self._incoming: deque[tuple[float, bytes | None]] = deque()  # None: the other side has closed
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._lost = False
        self._silent = False
        self._paused = False
        self.owner = owner_of(context)
        for way in ways:
            way.ends.add(self)

    # asyncio.Transport

    def write(self, data: Any) -> None:
        if not self._closing and data:
            self.peer.arrive(bytes(data))
            if not self._paused and self.peer.under_way() > WRITE_HIGH:
                self._paused = True
                self._call(self.protocol.pause_writing)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.peer.arrive(None)
            self._gone(None)

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # the network's side

    def under_way(self) -> int:
        return sum(len(data) for _, data in self._incoming if data)

    def arrive(self, data: bytes | None) -> None:
        """The other end has sent this: it comes when the ways carry it."""
        if self._lost:
            if data and not self._silent:
                self.peer.arrive_reset()
            return
        chance = self._net.chance
        pieces = [data]
        if data and len(data) > 1 and chance.random() < SPLIT_CHANCE:
            at = chance.randrange(1, len(data))
            pieces = [data[:at], data[at:]]
        for piece in pieces:
            self._last = max(self._last, self._net.loop.time() + self._net.delay())
            self._incoming.append((self._last, piece))
        self.pump()

    def arrive_reset(self) -> None:
        """Nobody is there any more."""
        if not self._lost:
            self._incoming.clear()
            self._incoming.append((self._net.loop.time() + self._net.delay(), None))
            self.pump()

    def pump(self) -> None:
        """Deliver what has arrived, or see to it that it will be."""
        if self._timer is None and self._incoming and all(way.up for way in self._ways):
            when = max(self._incoming[0][0], self._net.loop.time())
            self._timer = self._net.loop.call_at(when, self._deliver, context=self._net.context)

    def _deliver(self) -> None:
        self._timer = None
        now = self._net.loop.time()
        while self._incoming and self._incoming[0][0] <= now and all(way.up for way in self._ways):
            _, data = self._incoming.popleft()
            if data is None:
                self._closing = True
                self._gone(ConnectionResetError("reset by peer"))
                return
            if not self._closing:
                self._call(self._hand_over, data)
        if self.peer._paused and self.under_way() < WRITE_HIGH // 4:
            self.peer._paused = False
            self.peer._call(self.peer.protocol.resume_writing)
        self.pump()

    def _hand_over(self, data: bytes) -> None:
        if self._closing:
            return
        if not isinstance(self.protocol, asyncio.BufferedProtocol):
            self.protocol.data_received(data)
            return
        while data:
            buffer = memoryview(self.protocol.get_buffer(-1))
            size = min(len(buffer), len(data))
            buffer[:size] = data[:size]
            data = data[size:]
            self.protocol.buffer_updated(size)

    def reset(self) -> None:
        """Both ends are told that the connection is over, each when it can be reached."""
        self.arrive_reset()
        self.peer.arrive_reset()

    def vanish(self, answered: bool) -> None:
        """Its owner is gone without a word. answered: its machine lives on and tells the other end."""
        self._silent = not answered
        self._closing = self._lost = True
        self._leave()
        if answered:
            self.peer.arrive_reset()

    def _leave(self) -> None:
        self._incoming.clear()
        self._net.ends.discard(self)
        for way in self._ways:
            way.ends.discard(self)

    def _gone(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._leave()
            self._call(self.protocol.connection_lost, error)

    def _call(self, callback: Callable[..., object], *args: Any) -> None:
        self._net.loop.call_soon(callback, *args, context=self._context)


class Net:
    """All connections. listen() by (host, port); connect() as asyncio's create_connection."""

    loop: VirtualLoop

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.context = contextvars.copy_context()  # the network itself is nobody's process
        self._listeners: dict[tuple[str, int], Callable[[], Any]] = {}
        self._ways: dict[tuple[str, int], Way] = {}
        self._numbers = 0
        self.ends: set[End] = set()

    def delay(self) -> float:
        """One way's time, in s."""
        return self.chance.uniform(MIN_DELAY_S, MAX_DELAY_S)

    def listen(self, host: str, port: int, accept: Callable[[], Any] | None) -> None:
        """accept() makes the protocol of each connection; None: refuse."""
        if accept is None:
            self._listeners.pop((host, port), None)
        else:
            self._listeners[host, port] = accept

    def way(self, host: str, port: int) -> Way:
        """The way from the daemon's host to a server."""
        return self._ways.setdefault((host, port), Way(f"{host}:{port}"))

    async def connect(self, factory: Callable[[], Any], host: str, port: int) -> tuple[Any, Any]:
        """As asyncio's create_connection; ConnectionRefusedError."""
        way = self.way(host, port)
        await asyncio.sleep(2 * self.delay())
        while not way.up:  # noqa: ASYNC110  # a SYN is sent again, whatever the way does meanwhile
            await asyncio.sleep(1.0)
        protocol = factory()
        end = self.join(protocol, host, port, (way,), contextvars.copy_context())
        if end is None:
            raise ConnectionRefusedError(f"{host}:{port} refused the connection")
        return end, protocol

    def join(
        self, protocol: Any, host: str, port: int, ways: tuple[Way, ...], context: contextvars.Context
    ) -> End | None:
        """Connect a protocol to whoever listens; None: nobody does."""
        accept = self._listeners.get((host, port))
        if accept is None:
            return None
        self._numbers += 2
        near = End(self, self._numbers, ways, context)
        far = End(self, self._numbers + 1, ways, self.context)
        self.ends |= {near, far}
        near.peer, far.peer = far, near
        near.protocol, far.protocol = protocol, accept()
        far.protocol.connection_made(far)
        protocol.connection_made(near)
        return near

    def abandon(self, process: Process) -> None:
        """A process was killed: its machine resets its connections."""
        for end in sorted(self.ends, key=lambda end: end.number):
            if end.owner is process:
                end.vanish(answered=True)
