"""Serial lines that a test owns: a pty that plays a hub, and a tap between a hub's console and its host."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

from kanhu_protocol import frame


class Pty:
    """A pty; `path` is what the daemon opens. Bytes from it go to on_data in a thread."""

    def __init__(self, on_data: Callable[[bytes], None]) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)  # the slave stays open here: no hang-up while nobody reads
        self._on_data = on_data
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pty", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if select.select([self._master], [], [], 0.05)[0]:
                self._on_data(os.read(self._master, 4096))

    def write(self, data: bytes) -> None:
        """All of data, at the reader's pace."""
        while data:
            data = data[os.write(self._master, data[:512]) :]

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        os.close(self._master)
        os.close(self._slave)


class PlayedHub:
    """The hub's end of a serial line, played by a test."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self._decoder = frame.Decoder()
        self._pty = Pty(lambda data: self.frames.extend(self._decoder.feed(data)))
        self.path = self._pty.path

    def write(self, data: bytes) -> None:
        self._pty.write(data)

    def send(self, kind: int, body: bytes) -> None:
        """One good frame."""
        self.write(frame.encode(kind, body))

    def downs(self, start: int = 0) -> list[bytes]:
        """Sealed down messages that came."""
        return [body for kind, body in self.frames[start:] if kind == frame.DOWN]

    def close(self) -> None:
        self._pty.close()


class Tap:
    """Between a hub's console and the daemon: passes everything on, keeps it, and can say more to the hub."""

    def __init__(self, tty_of_hub: Path) -> None:
        self.down: list[bytes] = []  # sealed messages the daemon sent
        self.up: list[bytes] = []  # bodies of UP frames
        self._from_hub, self._from_host = frame.Decoder(), frame.Decoder()
        self._lock = threading.Lock()
        self._hub = os.open(tty_of_hub, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._hub)
        self._pty = Pty(self._host_says)
        self.path = self._pty.path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            if select.select([self._hub], [], [], 0.05)[0]:
                data = os.read(self._hub, 4096)
                self.up += [body for kind, body in self._from_hub.feed(data) if kind == frame.UP]
                self._pty.write(data)

    def _host_says(self, data: bytes) -> None:
        self.down += [body for kind, body in self._from_host.feed(data) if kind == frame.DOWN]
        self.inject(data)

    def inject(self, data: bytes) -> None:
        """Bytes for the hub, between what the daemon says."""
        with self._lock:
            while data:
                data = data[os.write(self._hub, data[:256]) :]

    def say(self, *messages: bytes, kind: int = frame.DOWN) -> None:
        """Good frames with these bodies, no faster than a hub's inbox takes them."""
        for message in messages:
            self.inject(frame.encode(kind, message))
            time.sleep(0.01)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)
        self._pty.close()
        os.close(self._hub)
