"""One connection through a FaultProxy: both its ends, and the bytes either way."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from typing import Literal, Protocol

from kanhu.sim.net import RESET_ON_CLOSE

from .mqtt_frames import PUBACK, FrameFilter

CHUNK = 4096  # bytes moved at once
PIECE_S = 0.05  # of a slow line's time, sent at once
LINGER_S = 10.0  # that one direction may go on after the other has ended
CONNECT_S = 10.0


class Faults(Protocol):
    """What a link asks its proxy."""

    counts: Counter[str]

    async def flowing(self) -> None: ...
    async def pause(self, seconds: float) -> None: ...
    @property
    def bytes_s(self) -> float | None: ...
    @property
    def mute(self) -> bool: ...
    def cut_off(self, size: int) -> int | None: ...


class Link:
    """near: who connected to the proxy; far: what the proxy stands before."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults) -> None:
        self.gone: Literal["server", "client", ""] = ""
        self.over = False  # reset
        self._near_reader, self._near = reader, writer
        self._far: asyncio.StreamWriter | None = None
        self._faults = faults
        self._frames = FrameFilter()

    async def connect(self, upstream: tuple[str, int]) -> None:
        """Reach the other end; OSError."""
        self._far_reader, far = await asyncio.wait_for(asyncio.open_connection(*upstream), CONNECT_S)
        self._far = far
        for side in (self._near, far):
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def carry(self) -> None:
        """Move bytes until both directions have ended."""
        if self.over or self._far is None:
            return
        ways = {
            asyncio.create_task(self._pump(self._near_reader, self._far, "up")),
            asyncio.create_task(self._pump(self._far_reader, self._near, "down")),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ways, timeout=None if self.gone else LINGER_S)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def lose(self, end: Literal["server", "client"]) -> None:
        """That end goes, by a reset; the other is not told."""
        writer = self._far if end == "server" else self._near
        if not self.gone and writer:
            self.gone = end
            _reset(writer)

    def reset(self) -> None:
        """Both ends learn at once that it is over."""
        self.over = True
        for writer in (self._near, self._far):
            if writer:
                _reset(writer)

    def close(self) -> None:
        """End it in order, if it is not over."""
        for writer in (self._near, self._far):
            if writer:
                writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Literal["up", "down"]
    ) -> None:
        to = "server" if way == "up" else "client"
        try:
            while data := await reader.read(CHUNK):
                if way == "down":
                    data = self._heard(data)
                await self._faults.flowing()
                if self.gone == to:
                    self._faults.counts["bytes to nobody"] += len(data)
                    continue
                left = self._faults.cut_off(len(data)) if data else None
                await self._write(writer, data[:left], way)
                if left is not None:
                    self._faults.counts["cut short"] += 1
                    self.reset()
                    return
            await self._faults.flowing()
            if not self.over and not self.gone:
                writer.write_eof() if writer.can_write_eof() else writer.close()
        except OSError:
            if not self.gone:
                self.reset()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, way: str) -> None:
        while data and not self.over:
            rate = self._faults.bytes_s
            piece = data if rate is None else data[: max(1, int(rate * PIECE_S))]
            writer.write(piece)
            await writer.drain()
            self._faults.counts[f"bytes {way}"] += len(piece)
            data = data[len(piece) :]
            if rate is not None:
                await self._faults.pause(len(piece) / rate)
            await self._faults.flowing()

    def _heard(self, data: bytes) -> bytes:
        before, readable = self._frames.swallowed, not self._frames.unreadable
        data = self._frames.feed(data, PUBACK if self._faults.mute else None)
        self._faults.counts["swallowed"] += self._frames.swallowed - before
        if readable and self._frames.unreadable:
            self._faults.counts["unreadable"] += 1
        return data


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # gone already
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
