"""The embedded broker: it is our own that listens, it comes again, and it never outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kanhu import broker as subject
from kanhu.broker import EmbeddedBroker, free_port
from kanhu.config import parse
from kanhu.errors import LinkDown
from kanhu.registry import Registry


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


def pid_of(broker: EmbeddedBroker) -> int:
    return int(broker._pid_file.read_text())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listens(broker: EmbeddedBroker) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((broker.host, broker.port), 1):
        return True
    return False


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker(tmp_path / "broker")
    yield made
    made.kill()


def test_start_stop_kill_and_start_again(broker: EmbeddedBroker) -> None:
    for end in (broker.stop, broker.kill):
        broker.start()
        broker.start()
        pid = pid_of(broker)
        assert broker.running
        assert listens(broker)
        end()
        end()
        assert not broker.running
        assert not alive(pid)
        assert not listens(broker)
    assert broker.restarts == 0


def test_a_port_that_another_has_is_an_error(tmp_path: Path) -> None:
    """A listener answers on it: not ours."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(50)
        broker = EmbeddedBroker(tmp_path / "broker", port=other.getsockname()[1])
        with pytest.raises(LinkDown, match="address already in use") as caught:
            broker.start()
        assert "\n" not in str(caught.value)
        assert f"127.0.0.1:{broker.port}" in str(caught.value)
        assert not broker.running
        assert not alive(pid_of(broker))
    broker.start()
    assert listens(broker)
    broker.stop()


def test_it_is_started_again_when_it_ends(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "RESTART_MIN_S", 0.05)
    broker.start()
    with capture_logs() as logs:
        for count in (1, 2):
            pid = pid_of(broker)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda count=count: broker.restarts == count)
            assert pid_of(broker) != pid
            assert listens(broker)
    events = [one["event"] for one in logs]
    assert events == ["the embedded broker ended; starting it again", "the embedded broker runs again"] * 2


def test_it_is_tried_until_the_port_is_free_again(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "RESTART_MIN_S", 0.3)
    broker.start()
    with capture_logs() as logs, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(pid_of(broker), signal.SIGKILL)
        wait_for(lambda: not listens(broker))
        other.bind((broker.host, broker.port))
        other.listen(5)
        wait_for(lambda: any("does not start" in one["event"] for one in logs))
        assert broker.restarts == 0
    wait_for(lambda: broker.restarts == 1)
    assert listens(broker)


def test_it_outlives_the_thread_that_started_it(broker: EmbeddedBroker) -> None:
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    time.sleep(0.3)
    assert broker.running
    assert broker.restarts == 0


CHILD = """
import sys, time
from pathlib import Path
from kanhu import broker
if sys.argv[3] == "no prctl":
    broker._ending_with_us = lambda command: command
broker.EmbeddedBroker(Path(sys.argv[1]), port=int(sys.argv[2])).start()
print("up", flush=True)
time.sleep(60)
"""


def killed(folder: Path, port: int, how: str) -> int:
    """A process of ours that started a broker, killed; the broker's process id."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), str(port), how], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.kill()
    return int((folder / "nats-server.pid").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_ends_with_a_killed_process(tmp_path: Path) -> None:
    pid = killed(tmp_path, free_port(), "prctl")
    wait_for(lambda: not alive(pid), 5)


def test_one_that_was_left_is_ended_before_another_starts(tmp_path: Path) -> None:
    port = free_port()
    left = killed(tmp_path, port, "no prctl")
    try:
        time.sleep(0.2)
        assert alive(left)
        broker = EmbeddedBroker(tmp_path, port=port)
        broker.start()
        assert not alive(left)
        assert pid_of(broker) != left
        assert listens(broker)
        broker.stop()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)


async def test_settings_that_cannot_be_written_end_nothing_and_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "LOOK_EVERY_S", 0.01)
    settings = parse({"data_dir": str(tmp_path), "broker": {"enabled": True, "users": True}}, "test")
    with contextlib.closing(Registry.open(tmp_path)) as registry:
        home = registry.add_home()
        made, _ = subject.embedded(settings, registry)
        assert made is not None
        tried = []

        def reload() -> None:
            tried.append(made._authorization)
            if len(tried) < 3:
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(made, "reload", reload)
        task = asyncio.create_task(subject.keep_current(made, settings, registry))
        await asyncio.sleep(0)
        registry.add_hub(home)
        with capture_logs() as logs:
            async with asyncio.timeout(10):
                while len(tried) < 3 and not task.done():
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        assert not task.done()
        assert len(tried) == 3, "and then no more"
        assert [one["log_level"] for one in logs] == ["error"]
        task.cancel()


def test_its_log_does_not_fill_the_disk(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.start()
    broker.trim_log()
    assert subject.LISTENING in broker.log_file.read_bytes()
    monkeypatch.setattr(subject, "LOG_MAX", 100)
    broker.trim_log()
    assert broker.log_file.stat().st_size == 0
    broker.reload()
    wait_for(lambda: broker.log_file.stat().st_size > 0)
    assert b"\0" not in broker.log_file.read_bytes(), "written at its new end"
