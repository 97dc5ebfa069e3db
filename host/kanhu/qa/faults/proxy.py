"""A TCP proxy whose connections can go wrong: its loop runs in a thread of its own, faults come from any."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from kanhu.errors import LinkDown

from .link import Link
from .link_faults import Cut, HalfOpen, LinkFault, Lossy, Mute, Refuse, Reset, Slow, Stall

T = TypeVar("T")
Address = tuple[str, int]
BACKLOG = 100
ANSWER_S = 10.0  # for the proxy's own loop to do something


class FaultProxy:
    """`with FaultProxy(upstream) as proxy`: what connects to proxy.address, proxy.port talks to upstream.

    Faults apply to the connections there are and to new ones, several at once, until they are cleared."""

    def __init__(
        self,
        upstream: Address,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,  # what connects speaks TLS, upstream does not
    ) -> None:
        self.upstream = upstream  # of new connections; may be changed at any time
        self.address = address
        self.port = port  # the free one that was taken, once started
        self.counts: Counter[str] = Counter()  # faults by name, and what came of them
        self._tls = tls
        self._faults: list[LinkFault] = []
        self._chances: dict[LinkFault, random.Random] = {}
        self._repeats: dict[LinkFault, asyncio.Task[None]] = {}
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None  # keeps the port while nobody listens
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._links)

    @property
    def faults(self) -> tuple[LinkFault, ...]:
        """What is wrong now."""
        return tuple(self._faults)

    def start(self) -> None:
        """Listen; LinkDown when the port is somebody else's."""
        if self._thread:
            return
        self._held = self._bound()
        self.port = self._held.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """End every connection and stop listening; once more does nothing."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        self._faults.clear()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread.join()
        self._loop.close()

    def set(self, fault: LinkFault) -> LinkFault:
        """From when this returns the fault is there; give it to clear() to lift it."""
        self._run(self._set(fault))
        return fault

    def clear(self, fault: LinkFault | None = None) -> None:
        """Lift one fault, or all; one that is not there does nothing."""
        if self._thread:
            self._run(self._clear(fault))

    def count(self, name: str) -> int:
        """How often so far: connections, resets, cut short, unreachable, swallowed, unreadable, bytes up,
        bytes down, bytes to nobody; and every fault by its name."""
        return self.counts[name]

    # In the proxy's loop

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise LinkDown("the fault proxy has not been started")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_S)

    def _bound(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((self.address, self.port))
        except OSError as error:
            made.close()
            raise LinkDown(f"the fault proxy cannot listen on {self.address}:{self.port}: {error}") from None
        return made

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, sock=self._held, backlog=BACKLOG, ssl=self._tls
        )
        self._held = None

    async def _close(self) -> None:
        for repeat in self._repeats.values():
            repeat.cancel()
        if self._server:
            self._server.close()
        if self._held:
            self._held.close()
        for link, task in list(self._links.items()):
            link.reset()
            task.cancel()
        # And handshakes under way, which are no links yet.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _set(self, fault: LinkFault) -> None:
        self._faults.append(fault)
        self.counts[fault.name] += 1
        match fault:
            case Cut():
                self._reset_all()
            case Reset(every_s):
                self._reset_all()
                if every_s:
                    self._repeats[fault] = asyncio.create_task(self._repeat(every_s))
            case Refuse() if self._server:
                self._server.close()
                self._server = None
                self._held = self._bound()
            case Lossy(_, seed):
                self._chances[fault] = random.Random(seed)  # noqa: S311  # so that it can be repeated
            case HalfOpen(gone):
                for link in self._links:
                    link.lose(gone)
        self._announce()

    async def _clear(self, fault: LinkFault | None) -> None:
        lifted = [one for one in self._faults if fault is None or one is fault]
        self._faults = [one for one in self._faults if one not in lifted]
        for one in lifted:
            self._chances.pop(one, None)
            if repeat := self._repeats.pop(one, None):
                repeat.cancel()
            if isinstance(one, HalfOpen):
                for link in self._links:
                    if link.gone == one.gone:
                        self._reset(link)
        if self._held and not any(isinstance(one, Refuse) for one in self._faults):
            await self._listen()
        self._announce()

    def _announce(self) -> None:
        """Wake whoever waits for a change of the faults."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _repeat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self._reset_all()

    def _reset_all(self) -> None:
        for link in self._links:
            self._reset(link)

    def _reset(self, link: Link) -> None:
        self.counts["resets"] += 1
        link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a server's callback is one
        self.counts["connections"] += 1
        link = Link(reader, writer, self)
        self._links[link] = task
        try:
            if any(isinstance(one, Cut) for one in self._faults):
                self._reset(link)
                return
            await self.flowing()
            if link.over:
                return
            try:
                await link.connect(self.upstream)
            except OSError:
                self.counts["unreachable"] += 1
                link.reset()
                return
            await link.carry()
        except asyncio.CancelledError:
            link.reset()  # the proxy stops: nobody waits for this task's end but _close()
        finally:
            del self._links[link]
            link.close()

    # What a link asks

    def _any(self, wanted: Callable[[LinkFault], bool]) -> bool:
        return any(map(wanted, self._faults))

    async def flowing(self) -> None:
        """Returns when nothing stalls."""
        while self._any(lambda one: isinstance(one, Stall)):
            await self._changed.wait()

    async def pause(self, seconds: float) -> None:
        """Returns after so long, or when the faults change."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)

    @property
    def bytes_s(self) -> float | None:
        """The slowest that is asked for; None: as fast as it goes."""
        return min((one.bytes_s for one in self._faults if isinstance(one, Slow)), default=None)

    @property
    def mute(self) -> bool:
        """Whether acknowledgements are swallowed."""
        return self._any(lambda one: isinstance(one, Mute))

    def cut_off(self, size: int) -> int | None:
        """After how many bytes of a segment of this size its connection ends; None: it does not."""
        for fault in self._faults:
            if isinstance(fault, Lossy):
                chance = self._chances[fault]
                if chance.random() < fault.chance:
                    return chance.randrange(size)
        return None
