"""A cellular modem on a pty, in the manner of a SIM7600 or EC20: AT commands, news between them, then PPP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from kanhu.sim.console import Port
from kanhu.sim.ppp import FarEnd

Sim = Literal["ready", "pin", "none"]
ADDRESS = bytes((10, 64, 23, 5))  # what its network gives out (RFC 6598 carriers do likewise)
BOOT_S = 1.0  # from power to the first answer; real ones take ten times that
ANSWER_S = 0.02
GUARD_S = 1.0  # of silence around +++
DIAL_S = 0.3
MAX_LINE = 556  # bytes of a command line (3GPP TS 27.007 leaves it to the modem; a SIM7600 takes 556)


class Modem:
    """Lives in the bench's loop. on_line(True) when IP can flow, on_line(False) when it cannot any more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tty: Path,
        on_line: Callable[[bool], None],
        *,
        sim: Sim = "ready",
        registered: bool = True,
        csq: int = 18,
        answers: bool = True,
        gives_address: bool = True,
        delay_s: float = ANSWER_S,
        speed: float = 1.0,
    ) -> None:
        self.sim: Sim = sim
        self.registered = registered
        self.csq = csq
        self.answers = answers  # the network takes calls
        self.gives_address = gives_address
        self.commands: list[str] = []  # as they came
        self.calls = 0
        self.apn = ""
        self.tty = tty
        self._loop, self._on_line, self._delay, self._speed = loop, on_line, delay_s, speed
        self._port = Port(loop, tty, self._came)
        self._state: Literal["off", "booting", "command", "data"] = "off"
        self._echo = True
        self._line = bytearray()
        self._far: FarEnd | None = None
        self._held: FarEnd | None = None  # of a call that +++ has put aside
        self._online = False
        self._last_byte = 0.0
        self._escape: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._power(True)

    @property
    def online(self) -> bool:
        """Whether IP can flow."""
        return self._online

    @property
    def state(self) -> str:
        """off, booting, command or data."""
        return self._state

    # What may be done to it, from any thread

    def power(self, on: bool) -> None:
        """Off: silent at once, and what was negotiated is gone. On: it boots, and tells."""
        self._loop.call_soon_threadsafe(self._power, on)

    def drop_carrier(self) -> None:
        """The network ends the call."""
        self._loop.call_soon_threadsafe(self._drop)

    def cover(self, registered: bool) -> None:
        """The cell goes, or comes back; it says so by itself, and a call does not outlive its cell."""
        self._loop.call_soon_threadsafe(self._cover, registered)

    def noise(self, count: int = 40) -> None:
        """Bytes that nobody sent, as from a bad wire."""
        self._loop.call_soon_threadsafe(self._port.write, random.randbytes(count))

    def close(self) -> None:
        """Away with it; from its loop."""
        self._power(False)
        self._port.close()

    # Inside the loop

    def _power(self, on: bool) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._end_call()
        self._line.clear()
        self._echo = True
        self._state = "booting" if on else "off"
        if on:
            self._later(BOOT_S, self._booted)

    def _drop(self) -> None:
        if self._state == "data":
            self._end_call()
            self._state = "command"
            self._say("NO CARRIER")

    def _cover(self, registered: bool) -> None:
        self.registered = registered
        if not registered:
            self._drop()
        if self._state == "command":
            self._say(f"+CREG: {1 if registered else 2}")

    def _later(self, seconds: float, work: Callable[[], object]) -> asyncio.TimerHandle:
        def run() -> None:
            self._timers.discard(timer)
            work()

        timer = self._loop.call_later(seconds / self._speed, run)
        self._timers.add(timer)
        return timer

    def _booted(self) -> None:
        self._state = "command"
        ready = {"ready": "+CPIN: READY", "pin": "+CPIN: SIM PIN", "none": "+SIMCARD: NOT AVAILABLE"}
        for text in ("RDY", ready[self.sim], "SMS DONE", "PB DONE"):
            self._say(text)

    def _say(self, text: str) -> None:
        if self._state in ("command", "data"):
            self._port.write(f"\r\n{text}\r\n".encode())

    def _came(self, data: bytes) -> None:
        now, before = self._loop.time(), self._last_byte
        self._last_byte = now
        if self._escape:
            self._escape.cancel()
            self._escape = None
        if self._state == "data" and self._far:
            if data == b"+++" and (now - before) * self._speed >= GUARD_S:
                self._escape = self._later(GUARD_S, self._escaped)
                return
            self._far.feed(data)
            self._look()
        elif self._state == "command":
            for byte in data:
                self._byte(byte)

    def _byte(self, byte: int) -> None:
        if self._echo:
            self._port.write(bytes((byte,)))
        if byte == 0x0D:
            line = self._line.decode("ascii", "replace").strip()
            self._line.clear()
            if line[:2].upper() == "AT":
                self.commands.append(line)
                self._later(self._delay, lambda: self._do(line))
        elif byte == 0x0A:
            pass
        elif len(self._line) < MAX_LINE:
            self._line.append(byte)

    def _escaped(self) -> None:
        if self._state == "data":
            self._held, self._far = self._far, None
            self._state = "command"
            self._say("OK")
            self._look()

    def _do(self, line: str) -> None:
        if self._state != "command":
            return
        command = line[2:].upper()
        if command.startswith("+CGDCONT="):
            self.apn = line.split(",")[-1].strip('"')
        if command.startswith("D"):
            self._dial(command)
            return
        if command == "H":
            self._end_call()
        elif command in ("E0", "E1"):
            self._echo = command == "E1"
        news, end = self._answer(command)
        if news:
            self._say(news)
        self._say(end)

    def _answer(self, command: str) -> tuple[str, str]:
        stat = 1 if self.registered else 2
        match command:
            case "" | "E0" | "E1" | "H" | "Z":
                return "", "OK"
            case "+CPIN?" if self.sim == "none":
                return "", "+CME ERROR: 10"  # SIM not inserted
            case "+CPIN?":
                return "+CPIN: " + ("READY" if self.sim == "ready" else "SIM PIN"), "OK"
            case "+CSQ":
                return f"+CSQ: {self.csq if self.registered else 99},99", "OK"
            case "+CREG?" | "+CGREG?" | "+CEREG?":
                return f"{command[:-1]}: 0,{stat if self.sim == 'ready' else 0}", "OK"
            case _ if command.startswith("+CGDCONT="):
                return "", "OK" if self.sim == "ready" else "ERROR"
        return "", "ERROR"

    def _dial(self, command: str) -> None:
        if command.rstrip(";") != "D*99#" or self.sim != "ready":
            self._say("ERROR")
        elif not (self.registered and self.answers):
            self._later(DIAL_S, lambda: self._say("NO CARRIER"))
        else:
            self._later(DIAL_S, self._connected)

    def _connected(self) -> None:
        self.calls += 1
        self._say("CONNECT 115200")
        self._state = "data"
        send = self._port.write if self.gives_address else (lambda data: None)
        self._far = FarEnd(send, ADDRESS, self._hung_up)

    def _hung_up(self) -> None:
        self._later(ANSWER_S, self._drop)

    def _end_call(self) -> None:
        self._far = self._held = None
        self._look()

    def _look(self) -> None:
        online = self._state == "data" and self._far is not None and self._far.opened
        if online != self._online:
            self._online = online
            self._on_line(online)
