"""The thread that reads a board's port: it lets go for others, comes back, and pulses the reset line."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import serial

from kanhu.broker import free_port
from kanhu.install.flash.ports import Port
from kanhu.qa.board import BoardTrouble
from kanhu.qa.console import Console
from kanhu.qa.targets.haste import hurried
from kanhu.sim.board.rfc2217 import Port as Server

SOON_S = 20.0


class Board:
    """A serial port over TCP with nobody's board behind it."""

    def __init__(self) -> None:
        self.lines: list[tuple[bool, bool]] = []
        self.loop = asyncio.new_event_loop()
        self._server = Server(lambda data, baud: None, lambda dtr, rts: self.lines.append((dtr, rts)))
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._wait(self._server.open())
        self.url = f"rfc2217://127.0.0.1:{self._server.number}"

    def say(self, text: bytes) -> None:
        self.loop.call_soon_threadsafe(self._server.write, text)

    def close(self) -> None:
        self._wait(self._server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(SOON_S)


@pytest.fixture
def board() -> Iterator[Board]:
    with hurried():
        made = Board()
        yield made
        made.close()


@pytest.fixture
def console(board: Board) -> Iterator[Console]:
    made = Console(Port(board.url))
    made.start()
    made.wait_open(SOON_S)
    yield made
    made.stop()


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_said_is_kept_with_its_time(board: Board, console: Console) -> None:
    begin = time.monotonic()
    board.say(b"kanhu: lamp ")
    board.say(b"well\r\nkanhu: mqtt")
    assert console.log.wait("mqtt", SOON_S)
    ((at, line),) = console.log.lines()
    assert line == "kanhu: lamp well"
    assert begin <= at <= time.monotonic()


def test_the_port_is_lent_and_read_again(board: Board, console: Console) -> None:
    with console.held() as port, console.held() as inner:  # it nests
        assert port == inner
        with serial.serial_for_url(port.url, 115200, timeout=SOON_S) as other:
            board.say(b"for the other\n")
            assert other.read(14) == b"for the other\n"
    console.wait_open(SOON_S)
    board.say(b"for us again\n")
    assert console.log.wait("for us again", SOON_S)
    assert "for the other" not in console.log.text()


def test_one_that_does_not_read_stays_so(board: Board) -> None:
    console = Console(Port(board.url))
    with console.held():
        pass
    with serial.serial_for_url(board.url, 115200, timeout=SOON_S):
        pass  # nobody has it
    with pytest.raises(BoardTrouble, match="see that nobody else uses it"):
        console.wait_open(0.1)


def test_reset_is_a_pulse_of_rts_alone(board: Board, console: Console) -> None:
    board.lines.clear()
    console.pulse()
    until(lambda: board.lines[-1:] == [(False, False)])
    assert (False, True) in board.lines
    assert not any(dtr for dtr, _ in board.lines)


def test_a_port_that_comes_back_is_read_on() -> None:
    number = free_port()
    console = Console(Port(f"socket://127.0.0.1:{number}"))
    console.start()
    try:
        until(lambda: console.trouble)
        with pytest.raises(BoardTrouble, match=f":{number}"):
            console.wait_open(0.1)
        for word in (b"one\n", b"two\n"):
            with socket.create_server(("127.0.0.1", number)) as server:
                server.settimeout(SOON_S)
                client, _ = server.accept()
                with client:
                    client.sendall(word)
                    assert console.log.wait(word.decode(), SOON_S)
    finally:
        console.stop()
