"""The serial port over TCP: pyserial's own client finds there what a serial adapter has."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from kanhu.sim.board.rfc2217 import Port, _Client

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


class Line:
    """A Port in a loop of its own; what it is told is kept."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, int]] = []
        self.lines: list[tuple[bool, bool]] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.port = Port(lambda data, baud: self.heard.append((data, baud)), self._on_lines)
        self.do(self.port.open())
        self.url = f"rfc2217://127.0.0.1:{self.port.number}"

    def _on_lines(self, dtr: bool, rts: bool) -> None:
        self.lines.append((dtr, rts))

    def do(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def write(self, data: bytes) -> None:
        self.loop.call_soon_threadsafe(self.port.write, data)

    def close(self) -> None:
        self.do(self.port.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def until(what: Callable[[], bool], timeout: float = 10) -> None:
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


EVERY = bytes(range(256)) * 8 + b"\xff\xff\xf0\xff"


def test_every_byte_goes_both_ways(line: Line) -> None:
    with serial.serial_for_url(line.url, 115200, timeout=5) as port:
        port.write(EVERY)
        until(lambda: b"".join(data for data, _ in line.heard) == EVERY)
        line.write(EVERY)
        assert port.read(len(EVERY)) == EVERY
        assert port.cts
        assert port.dsr


def test_baud_rate_and_lines_are_told(line: Line) -> None:
    with serial.serial_for_url(line.url, 115200, timeout=5) as port:
        port.write(b"slow")
        until(lambda: line.heard[-1:] == [(b"slow", 115200)])
        port.baudrate = 921600
        port.write(b"fast")
        until(lambda: line.heard[-1:] == [(b"fast", 921600)])
        port.dtr = False
        port.rts = False
        port.rts = True
        assert line.lines[-3:] == [(False, True), (False, False), (False, True)]
        port.parity, port.stopbits, port.bytesize = "E", 2, 7
    until(lambda: line.lines[-1] == (False, False))  # nobody holds them any more


def test_a_second_client_finds_the_port_busy_and_the_next_one_does_not(line: Line) -> None:
    with serial.serial_for_url(line.url, 115200, timeout=5) as port:
        with socket.create_connection(("127.0.0.1", line.port.number), timeout=5) as other:
            assert other.recv(1) == b""
        assert line.port.refused == 1
        port.write(b"still mine")
        until(lambda: b"".join(data for data, _ in line.heard) == b"still mine")
    with serial.serial_for_url(line.url, 115200, timeout=5) as port:
        port.write(b"!")
        until(lambda: line.heard[-1:] == [(b"!", 115200)])


def test_what_nobody_reads_is_lost(line: Line) -> None:
    line.write(b"nobody is here")
    with serial.serial_for_url(line.url, timeout=0.3) as port:
        assert port.read(100) == b""


def client() -> tuple[_Client, bytearray]:
    heard = bytearray()
    made = _Client(Port(lambda data, baud: heard.extend(data), lambda dtr, rts: None))
    made._begun = True
    made._send = lambda data: None  # type: ignore[method-assign]
    return made, heard


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=30))
def test_data_in_any_pieces_is_the_same(data: bytes, sizes: list[int]) -> None:
    made, heard = client()
    stream = b"\xff\xfb\x00\xff\xfa\x2c\x01\x00\x01\xc2\xff\xff\xff\xf0" + data.replace(b"\xff", b"\xff\xff")
    for size in [*sizes, len(stream)]:
        made.data_received(stream[:size])
        stream = stream[size:]
    assert heard == data


@given(st.binary(max_size=200))
def test_rubbish_is_borne(data: bytes) -> None:
    made, _ = client()
    made.data_received(data)
