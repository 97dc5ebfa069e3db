"""A board's own word: it is reset, its start is heard, and its REPL is asked (mpremote's transport)."""

from __future__ import annotations

import errno
import json
import re
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from kanhu.install.firmware import source_dir
from kanhu.install.flash import ports, troubles
from kanhu.install.flash.ports import Port

BAUD = 115_200  # of MicroPython's console
PULSE_S = 0.1  # EN held low; esptool's own
START_S = 30.0  # from reset to the hub's first line: 3 s on an ESP32, more on a busy computer's bench
DEAF_S = 8.0  # from reset to the ROM's first word, or the hub's where the ROM is told to be quiet
RAW_S = 20.0
READ_S = 10.0  # for the few bytes that a REPL answers at once
WHOLE_S = 180.0  # longest that anything is listened to: a board may talk for ever
ANSWER_S = 30.0  # longest the self-test is silent: it hashes 0.5 MB of files
LOOPS = 4  # starts of the chip without a hub's line before it is called a loop
_STARTED = re.compile(rb"kanhu: hub ([0-9a-z]{10}) boot (\d+)")
_IDLE = re.compile(rb"kanhu: not provisioned|MicroPython v[^\r\n]*\r\n[^\r\n]*\r\n>>> ")
_RESET = re.compile(rb"(?:rst:0x|ets sim: rst)[^\r\n]*")
_INVALID = re.compile(rb"invalid header|No bootable app|invalid magic byte|checksum failed")


@dataclass(frozen=True)
class Start:
    """What was heard after a reset: hub and boot of a hub's first line, or ""; deaf: no word of a start."""

    hub: str = ""
    boot: int = 0
    loops: int = 0
    empty: bool = False
    deaf: bool = False


class Stopped(Exception):
    """Somebody wants the work to end."""


