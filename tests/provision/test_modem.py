"""The simulated modem by itself: AT as real ones speak it, and the far end of PPP."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.sim import ppp
from kanhu.sim.modem import Modem

FAST = 20.0


class Line:
    """A program at the other end of its UART."""

    def __init__(self, modem: Modem, changes: list[bool]) -> None:
        self.modem, self.changes = modem, changes
        self._fd = os.open(modem.tty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)

    def send(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def until(self, end: bytes, seconds: float = 5.0) -> bytes:
        data = b""
        async with asyncio.timeout(seconds):
            while end not in data:
                try:
                    data += os.read(self._fd, 4096)
                except BlockingIOError:
                    await asyncio.sleep(0.005)
        return data

    async def ask(self, command: str, end: bytes = b"OK\r\n") -> bytes:
        self.send(command.encode() + b"\r")
        return await self.until(end)

    def close(self) -> None:
        os.close(self._fd)
        self.modem.close()


async def line(tmp_path: Path, **manners: Any) -> Line:
    changes: list[bool] = []
    loop = asyncio.get_running_loop()
    made = Line(Modem(loop, tmp_path / "modem.tty", changes.append, speed=FAST, **manners), changes)
    await asyncio.sleep(0.05)  # until the pty has noticed that it is open
    return made


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Line]:
    made = await line(tmp_path)
    await made.until(b"PB DONE\r\n")
    yield made
    made.close()


async def test_it_echoes_answers_and_refuses(at: Line) -> None:
    assert await at.ask("AT") == b"AT\r\r\nOK\r\n"
    assert await at.ask("ATE0") == b"ATE0\r\r\nOK\r\n"
    assert await at.ask("AT+CPIN?") == b"\r\n+CPIN: READY\r\n\r\nOK\r\n"
    assert await at.ask("at+csq") == b"\r\n+CSQ: 18,99\r\n\r\nOK\r\n"
    assert await at.ask("AT+CEREG?") == b"\r\n+CEREG: 0,1\r\n\r\nOK\r\n"
    assert await at.ask("AT+NONSENSE", b"ERROR\r\n") == b"\r\nERROR\r\n"
    at.modem.cover(False)
    assert await at.until(b"2\r\n") == b"\r\n+CREG: 2\r\n"
    assert b"+CEREG: 0,2" in await at.ask("AT+CEREG?")
    assert b"+CSQ: 99,99" in await at.ask("AT+CSQ")
    assert b"NO CARRIER" in await at.ask("ATD*99#", b"CARRIER\r\n")


async def test_data_mode_escape_and_loss(at: Line) -> None:
    await at.ask("ATE0")
    assert await at.ask("ATD*99#", b"115200\r\n") == b"\r\nCONNECT 115200\r\n"
    at.send(b"AT\r")  # data now
    with pytest.raises(TimeoutError):
        await at.until(b"OK", 0.2)
    at.send(b"+++")  # no silence before it
    await asyncio.sleep(0.01)
    at.send(b"x")
    with pytest.raises(TimeoutError):
        await at.until(b"OK", 0.2)
    at.send(b"+++")
    assert await at.until(b"OK\r\n") == b"\r\nOK\r\n"
    assert at.modem.state == "command"
    await at.ask("ATH")
    await at.ask("ATD*99#", b"115200\r\n")
    at.modem.drop_carrier()
    assert await at.until(b"CARRIER\r\n") == b"\r\nNO CARRIER\r\n"
    at.modem.power(False)
    at.send(b"AT\r")
    with pytest.raises(TimeoutError):
        await at.until(b"OK", 0.2)
    at.modem.power(True)
    assert b"RDY" in await at.until(b"PB DONE\r\n")
    assert at.changes == []  # no PPP was ever agreed on


async def test_ppp_is_negotiated_before_ip_flows(at: Line) -> None:
    await at.ask("ATD*99#", b"115200\r\n")
    decoder = ppp.Decoder()

    async def answers(sent: bytes, count: int) -> list[tuple[int, bytes]]:
        at.send(sent)
        found: list[tuple[int, bytes]] = []
        async with asyncio.timeout(5):
            while len(found) < count:
                found += decoder.feed(await at.until(b"~"))
        return found

    ask = ppp.encode(ppp.LCP, b"\x01\x01\x00\x0a\x05\x06\x01\x02\x03\x04")
    (first, second) = await answers(ask, 2)
    assert first == (ppp.LCP, b"\x02\x01\x00\x0a\x05\x06\x01\x02\x03\x04")
    assert second[1][0] == ppp.REQUEST
    at.send(ppp.encode(ppp.LCP, b"\x02" + second[1][1:]))
    # An address of one's own is not given; the one that is, is.
    (nak, theirs) = await answers(ppp.encode(ppp.IPCP, b"\x01\x01\x00\x0a\x03\x06\0\0\0\0"), 2)
    assert nak[1][:1] == b"\x03"
    assert at.changes == []
    at.send(ppp.encode(ppp.IPCP, b"\x02" + theirs[1][1:]))
    (ack,) = await answers(ppp.encode(ppp.IPCP, b"\x01\x02\x00\x0a" + nak[1][4:]), 1)
    assert ack == (ppp.IPCP, b"\x02\x02\x00\x0a" + nak[1][4:])
    (echo,) = await answers(ppp.encode(ppp.LCP, b"\x09\x07\x00\x08\x01\x02\x03\x04"), 1)
    assert echo[1] == b"\x0a\x07\x00\x08\0\0\0\0"
    assert at.changes == [True]
    (refused,) = await answers(ppp.encode(0x8057, b"\x01\x01\x00\x04"), 1)  # IPv6's control protocol
    assert refused[1][0] == ppp.PROTOCOL_REJECT
    at.send(ppp.encode(ppp.LCP, b"\x05\x09\x00\x04"))
    assert b"NO CARRIER" in await at.until(b"CARRIER\r\n")
    assert at.changes == [True, False]


@given(st.integers(0, 0xFFFF), st.binary(max_size=200), st.binary(max_size=30))
def test_frames_come_back_and_damage_is_noticed(protocol: int, packet: bytes, noise: bytes) -> None:
    wire = ppp.encode(protocol, packet)
    assert not any(byte < 0x20 for byte in wire)  # a modem's own control characters never appear
    if packet:
        assert ppp.Decoder().feed(b"~" + noise.replace(b"~", b"") + wire)[-1:] == [(protocol, packet)]
        middle = len(wire) // 2
        hurt = wire[:middle] + bytes((wire[middle] ^ 1,)) + wire[middle + 1 :]
        assert (protocol, packet) not in ppp.Decoder().feed(hurt)


def test_the_check_sequence_is_rfc_1662s() -> None:
    assert ppp.fcs16(b"123456789") ^ 0xFFFF == 0x906E  # CRC-16/X-25, its published check value
