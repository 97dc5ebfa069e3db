"""A serial port over TCP as RFC 2217 has it: one client at a time, with baud rate, DTR and RTS."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

IAC, SE, SB, WILL, WONT, DO, DONT = 255, 240, 250, 251, 252, 253, 254  # RFC 854
BINARY, ECHO, SUPPRESS_GO_AHEAD, COM_PORT = 0, 1, 3, 44  # RFC 856, 857, 858, 2217
BAUD, DATA_SIZE, PARITY, STOP_SIZE, CONTROL = 1, 2, 3, 4, 5  # RFC 2217, client to server
PURGE, MODEM_STATE = 12, 107
ANSWER = 100  # more than the request's number
DTR_ASKED, DTR_ON, DTR_OFF, RTS_ASKED, RTS_ON, RTS_OFF = 7, 8, 9, 10, 11, 12
FLOW_ASKED, NO_FLOW, BREAK_ASKED, NO_BREAK = 0, 1, 4, 6
READY = 0x30  # CTS and DSR
BAUD_AT_OPEN = 115200
FORMAT = {DATA_SIZE: 8, PARITY: 1, STOP_SIZE: 1}  # 8N1
HANDOVER = 0.3  # s for the client before to be gone when another one comes
BACKLOG = 1 << 20  # bytes for a client that does not read; more is lost, as on a UART


class Port:
    """The listening end. on_input gets bytes and the baud rate they were sent at, on_lines (dtr, rts)."""

    def __init__(
        self, on_input: Callable[[bytes, int], None], on_lines: Callable[[bool, bool], None]
    ) -> None:
        self._on_input, self._on_lines = on_input, on_lines
        self._client: _Client | None = None
        self._server: asyncio.Server | None = None
        self.number = 0
        self.refused = 0  # clients that found the port busy

    async def open(self, number: int = 0) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Client(self), "127.0.0.1", number
        )
        self.number = self._server.sockets[0].getsockname()[1]

    def write(self, data: bytes) -> None:
        """To the client; what nobody reads is lost."""
        if self._client:
            self._client.write(data)

    async def close(self) -> None:
        if self._client:
            self._client.drop()
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    # From the connections

    def _come(self, client: _Client, patient: bool = True) -> None:
        if self._client is None:
            self._client = client
            client.begin()
        elif patient:
            asyncio.get_running_loop().call_later(HANDOVER, self._come, client, False)
        else:
            self.refused += 1
            client.drop()

    def _go(self, client: _Client) -> None:
        if client is self._client:
            self._client = None
            self._on_lines(False, False)


class _Client(asyncio.Protocol):
    def __init__(self, port: Port) -> None:
        self._port = port
        self._begun = False
        self._held = b""
        self._agreed: set[tuple[int, int]] = set()
        self._baud = BAUD_AT_OPEN
        self._format = dict(FORMAT)
        self._dtr = self._rts = False

    # Of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port._come(self)

    def begin(self) -> None:
        self._begun = True
        if self._transport.is_closing():  # it did not wait
            self._port._go(self)
        self.data_received(b"")

    def connection_lost(self, error: Exception | None) -> None:
        self._port._go(self)

    def drop(self) -> None:
        self._transport.abort()

    def write(self, data: bytes) -> None:
        if self._transport.get_write_buffer_size() < BACKLOG:
            self._transport.write(data.replace(b"\xff", b"\xff\xff"))

    # Telnet

    def data_received(self, data: bytes) -> None:
        data = self._held + data
        self._held = b""
        if not self._begun:
            self._held = data
            return
        plain = bytearray()
        at = 0
        while at < len(data):
            mark = data.find(IAC, at)
            if mark < 0:
                plain += data[at:]
                break
            plain += data[at:mark]
            length = _length(data, mark)
            if length is None:
                self._held = data[mark:]
                break
            if data[mark + 1] == IAC:
                plain.append(IAC)
            elif length > 2:
                self._pass_on(plain)
                self._command(data[mark + 1 : mark + length])
            at = mark + length
        self._pass_on(plain)

    def _pass_on(self, plain: bytearray) -> None:
        if plain:
            self._port._on_input(bytes(plain), self._baud)
            plain.clear()

    def _command(self, command: bytes) -> None:
        verb, option = command[0], command[1]
        if verb == SB:
            if option == COM_PORT and len(command) > 4:
                self._setting(command[2], command[3:-2].replace(b"\xff\xff", b"\xff"))
            return
        known = option in (BINARY, SUPPRESS_GO_AHEAD, COM_PORT) or (option, verb) == (ECHO, DO)
        yes, no = {WILL: (DO, DONT), DO: (WILL, WONT)}.get(verb, (0, 0))
        if yes and (yes, option) not in self._agreed:
            self._send(bytes((IAC, yes if known else no, option)))
            if known:
                self._agreed.add((yes, option))
                if option == COM_PORT:
                    self._tell(MODEM_STATE, bytes((READY,)))

    def _send(self, data: bytes) -> None:
        self._transport.write(data)

    def _tell(self, what: int, value: bytes) -> None:
        body = bytes((what,)) + value.replace(b"\xff", b"\xff\xff")
        self._send(bytes((IAC, SB, COM_PORT)) + body + bytes((IAC, SE)))

    def _setting(self, what: int, value: bytes) -> None:
        if what == BAUD and len(value) == 4:
            self._baud = struct.unpack(">I", value)[0] or self._baud
            value = struct.pack(">I", self._baud)
        elif what in self._format and len(value) == 1:
            self._format[what] = value[0] or self._format[what]
            value = bytes((self._format[what],))
        elif what == CONTROL and len(value) == 1:
            value = bytes((self._control(value[0]),))
        self._tell(what + ANSWER, value)

    def _control(self, value: int) -> int:
        before = self._dtr, self._rts
        if value in (DTR_ON, DTR_OFF):
            self._dtr = value == DTR_ON
        elif value in (RTS_ON, RTS_OFF):
            self._rts = value == RTS_ON
        elif value == DTR_ASKED:
            return DTR_ON if self._dtr else DTR_OFF
        elif value == RTS_ASKED:
            return RTS_ON if self._rts else RTS_OFF
        elif value in (FLOW_ASKED, BREAK_ASKED):
            return NO_FLOW if value == FLOW_ASKED else NO_BREAK
        if before != (self._dtr, self._rts):
            self._port._on_lines(self._dtr, self._rts)
        return value


def _length(data: bytes, at: int) -> int | None:
    """Bytes of the telnet command that begins at that IAC; None: not all of it is there yet."""
    if at + 1 >= len(data):
        return None
    verb = data[at + 1]
    if verb in (WILL, WONT, DO, DONT):
        return 3 if at + 2 < len(data) else None
    if verb != SB:
        return 2
    end = at + 2
    while True:
        end = data.find(IAC, end)
        if end < 0 or end + 1 >= len(data):
            return None
        if data[end + 1] == SE:
            return end + 2 - at
        end += 2
