"""The bench's end of the ROM loaders: one process has loaded what they need and forks a child for a run."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kanhu.sim.process import SimulatorMissing

PROGRAM = Path(__file__).with_name("rom.py")
REQUEST = 4096  # bytes of a request, as rom.py has it
BACKLOG = 1 << 22  # bytes for a loader that does not read; more is lost, as on a UART


class Loaders:
    """Starts ROM loaders; the process behind it starts at once, in the background."""

    def __init__(self) -> None:
        if importlib.util.find_spec("esp32_mock_bootloader") is None:
            raise SimulatorMissing("no ROM loader here: pip install 'kanhu[sim]'")
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start(
        self,
        chip: str,
        mac: bytes,
        flash: Path,
        cut_after: int | None,
        on_output: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> Run:
        """A loader that runs from now on; on_end("cut" | "boot" | "") if it ends by itself."""
        request = {"chip": chip, "mac": mac.hex(), "flash": str(flash.resolve()), "cut_after": cut_after}
        uart, theirs = socket.socketpair()
        notes, write_end = os.pipe()
        try:
            socket.send_fds(
                self._control, [json.dumps(request).encode().ljust(REQUEST)], [theirs.fileno(), write_end]
            )
        finally:
            theirs.close()
            os.close(write_end)
        return Run(uart, notes, on_output, on_end)

    def close(self) -> None:
        """The runs have ended before."""
        self._control.close()
        self._process.kill()
        self._process.wait()


class Run:
    """One run of a ROM loader, in the bench's loop."""

    def __init__(
        self,
        uart: socket.socket,
        notes: int,
        on_output: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._uart, self._notes = uart, notes
        self._on_output, self._on_end = on_output, on_end
        self._unsent = bytearray()
        self._noted = b""
        self._over = asyncio.Event()
        self._killed = False
        uart.setblocking(False)
        os.set_blocking(notes, False)
        self._loop.add_reader(uart, self._read)
        self._loop.add_reader(notes, self._note)

    def type(self, data: bytes) -> None:
        """Bytes that arrive at the chip's UART."""
        if self._over.is_set():
            return
        if len(self._unsent) < BACKLOG:
            self._unsent += data
        self._send()

    async def kill(self) -> None:
        """It has ended when this returns, and nothing more is written to the flash."""
        self._killed = True
        with contextlib.suppress(OSError):
            self._uart.shutdown(socket.SHUT_RDWR)
        self._strike()
        await self._over.wait()

    def _strike(self) -> None:
        words = self._noted.split()
        if len(words) >= 2 and not self._over.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(words[1]), signal.SIGKILL)

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._uart.send(self._unsent)]
            self._loop.remove_writer(self._uart)
        except BlockingIOError:
            self._loop.add_writer(self._uart, self._send)
        except OSError:
            self._unsent.clear()
            self._loop.remove_writer(self._uart)

    def _read(self) -> None:
        try:
            data = self._uart.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._uart)
        elif not self._killed:
            self._on_output(data)

    def _note(self) -> None:
        data = os.read(self._notes, 4096)
        self._noted += data
        if self._killed:
            self._strike()  # it began only after it was to end
        if data:
            return
        self._read()  # its last words
        self._loop.remove_reader(self._notes)
        self._loop.remove_reader(self._uart)
        self._loop.remove_writer(self._uart)
        os.close(self._notes)
        self._uart.close()
        self._over.set()
        if not self._killed:
            self._on_end(self._noted.decode().partition("\n")[2].strip())
