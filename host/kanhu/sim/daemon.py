"""A real daemon as a child process: start, stop, kill -9, start again on what its disk held."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kanhu.errors import LinkDown

START_LIMIT_S = 20.0
STOP_LIMIT_S = 10.0


def to_toml(settings: dict[str, Any]) -> str:
    """A TOML document of tables of plain values."""
    plain = [f"{key} = {json.dumps(value)}" for key, value in settings.items() if not isinstance(value, dict)]
    lines = [*plain, ""]

    def table(name: str, values: dict[str, Any]) -> None:
        lines.append(f"[{name}]")
        lines.extend(
            f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)
        )
        for key, value in values.items():
            if isinstance(value, dict):
                table(f"{name}.{key}", value)

    for key, value in settings.items():
        if isinstance(value, dict):
            table(key, value)
    return "\n".join(lines) + "\n"


class DaemonProcess:
    """`kanhu run` with a config written under folder; its log is folder/daemon.log."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_file = folder / "daemon.log"
        self.config = folder / "kanhu.toml"
        self.program = ["-m", "kanhu"]  # what Python runs
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir.mkdir(mode=0o700, exist_ok=True)
        self.config.write_text(to_toml({"data_dir": str(self.data_dir), **settings}), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def log(self) -> str:
        """Everything logged so far, over all starts."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    def start(self) -> None:
        """Start and wait until it says it is ready (sd_notify); LinkDown with its last words."""
        with (
            tempfile.TemporaryDirectory(prefix="kanhu") as room,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        ):
            ready.bind(f"{room}/notify")
            ready.settimeout(0.1)
            with self.log_file.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, *self.program, "run", "--config", str(self.config)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "NOTIFY_SOCKET": f"{room}/notify"},
                    start_new_session=True,
                )
            self.starts += 1
            for _ in range(int(START_LIMIT_S / 0.1)):
                try:
                    if b"READY=1" in ready.recv(256):
                        return
                except TimeoutError:
                    if self._process.poll() is not None:
                        break
        self.kill()
        raise LinkDown(f"the daemon did not start: {' '.join(self.log().strip().splitlines()[-3:])}")

    def stop(self) -> int:
        """SIGTERM and wait; returns its exit status."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end, which something else has brought about; returns its exit status."""
        if self._process is None:
            return 0
        try:
            status = self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL: no goodbye, no flush."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
