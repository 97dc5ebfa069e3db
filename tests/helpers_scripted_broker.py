"""An MQTT broker that does what a test tells it to, right or wrong, on a free loopback port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

PUBLISH, PUBACK, SUBSCRIBE, PINGREQ = 3, 4, 8, 12


class Peer:
    """One client's connection, after its CONNECT was read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.client_id = ""

    async def packet(self) -> tuple[int, int, bytes]:
        """The client's next packet: (type, flags, body); IncompleteReadError when it has gone."""
        head = (await self.reader.readexactly(1))[0]
        size = shift = 0
        while True:
            byte = (await self.reader.readexactly(1))[0]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return head >> 4, head & 15, await self.reader.readexactly(size)

    async def next(self, kind: int) -> tuple[int, bytes]:
        """Skip to the next packet of a type; its flags and body."""
        while True:
            got, flags, body = await self.packet()
            if got == kind:
                return flags, body

    async def next_publish(self) -> tuple[str, int, bytes]:
        """Skip to the client's next PUBLISH: (topic, packet id, payload)."""
        flags, body = await self.next(PUBLISH)
        return split_publish(flags, body)

    async def send(self, data: bytes) -> None:
        """Bytes to the client, as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def puback(self, packet_id: int) -> None:
        """Acknowledge one publish of the client."""
        await self.send(b"\x40\x02" + packet_id.to_bytes(2, "big"))

    async def serve(self) -> None:
        """Behave: acknowledge, answer pings and subscriptions, until the client goes."""
        while True:
            kind, flags, body = await self.packet()
            if kind == PUBLISH and flags & 6:
                await self.puback(split_publish(flags, body)[1])
            elif kind == SUBSCRIBE:
                await self.send(b"\x90\x03" + body[:2] + b"\x01")
            elif kind == PINGREQ:
                await self.send(b"\xd0\x00")


def split_publish(flags: int, body: bytes) -> tuple[str, int, bytes]:
    """(topic, packet id, payload) of a PUBLISH body."""
    end = 2 + int.from_bytes(body[:2], "big")
    if flags & 6:
        return body[2:end].decode(), int.from_bytes(body[end : end + 2], "big"), body[end + 2 :]
    return body[2:end].decode(), 0, body[end:]


class ScriptedBroker:
    """Async context manager: accepts, reads CONNECT, answers with connack, then runs script(peer)."""

    def __init__(
        self,
        script: Callable[[Peer], Awaitable[None]],
        connack: bytes = b"\x20\x02\x00\x00",
        receive_buffer: int | None = None,
    ) -> None:
        self._script = script
        self.connack = connack
        self._receive_buffer = receive_buffer
        self._tasks: set[asyncio.Task[None]] = set()
        self.connects: list[str] = []  # client ids in order
        self.errors: list[BaseException] = []  # what the scripts raised
        self.port = 0

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        if self._receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        listener.bind(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        limit = self._receive_buffer or 65536
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if kind is None and self.errors:
            raise self.errors[0]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        try:
            kind, _, body = await peer.packet()
            assert kind == 1, "a client must begin with CONNECT"
            size = int.from_bytes(body[10:12], "big")
            peer.client_id = body[12 : 12 + size].decode()
            self.connects.append(peer.client_id)
            await peer.send(self.connack)
            await self._script(peer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over (asyncio logs a cancelled connection)
        except Exception as error:
            self.errors.append(error)
        finally:
            self._tasks.discard(task)
            writer.close()
