"""Real MQTT brokers on free loopback ports: stopped, killed, frozen and started again on the same port."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0


class Broker(ABC):
    """A broker process; a context manager that leaves nothing running. `port` stays over restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self.host = HOST
        self.log = self.folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "broker is not running"
        return self._process.pid

    def start(self) -> None:
        """Start and return once clients can connect."""
        assert self._process is None, "broker is already running"
        command = self._command()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"broker did not start: {self.log.read_text(errors='replace')}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Graceful end (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End without warning (SIGKILL)."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering while connections stay open (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Go on after freeze()."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _ready(self) -> bool: ...


class NatsBroker(Broker):
    """nats-server from its PyPI wheel with JetStream and MQTT; `extra` is appended to its config."""

    def __init__(self, folder: Path, extra: str = "", mqtt_extra: str = "") -> None:
        super().__init__(folder)
        self.extra = extra
        self.mqtt_extra = mqtt_extra

    def _command(self) -> list[str]:
        config = self.folder / "nats.conf"
        # -1 lets the server bind port 0 itself; after that the port is kept.
        config.write_text(
            f"server_name: kanhu-test\nhost: {HOST}\nport: -1\n"
            f'jetstream {{ store_dir: "{self.folder / "jetstream"}" }}\n'
            f"mqtt {{ host: {HOST}, port: {self.port or -1}\n{self.mqtt_extra}\n}}\n{self.extra}\n"
        )
        return [str(Path(sys.executable).parent / "nats-server"), "-c", str(config)]

    def _ready(self) -> bool:
        text = self.log.read_text(errors="replace")
        found = re.search(r"MQTT clients on mqtt://[^\s:]+:(\d+)", text)
        if found is None or "Server is ready" not in text:
            return False
        self.port = int(found[1])
        return True


class Mosquitto(Broker):
    """Debian's mosquitto; `extra` is appended to its config. Guard tests with `Mosquitto.installed()`.

    every_change saves its state on each message (safe over kill(), about 1,500 messages/s); else each second.
    """

    def __init__(
        self, folder: Path, extra: str = "", anonymous: bool = True, every_change: bool = True
    ) -> None:
        super().__init__(folder)
        self.every_change = every_change
        self.extra = extra
        self.anonymous = anonymous

    @staticmethod
    def path() -> str | None:
        """The program, or None when it is not installed."""
        return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")

    @classmethod
    def installed(cls) -> bool:
        """Whether mosquitto can be run here."""
        return cls.path() is not None

    def _command(self) -> list[str]:
        program = self.path()
        assert program is not None, "mosquitto is not installed"
        if not self.port:
            # mosquitto cannot report a port it chose itself
            with socket.socket() as probe:
                probe.bind((HOST, 0))
                self.port = probe.getsockname()[1]
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous {str(self.anonymous).lower()}\n"
            f"persistence true\npersistence_location {self.folder}/\nautosave_interval 1\n"
            # started as root it would drop to its own user, which cannot write the folder
            "max_queued_messages 0\nuser root\n"
            f"autosave_on_changes {str(self.every_change).lower()}\n{self.extra}\n"
        )
        return [program, "-c", str(config)]

    def _ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1):
                return True
        except OSError:
            return False
