"""The processes under test: two city-grade brokers, and between them the daemon or a mosquitto bridge."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Protocol

from kanhu.sim.daemon import DaemonProcess

TICK = os.sysconf("SC_CLK_TCK")


class Relay(Protocol):
    """What carries events from the hubs' broker to the city's."""

    @property
    def pid(self) -> int | None: ...

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> Any: ...


def free_port() -> int:
    """A TCP port of the loopback that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """One mosquitto with the given configuration lines."""

    def __init__(self, folder: Path, lines: str) -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True)
        self._config = folder / "mosquitto.conf"
        # Started as root it would drop to a user that cannot write the folder.
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n{lines}\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start; returns once it listens."""
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit("spine.py needs mosquitto: apt install mosquitto")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit(f"mosquitto did not start: {(self.folder / 'log').read_text()}")

    def signal(self, number: int) -> None:
        """Freeze (SIGSTOP), thaw (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
        self._end(signal.SIGTERM)


def broker(folder: Path) -> Mosquitto:
    """A broker that is not the one to lose anything: in memory, without limits."""
    return Mosquitto(folder, "max_queued_messages 0\nmax_inflight_messages 0\nset_tcp_nodelay true")


def bridge(folder: Path, source: int, sink: int, saving: bool) -> Mosquitto:
    """A broker with a bridge connection to each side; all else as it comes, or saving every change.

    set_tcp_nodelay is what the daemon's sockets have too; it makes the bridge faster by a third."""
    topics = "kanhu/1/hubs/+/up/+"
    lines = (
        "set_tcp_nodelay true\n"
        f"connection hubs\naddress 127.0.0.1:{source}\ntopic {topics} in 1\n"
        f"connection city\naddress 127.0.0.1:{sink}\ntopic {topics} out 1\n"
    )
    # The example in mosquitto's own documentation of a broker that keeps its state.
    kept = f"persistence true\npersistence_location {folder}/\n"
    if saving:
        kept += "autosave_on_changes true\nautosave_interval 1\n"
    return Mosquitto(folder, kept + lines)


def daemon(
    folder: Path, source: int, sink: int, registry: Path, window: int, program: list[str]
) -> DaemonProcess:
    """`kanhu run` between the two brokers, knowing the hubs of a registry file; program as in its class."""
    settings = {
        "hubs": {"mqtt": {"port": source}},
        "platform": {"window": window, "mqtt": {"port": sink}},
        "metrics": {"enabled": False},
        "log": {"level": "warning"},
    }
    process = DaemonProcess(folder, settings)
    process.program = program
    shutil.copyfile(registry, process.data_dir / "registry.db")
    (process.data_dir / "registry.db").chmod(0o600)
    return process


def cpu_s(pid: int | None) -> float:
    """CPU seconds a process has used so far, all its threads together; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICK
