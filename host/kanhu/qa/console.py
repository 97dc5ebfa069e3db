"""A board's serial port as the suite uses it: one thread reads what the board says, and lets go of the port
for as long as esptool, mpremote or kanhu provision need it, because such a port serves one client."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Iterator

import serial

from kanhu.install.flash import ports, troubles
from kanhu.install.flash.ports import Port
from kanhu.qa.board import BoardTrouble
from kanhu.sim.console import Log

BAUD = 115_200
POLL_S = 0.1  # longest until the thread notices that it is to let go
REOPEN_S = 0.3  # a chip's own USB is gone for a moment at each reset
OPEN_S = 20.0
PULSE_S = 0.1  # EN held low; esptool's own


class Console:
    """start() and stop() may be called again; held() nests in one thread; log holds what was said."""

    def __init__(self, port: Port, mac: str = "") -> None:
        self.port, self.mac = port, mac
        self.log = Log()
        self.trouble = ""  # why the port cannot be read now
        self._use = threading.RLock()  # whoever has it, has the port
        self._depth = 0
        self._stop = threading.Event()
        self._opened = threading.Event()
        self._serial: serial.Serial | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Read from now on."""
        with self._use:
            if self._thread is None and not self._depth:
                self._stop.clear()
                self._opened.clear()
                self._thread = threading.Thread(
                    target=self._run, name=f"console {self.port.url}", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Let go of the port; returns when it is free."""
        with self._use:
            thread, self._thread = self._thread, None
            if thread:
                self._stop.set()
                thread.join()

    @contextlib.contextmanager
    def held(self) -> Iterator[Port]:
        """The port is the caller's; where the board is now."""
        with self._use:
            reading = self._thread is not None
            self.stop()
            self._depth += 1
            try:
                self.port = ports.again(self.port, self.mac) or self.port
                yield self.port
            finally:
                self._depth -= 1
                if reading:
                    self.start()

    def wait_open(self, timeout: float = OPEN_S) -> None:
        """Return once the port is being read; BoardTrouble says why it cannot be."""
        if not self._opened.wait(timeout):
            raise BoardTrouble(
                self.trouble or f"{self.port.url}: could not be opened: see that nobody else uses it"
            )

    def write(self, data: bytes) -> None:
        """Bytes towards the board, while the port is being read; BoardTrouble."""
        self.wait_open()
        port = self._serial
        try:
            if port is None:
                raise OSError(errno.EIO, "gone")
            port.write(data)
        except (serial.SerialException, OSError) as error:
            raise BoardTrouble(f"{self.port.url}: nothing can be written: {error}") from None

    def pulse(self) -> None:
        """EN low and high again; BoardTrouble where the port has no such line."""
        self.wait_open()
        port = self._serial
        try:
            if port is None:
                raise OSError(errno.EIO, "gone")
            port.dtr = False
            port.rts = True
            time.sleep(PULSE_S)
            port.rts = False
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                raise BoardTrouble(
                    f"{self.port.url}: this port has no reset lines: use one with DTR and RTS"
                ) from None
            raise BoardTrouble(str(troubles.opening(error, self.port.url))) from None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read(self._open())
            except (serial.SerialException, OSError, ValueError) as error:
                why = error if isinstance(error, OSError) else OSError(str(error))
                self.trouble = str(troubles.opening(why, self.port.url))
                self._stop.wait(REOPEN_S)
                self.port = ports.again(self.port, self.mac) or self.port

    def _open(self) -> serial.Serial:
        port = serial.serial_for_url(self.port.url, BAUD, timeout=POLL_S, do_not_open=True)
        port.dtr = port.rts = False  # on many boards they lead to its reset
        port.open()
        return port

    def _read(self, port: serial.Serial) -> None:
        self._serial, self.trouble = port, ""
        self._opened.set()
        try:
            while not self._stop.is_set():
                data = port.read(max(1, min(4096, port.in_waiting)))
                if data:
                    self.log.append(data)
        finally:
            self._opened.clear()
            self._serial = None
            with contextlib.suppress(OSError):
                port.close()
