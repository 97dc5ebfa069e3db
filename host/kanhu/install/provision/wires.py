"""Ways to a hub: bytes there and back. Here the cable; BLE is in bluetooth.py."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

import serial

from kanhu.install.code import ProvisionError
from kanhu.install.flash.troubles import opening
from kanhu.links.serial import write_timeout

BAUD = 115_200  # the console's
POLL_S = 0.1

Came = Callable[[bytes], None]


class Wire(Protocol):
    """open() before anything else; came is called in the loop, with b"" once when the wire is lost."""

    name: str

    async def open(self, came: Came) -> None: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class SerialWire:
    """A pyserial URL; opened without touching the lines that reset a board."""

    def __init__(self, url: str) -> None:
        self.name = url
        self._port: serial.Serial | None = None
        self._stop = threading.Event()
        self._reader: threading.Thread | None = None

    async def open(self, came: Came) -> None:
        """ProvisionError says why not, with its cure."""
        loop = asyncio.get_running_loop()

        def work() -> serial.Serial:
            port = serial.serial_for_url(
                self.name, BAUD, timeout=POLL_S, write_timeout=write_timeout(self.name), do_not_open=True
            )
            port.dtr = port.rts = False  # on many boards they lead to its reset
            port.open()
            return port

        try:
            port = self._port = await asyncio.to_thread(work)
        except (serial.SerialException, OSError, ValueError) as error:
            reason = error if isinstance(error, OSError) else OSError(str(error))
            raise ProvisionError(str(opening(reason, self.name))) from None

        def tell(data: bytes) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(came, data)

        def read() -> None:
            try:
                while not self._stop.is_set():
                    data = port.read(max(1, min(4096, port.in_waiting)))
                    if data:
                        tell(data)
            except (serial.SerialException, OSError, TypeError):  # TypeError: closed under a read
                if not self._stop.is_set():
                    tell(b"")

        self._reader = threading.Thread(target=read, name=self.name, daemon=True)
        self._reader.start()

    async def write(self, data: bytes) -> None:
        """ProvisionError when the port takes nothing."""
        port = self._port
        if port is None:
            raise ProvisionError(f"{self.name}: is not open")
        try:
            await asyncio.to_thread(port.write, data)
        except (serial.SerialException, OSError) as error:
            raise ProvisionError(f"{self.name}: {error}; plug the hub in again") from None

    async def close(self) -> None:
        """Give the port back."""
        self._stop.set()
        port, self._port = self._port, None
        if port is not None:
            if self._reader is not None:
                await asyncio.to_thread(self._reader.join, 2 * POLL_S + 1)
            await asyncio.to_thread(port.close)
