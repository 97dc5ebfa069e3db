"""`kanhu run` in this loop: what goes on beside the events, and what must not end it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from helpers_mqtt import until
from kanhu import broker, config, ending
from kanhu import daemon as subject
from kanhu.broker import free_port
from kanhu.daemon import Daemon
from kanhu.errors import LinkDown
from kanhu.journal import Journal, JournalError
from kanhu.metrics import _metrics
from kanhu.registry import checks
from kanhu.registry.families import Families


@contextlib.asynccontextmanager
async def running(folder: Path, port: int) -> AsyncIterator[tuple[Daemon, asyncio.Task[None]]]:
    """A daemon with a broker of its own."""
    settings = {"broker": {"enabled": True, "port": port}, "metrics": {"enabled": False}}
    daemon = Daemon(config.parse({"data_dir": str(folder), **settings}, "test"))
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    try:
        yield daemon, task
    finally:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)


def up(daemon: Daemon) -> bool:
    return daemon.uplink.connected and all(link.connected for link in daemon.links)


async def test_a_broker_that_dies_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "RESTART_MIN_S", 0.05)
    async with running(tmp_path, free_port()) as (daemon, task):
        await until(lambda: up(daemon))
        with capture_logs() as logs:
            os.kill(int((tmp_path / "broker" / "nats-server.pid").read_text()), signal.SIGKILL)
            await until(lambda: not up(daemon))
            await until(lambda: up(daemon))
        assert not task.done()
        assert "the embedded broker runs again" in [one["event"] for one in logs]
        restarts = [one for one in _metrics(daemon) if one.name == "kanhu_broker_restarts"]
        assert restarts[0].samples[0].value == 1


async def test_a_port_that_is_taken_ends_it_with_one_line(tmp_path: Path) -> None:
    async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        async with running(tmp_path, port) as (_, task):
            with pytest.raises(LinkDown, match=f"127.0.0.1:{port}.*address already in use"):
                await asyncio.wait_for(task, 15)
    await Journal.open(tmp_path).close()  # its lock was released


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), JournalError("no room")])
async def test_old_events_go_soon_after_a_start_and_an_error_there_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(subject, "RETIRE_FIRST_S", 0.05)
    monkeypatch.setattr(subject, "RETIRE_EVERY_S", 0.05)
    days: list[float] = []

    async def retire(journal: Any, how_many: float) -> int:
        days.append(how_many)
        if len(days) == 1:
            raise error
        return 0

    monkeypatch.setattr(subject, "retire", retire)
    async with running(tmp_path, free_port()) as (daemon, task):
        hub, _ = daemon.registry.add_hub(daemon.registry.add_home())
        old_ms = checks.now_ms() - 401 * 86_400_000
        Families(daemon.registry, lambda: old_ms).set_wearer(hub, 1, 2, "grandmother", "family")
        await until(lambda: len(days) >= 3)
        await until(lambda: not Families(daemon.registry).wearers(hub))
        assert not task.done()
    assert days[0] == 400


def test_the_first_time_is_minutes_after_a_start() -> None:
    assert 60 <= subject.RETIRE_FIRST_S <= 3600
    assert subject.RETIRE_EVERY_S == 86_400


async def test_a_part_that_overlooks_a_cancellation_does_not_keep_the_daemon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ending, "CANCEL_AGAIN_S", 0.05)
    overlooked = 0

    async def deaf() -> None:
        nonlocal overlooked
        while overlooked < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                overlooked += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(deaf())
    await asyncio.sleep(0)
    await asyncio.wait_for(ending.end([task]), 5)
    assert task.cancelled()
    assert overlooked == 2
