"""The home's network as a hub meets it: names, TCP and UDP through proxies that can stall, cut or refuse."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

Address = tuple[str, int]
Fault = Literal["stall", "cut", "refuse"]
FAULTS = ("stall", "cut", "refuse")
LOOPBACK = "127.0.0.1"
CHUNK = 4096  # bytes moved at once
NTP_EPOCH = 2208988800  # s from 1900 to 1970 (RFC 5905)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close sends RST


@dataclass(frozen=True)
class AccessPoint:
    """A Wi-Fi network at a home; no password: open; fails: the WLAN.status() of every try to join it."""

    ssid: str
    password: str = ""
    rssi: int = -55  # dBm; -88 and below loses handshakes, -92 and below is not heard
    dhcp: bool = True
    hidden: bool = False
    fails: int = 0


class UnknownHost(Exception):
    """The home's name server has no such name."""


class Routes:
    """Names of the home's network -> where they really are."""

    def __init__(self) -> None:
        self._table: dict[Address, Address] = {}

    def set(self, host: str, port: int, real_host: str, real_port: int) -> None:
        self._table[host, port] = (real_host, real_port)

    def find(self, host: str, port: int) -> Address:
        """Where host:port leads; an address or localhost leads to itself. UnknownHost otherwise."""
        if (host, port) in self._table:
            return self._table[host, port]
        if host != "localhost" and not _is_address(host):
            raise UnknownHost(host)
        return host, port


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class HomeNetwork:
    """One hub's way out, in the bench's loop. ended_hard(n): run n of the hub lost power or was reset."""

    def __init__(self, routes: Routes, process: Callable[[], int], ended_hard: Callable[[int], bool]) -> None:
        self._routes = routes
        self._process = process
        self._ended_hard = ended_hard
        self._proxies: dict[Address, tuple[asyncio.Server, asyncio.DatagramTransport, int]] = {}
        self._links: set[asyncio.Task[None]] = set()
        self._hub_sides: set[asyncio.StreamWriter] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self.wifi = True
        self.names = True  # the home's name server answers
        self.fault: Fault | None = None
        self.points: Sequence[AccessPoint] | None = None  # None: one that takes any name and password

    def set(
        self,
        wifi: bool | None = None,
        fault: Fault | Literal["none"] | None = None,
        names: bool | None = None,
    ) -> None:
        if wifi is not None:
            self.wifi = wifi
        if names is not None:
            self.names = names
        if fault is not None:
            self.fault = None if fault == "none" else fault
        if self.wifi and self.fault != "stall":
            self._flow.set()
        else:
            self._flow.clear()
        if self.fault == "cut":
            for writer in self._hub_sides:
                _reset(writer)

    def told(self) -> list[dict[str, Any]] | None:
        """The access points as the hub's stand-in reads them."""
        return None if self.points is None else [asdict(point) for point in self.points]

    @property
    def flows(self) -> bool:
        return self._flow.is_set() and self.fault is None

    async def resolve(self, host: str, port: int) -> Address:
        """Loopback address that stands for host:port while the bench lives; UnknownHost."""
        if not self.wifi:  # over PPP the name server is beyond the line
            raise UnknownHost(host)
        if not self.names and not _is_address(host):
            raise UnknownHost(host)
        self._routes.find(host, port)
        if (host, port) not in self._proxies:
            self._proxies[host, port] = await self._listen(host, port)
        return LOOPBACK, self._proxies[host, port][2]

    async def _listen(self, host: str, port: int) -> tuple[asyncio.Server, asyncio.DatagramTransport, int]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = cast(asyncio.Task[None], asyncio.current_task())
            self._links.add(task)
            self._hub_sides.add(writer)
            try:
                await self._carry(reader, writer, (host, port))
            except (OSError, asyncio.CancelledError):
                _reset(writer)
            finally:
                self._links.discard(task)
                self._hub_sides.discard(writer)

        loop = asyncio.get_running_loop()
        while True:  # a hub asks for a name without saying TCP or UDP: both answer on one number
            server = await asyncio.start_server(serve, LOOPBACK, 0)
            number: int = server.sockets[0].getsockname()[1]
            try:
                udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self, lambda: self._routes.find(host, port)), (LOOPBACK, number)
                )
            except OSError:
                server.close()
                continue
            return server, udp, number

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: Address) -> None:
        process = self._process()
        if not self.wifi or self.fault in ("cut", "refuse"):
            _reset(writer)
            return
        await self._flow.wait()
        up_reader, up_writer = await asyncio.open_connection(*self._routes.find(*to))
        for side in (writer, up_writer):
            side.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        down = asyncio.ensure_future(self._pump(up_reader, writer))
        try:
            await self._pump(reader, up_writer)
            if self._ended_hard(process):
                down.cancel()
                await asyncio.wait([down])
                await _until_closed(up_reader)  # nobody tells the far end that the hub has gone
            else:
                up_writer.close()
        except OSError:
            _reset(writer)
        finally:
            down.cancel()
            up_writer.close()
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                data = await reader.read(CHUNK)
            except ConnectionError:
                data = b""
            await self._flow.wait()
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer in self._hub_sides:
            writer.close()  # the far end has closed, and the hub may know

    async def close(self) -> None:
        for server, udp, _ in self._proxies.values():
            server.close()
            udp.close()
        for task in list(self._links):
            task.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


async def _until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(CHUNK):
            pass


class _Datagrams(asyncio.DatagramProtocol):
    """Passes a hub's datagrams on and the answers back, while the network flows."""

    def __init__(self, network: HomeNetwork, target: Callable[[], Address]) -> None:
        self._network = network
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: Address) -> None:
        if self._network.flows:
            task = asyncio.ensure_future(self._exchange(data, sender))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def connection_lost(self, error: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    async def _exchange(self, data: bytes, sender: Address) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out, contextlib.suppress(OSError):
            out.setblocking(False)
            await loop.sock_sendto(out, data, self._target())
            answer = await asyncio.wait_for(loop.sock_recv(out, 2048), 5)
            if self._network.flows:
                self._transport.sendto(answer, sender)


class TimeServer(asyncio.DatagramProtocol):
    """An SNTP server (RFC 5905 client/server mode) that is `offset` seconds ahead of this computer."""

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: Address) -> None:
        if len(data) < 48 or data[0] & 7 != 3:  # mode 3: client
            return
        stamp = int((time.time() + self.offset + NTP_EPOCH) * 2**32).to_bytes(9, "big")[-8:]
        head = bytes((0x24, 1, 0, 0xEC)) + bytes(8) + b"SIM\0"  # no leap, version 4, server; stratum 1
        self._transport.sendto(head + stamp + data[40:48] + stamp + stamp, sender)
