"""The stimulus's serial port: one thread reads its lines, and the port can be lent to esptool or mpremote."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Iterator

import serial

from kanhu.errors import KanhuError
from kanhu.install.flash import ports, troubles
from kanhu.install.flash.ports import Port

BAUD = 115_200
POLL_S = 0.1  # longest until the thread notices that it is to let go
REOPEN_S = 0.3
PULSE_S = 0.1  # EN held low; esptool's own
LINE_MAX = 65_536  # bytes without an end: no line of a stimulus
PIECE = 128  # bytes written at once: a board's own buffer has 260
PIECE_S = 0.012  # s that they take at 115,200 baud


class StimulusError(KanhuError):
    """The stimulus does not do what it was asked to: one sentence that says what to do."""


class LinePort:
    """on_open() in the reading thread, on_line(monotonic s, line) for each line without its end."""

    def __init__(
        self, url: str, on_open: Callable[[], None], on_line: Callable[[float, bytes], None]
    ) -> None:
        self.port = Port(url)
        self.mac = ""  # by which a board on its own USB is found again
        self.trouble = ""  # why the port cannot be read now
        self.opened = threading.Event()
        self._on_open, self._on_line = on_open, on_line
        self._stop = threading.Event()
        self._write = threading.Lock()
        self._serial: serial.Serial | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """What pyserial opens."""
        return self.port.url

    def start(self) -> None:
        """Read from now on."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name=f"stimulus {self.url}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let go of the port; returns when it is free."""
        thread, self._thread = self._thread, None
        if thread:
            self._stop.set()
            thread.join()

    @contextlib.contextmanager
    def lent(self) -> Iterator[str]:
        """The port is the caller's; its URL."""
        reading = self._thread is not None
        self.stop()
        try:
            yield self.url
        finally:
            if reading:
                self.start()

    def write(self, data: bytes) -> None:
        """All of it, at the pace of a UART; StimulusError."""
        with self._write:
            try:
                for at in range(0, len(data), PIECE):
                    if at:
                        time.sleep(PIECE_S)
                    self._there().write(data[at : at + PIECE])
            except (serial.SerialException, OSError) as error:
                raise self._gone(error) from None

    def pulse(self) -> None:
        """EN low and high again; StimulusError."""
        with self._write:
            try:
                port = self._there()
                port.dtr = False
                port.rts = True
                time.sleep(PULSE_S)
                port.rts = False
            except (serial.SerialException, OSError) as error:
                if getattr(error, "errno", None) in (errno.ENOTTY, errno.EINVAL):
                    raise StimulusError(
                        f"{self.url}: this port has no reset lines: press the stimulus's reset button (EN)"
                    ) from None
                raise self._gone(error) from None

    def _there(self) -> serial.Serial:
        if self._serial is None:
            raise OSError(errno.EIO, self.trouble or "not open")
        return self._serial

    def _gone(self, error: Exception) -> StimulusError:
        if self.trouble:
            return StimulusError(self.trouble)
        why = error if isinstance(error, OSError) else OSError(str(error))
        return StimulusError(str(troubles.opening(why, self.url)))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                # DTR and RTS both on, as the system has them when it opens a port: a change of either on the
                # way would reset many boards.
                port = serial.serial_for_url(self.url, BAUD, timeout=POLL_S)
                self._read(port)
            except (serial.SerialException, OSError, ValueError) as error:
                why = error if isinstance(error, OSError) else OSError(str(error))
                self.trouble = str(troubles.opening(why, self.url))
                self._stop.wait(REOPEN_S)
                self.port = ports.again(self.port, self.mac) or self.port

    def _read(self, port: serial.Serial) -> None:
        self._serial, self.trouble = port, ""
        rest = b""
        try:
            self._on_open()
            self.opened.set()
            while not self._stop.is_set():
                data = port.read(max(1, min(4096, port.in_waiting)))
                now = time.monotonic()
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._on_line(now, line.strip(b"\r"))
                rest = rest[-LINE_MAX:]
        finally:
            self.opened.clear()
            self._serial = None
            with contextlib.suppress(OSError, serial.SerialException):
                port.close()
