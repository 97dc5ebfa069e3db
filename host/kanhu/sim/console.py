"""The hub's serial port towards the desk (a pty) and what it said so far."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path

from kanhu_protocol.frame import Decoder

LOG_LIMIT = 1 << 20  # bytes kept; the oldest go first
LINES_LIMIT = 5000  # lines kept with their times
LINE_LIMIT = 1000  # bytes of a line
QUEUE_LIMIT = 1 << 16  # bytes waiting for a slow reader; what is more is lost, as on a UART
OPEN_POLL = 0.01  # s between looks whether somebody has opened the port


class Log:
    """Bounded record of the text between the console's frames, for callers in any thread."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._dropped = 0
        self._more = threading.Condition()
        self._lines: deque[tuple[float, str]] = deque(maxlen=LINES_LIMIT)
        self._line = bytearray()
        self._frames = Decoder(on_text=self._keep)
        self.frames = 0

    def append(self, data: bytes) -> None:
        with self._more:
            self.frames += len(self._frames.feed(data))
            self._more.notify_all()

    def _keep(self, text: bytes) -> None:
        self._text += text
        *ends, rest = text.split(b"\n")
        for end in ends:
            line = bytes(self._line + end).decode(errors="replace").strip("\r")
            self._lines.append((time.monotonic(), line))
            self._line.clear()
        self._line += rest[-LINE_LIMIT:]
        excess = len(self._text) - LOG_LIMIT
        if excess > 0:
            del self._text[:excess]
            self._dropped += excess

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s at which it ended, line) of the newest lines."""
        with self._more:
            return list(self._lines)

    @property
    def position(self) -> int:
        """Bytes of text so far: pass it to text() or wait() to look only at what comes later."""
        with self._more:
            return self._dropped + len(self._text)

    def text(self, after: int = 0) -> str:
        """What was said after that position."""
        with self._more:
            return bytes(self._text[max(after - self._dropped, 0) :]).decode(errors="replace")

    def wait(self, text: str, timeout: float, after: int = 0) -> bool:
        """True as soon as text stands in the log, False after timeout seconds."""
        with self._more:
            return self._more.wait_for(lambda: text in self.text(after), timeout)


class Port:
    """A pty under a stable name, in the bench's loop. Writing never blocks: what nobody reads is lost."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, link: Path, on_input: Callable[[bytes], None]
    ) -> None:
        self._loop = loop
        self._on_input = on_input
        self._queue = bytearray()
        self._reading = False
        self._master, slave = os.openpty()
        tty.setraw(slave)  # the settings outlive the close
        self.name = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._hangup = select.poll()
        self._hangup.register(self._master, select.POLLHUP)
        self.link = link
        scratch = link.with_name(link.name + ".new")
        scratch.unlink(missing_ok=True)
        scratch.symlink_to(self.name)
        os.replace(scratch, link)
        self._timer = loop.call_soon(self._look)

    def _is_open(self) -> bool:
        return not any(event & select.POLLHUP for _, event in self._hangup.poll(0))

    def _look(self) -> None:
        if self._is_open():
            self._reading = True
            self._loop.add_reader(self._master, self._read)
        else:
            self._timer = self._loop.call_later(OPEN_POLL, self._look)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last reader has closed the port
            data = b""
        if data:
            self._on_input(data)
            return
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        self._queue.clear()
        self._reading = False
        self._timer = self._loop.call_later(OPEN_POLL, self._look)

    def write(self, data: bytes) -> None:
        if not self._is_open():
            return
        if self._queue:
            self._queue += data[: max(0, QUEUE_LIMIT - len(self._queue))]
            return
        self._queue += data
        self._flush()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._queue:
                del self._queue[: os.write(self._master, self._queue)]
        if self._queue:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)
        # First the link: the name of a pty that is closed is another's at once.
        if self.link.is_symlink() and os.readlink(self.link) == self.name:
            self.link.unlink()
        os.close(self._master)
