"""The hub under test at its REPL: its pins one by one, whether it runs, what its radio hears."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from mpremote.transport import TransportError

from kanhu.install.flash import ports
from kanhu.install.flash.console import Console
from kanhu.install.flash.ports import Port
from kanhu.install.flash.troubles import Trouble
from kanhu.qa.board import BoardTrouble

ANSWER_S = 30.0  # on a busy computer's simulated board; a real one answers in ms
BACK_S = 40.0  # from supply or reset to a REPL that answers
QUIET_S = 2.0  # without supply a chip says nothing for so long
# The hub's own watchdog brings the board back half a minute after its program was interrupted.
SETUP = """
import json, machine, time
from machine import Pin
doctor_was_here = True
def pin(number, *how, **more):
    try:
        return Pin(number, *how, **more)
    except ValueError:
        return None
def levels(numbers, pull):
    machine.WDT(timeout=120000)
    made = [(number, pin(number, Pin.IN, pull)) for number in numbers]
    time.sleep_ms(5)
    print(json.dumps([[number, one.value()] for number, one in made if one]))
def drive(number, level):
    try:
        machine.PWM(Pin(number)).deinit()
    except (OSError, ValueError):
        pass
    # At its weakest, some 5 mA: the wire at this pin may end at ground or at another pin that drives.
    pin(number, Pin.OUT, value=level, drive=Pin.DRIVE_0)
def release(number):
    pin(number, Pin.IN, Pin.PULL_DOWN, drive=Pin.DRIVE_2)  # as a chip has it from the start
"""
LISTEN = """
import bluetooth
ble = bluetooth.BLE()
heard = []
def irq(event, data):
    if event == 5 and bytes(data[4]) == wanted:
        heard.append(data[3])
ble.irq(irq)
ble.active(True)
ble.gap_scan(0, 30000, 30000)
"""
UNLISTEN = """
time.sleep_ms(200)
ble.gap_scan(None)
ble.active(False)
print(json.dumps(heard))
"""


class HubRepl:
    """`with HubRepl(port) as hub`: its application rests meanwhile, and is started again afterwards."""

    def __init__(self, port: Port, mac: str = "") -> None:
        self._port, self._mac = port, mac
        self._console: Console | None = None

    def __enter__(self) -> HubRepl:
        self._open()
        return self

    def __exit__(self, *unused: object) -> None:
        console, self._console = self._console, None
        if console:
            with contextlib.suppress(OSError, TransportError):
                if not console.reset():
                    console.exec_raw_no_follow("import machine\nmachine.reset()\n")
            console.close()

    def mac(self) -> str:
        """12 hexadecimal digits."""
        return str(self._ask("print(json.dumps(machine.unique_id().hex()))"))

    def levels(self, numbers: Sequence[int], pull_up: bool = True) -> dict[int, int]:
        """What these GPIO read as inputs that are pulled so."""
        pull = "Pin.PULL_UP" if pull_up else "Pin.PULL_DOWN"
        return dict(self._ask(f"levels({list(numbers)}, {pull})"))

    def drive(self, number: int, level: int) -> None:
        """A GPIO as an output."""
        self._run(f"drive({number}, {level})")

    def release(self, numbers: Iterable[int]) -> None:
        """GPIO as inputs."""
        self._run(f"for number in {list(numbers)}: release(number)")

    def listen(self, data: bytes) -> None:
        """Count what is advertised with this data from now on."""
        self._run(f"wanted = {data!r}\n{LISTEN}")

    def heard(self) -> list[int]:
        """dBm of each copy since listen()."""
        return [int(one) for one in self._ask(UNLISTEN)]

    def cause(self) -> int:
        """machine.reset_cause(); 1: the supply came."""
        return int(self._ask("print(json.dumps(machine.reset_cause()))"))

    def silent(self) -> bool:
        """Whether nothing answers."""
        console = self._there()
        try:
            with contextlib.suppress(TransportError):
                console.serial.reset_input_buffer()
            console.serial.write(b"\x01print('here')\x04")
            end = time.monotonic() + QUIET_S
            while time.monotonic() < end:
                if console.serial.in_waiting and b"here" in console.serial.read(console.serial.in_waiting):
                    return False
                time.sleep(0.05)
        except OSError:  # the port went with the supply
            pass
        return True

    def reset(self) -> bool | None:
        """Pull EN low and let go; whether the chip started anew. None: the port has no such line."""
        if not self._there().reset():
            return None
        self.back()
        return not self.remembers()

    def back(self) -> None:
        """Be at the REPL again after a start; BoardTrouble."""
        self._close()
        end = time.monotonic() + BACK_S
        while True:
            try:
                self._port = ports.again(self._port, self._mac) or self._port
                self._open(setup=False)
                return
            except BoardTrouble:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def remembers(self) -> bool:
        """Whether the chip has run on since setup; sets it up again."""
        found = bool(self._ask("import json\nprint(json.dumps('doctor_was_here' in globals()))"))
        self._run(SETUP)
        return found

    def _there(self) -> Console:
        if self._console is None:
            raise BoardTrouble(f"{self._port.url}: the hub's console is closed")
        return self._console

    def _open(self, setup: bool = True) -> None:
        try:
            self._console = Console(self._port, threading.Event())
            self._console.raw()
        except (Trouble, TransportError, OSError) as error:
            self._close()
            raise BoardTrouble(str(error)) from None
        if setup:
            self._run(SETUP)

    def _close(self) -> None:
        console, self._console = self._console, None
        if console:
            with contextlib.suppress(OSError, TransportError):
                console.close()

    def _ask(self, code: str) -> Any:
        said = self._run(code)
        try:
            return json.loads(said.splitlines()[-1])
        except (IndexError, ValueError):
            raise BoardTrouble(f"{self._port.url}: no answer of a hub: {said[-80:]!r}") from None

    def _run(self, code: str) -> str:
        console = self._there()
        try:
            console.exec_raw_no_follow(code)
            said, failed = console.follow(ANSWER_S)
        except (TransportError, OSError, Trouble) as error:
            raise BoardTrouble(f"{self._port.url}: the hub's console breaks off: {error}") from None
        if failed:
            last = failed.decode(errors="replace").strip().splitlines()[-1:]
            raise BoardTrouble(f"{self._port.url}: the hub says {''.join(last)}")
        return bytes(said).decode(errors="replace")