class Console(SerialTransport):  # type: ignore[misc]
    """An open console. Its methods block; stop is looked at all the time. Trouble."""

    def __init__(self, port: Port, stop: threading.Event) -> None:
        self.port, self.stop = port, stop
        self._asking = False
        try:
            super().__init__(port.url, baudrate=BAUD, timeout=READ_S)
        except TransportError:
            raise _why(port) from None

    def reset(self) -> bool:
        """Restart the chip into its application; False where the port has no reset lines."""
        try:
            self.serial.dtr = False
            self.serial.rts = True
            time.sleep(PULSE_S)
            self.serial.rts = False
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            return False
        return True

    def started(self, timeout: float = START_S, deaf_s: float = START_S) -> Start:
        """Listen until a hub says that it has started, a REPL waits, or nothing more can be hoped for: s in
        all, and s without a word of a start."""
        begun = time.monotonic()
        heard, loops = b"", 0
        while (passed := time.monotonic() - begun) < timeout and (loops or passed < deaf_s):
            heard += self._some()
            if found := _STARTED.search(heard):
                return Start(found[1].decode(), int(found[2]))
            loops = len(_RESET.findall(heard))
            if _IDLE.search(heard):
                return Start(loops=loops)
            if len(_INVALID.findall(heard)) >= LOOPS or loops >= LOOPS:
                return Start(loops=max(loops, LOOPS), empty=bool(_INVALID.search(heard)))
        return Start(loops=loops, deaf=not loops)

    def raw(self, timeout: float = RAW_S) -> None:
        """Interrupt whatever runs, and be at the raw REPL. Trouble."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.serial.write(b"\r\x03\x03")
            time.sleep(0.1)
            self._some()
            self.serial.write(b"\r\x01")
            seen = self.read_until(1, b"raw REPL; CTRL-B to exit\r\n", timeout=2, timeout_overall=4)
            self._check()
            if seen.endswith(b"raw REPL; CTRL-B to exit\r\n"):
                self.in_raw_repl = True
                return
        raise troubles.Trouble(
            f"{self.port.url}: the board starts, but its console does not answer; plug it in again"
        )

    def ask(self, call: str) -> dict[str, Any]:
        """What a function of the self-test prints. Trouble."""
        try:
            if not self.in_raw_repl:
                self.raw()
            said = self._exec(f"{_selftest()}\n{call}\n")
            lines = [line for line in said.decode(errors="replace").splitlines() if line.startswith("{")]
            found = json.loads(lines[-1]) if lines else None
        except TransportExecError as error:
            last = str(error.error_output).strip().splitlines()[-1:]
            raise troubles.Trouble(f"{self.port.url}: the self-test ended with {last}") from None
        except (TransportError, struct.error, ValueError) as error:
            raise troubles.Trouble(
                f"{self.port.url}: the console breaks off ({str(error)[:80]}); use a shorter cable",
                again=True,
            ) from None
        if not isinstance(found, dict):
            raise troubles.Trouble(f"{self.port.url}: the self-test said nothing", again=True)
        return found

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Any = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """As the transport's own, but it ends when it is told to stop."""
        begun = last = time.monotonic()
        timeout_overall = WHOLE_S if timeout_overall is None else timeout_overall
        data = b""
        while not data.endswith(ending):
            self._check()
            now = time.monotonic()
            if now - begun > timeout_overall:
                break
            if self.serial.in_waiting:
                data += self.serial.read(1)
                last = now
                if self._asking and data.endswith(b"\n") and (_RESET.search(data) or _STARTED.search(data)):
                    raise troubles.Trouble(troubles.started_again(self.port.url), again=True)
            elif timeout is not None and now - last > timeout:
                break
            else:
                time.sleep(0.01)
        return data

    def close(self) -> None:
        """Let the board run, and the port go."""
        try:
            super().close()
        except OSError:
            self.serial.close()

    def _exec(self, text: str) -> bytes:
        self.exec_raw_no_follow(text)
        self._asking = True
        try:
            said, error = self.follow(ANSWER_S)
        finally:
            self._asking = False
        if error:
            raise TransportExecError(said, error.decode(errors="replace"))
        return bytes(said)

    def _some(self) -> bytes:
        self._check()
        waiting = self.serial.in_waiting
        if not waiting:
            time.sleep(0.02)
            return b""
        return bytes(self.serial.read(waiting))

    def _check(self) -> None:
        if self.stop.is_set():
            raise Stopped


def opened(
    port: Port,
    mac: str,
    stop: threading.Event,
    note: Callable[[str], None] = lambda stage: None,
) -> tuple[Console, Start]:
    """A board's console after a reset, and how it started; its own USB goes away and comes back; `note` is
    told what a person who waits should know. Trouble."""
    reset = True
    end = time.monotonic() + START_S
    while True:
        console: Console | None = None
        try:
            console = Console(ports.again(port, mac) or port, stop)
            if not reset or not console.reset():
                return console, console.started(2.0)  # it has been running for a while
            start = console.started(deaf_s=DEAF_S)
            if start.deaf:
                note("not a word of it: resetting it once more")
                console.reset()
                start = console.started()
            return console, start
        except (OSError, troubles.Trouble) as error:
            if console:
                console.close()
            if time.monotonic() > end or (isinstance(error, troubles.Trouble) and not error.again):
                raise (
                    error if isinstance(error, troubles.Trouble) else troubles.opening(error, port.url)
                ) from None
            reset = False  # the lines went away with the chip's own USB: it has been reset
            time.sleep(0.5)
        except BaseException:
            if console:
                console.close()
            raise


def _why(port: Port) -> troubles.Trouble:
    try:
        serial.serial_for_url(port.url, exclusive=True, timeout=1).close()
    except (OSError, ValueError) as error:
        return troubles.opening(error if isinstance(error, OSError) else OSError(str(error)), port.url)
    return troubles.Trouble(f"{port.url}: could not be opened; try again", again=True)


@cache
def _selftest() -> str:
    return (source_dir() / "selftest.py").read_text(encoding="utf-8")
