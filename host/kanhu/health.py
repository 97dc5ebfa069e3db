"""How the daemon is, for machines that ask: alive, ready, and whether any call waits.

Nothing is ok without fresh evidence: the journal is written to, hubs count as heard by their own events."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from kanhu.care import Alarm
from kanhu.errors import KanhuError
from kanhu.journal import Journal
from kanhu.journal.times import EARLIEST_MS
from kanhu_protocol import kinds as k

if TYPE_CHECKING:
    from kanhu.daemon import Daemon

WRITTEN_S = 10.0  # a write this young is evidence; else one is made
WRITE_LIMIT_S = 2.0
DISK_LOW_BYTES = 512 << 20  # some days of a town's events, and room for the journal's log
BACKWARDS_MS = 300_000  # a clock this far before the newest event on disk has been set back

State = Literal["ok", "bad"]
WAITS_FOR = ("delivery", "person")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to be so."""

    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Alarms that wait: how many, and how long the oldest has (s; 0 when there is none)."""

    count: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` answers; ready when every check is ok."""

    ready: bool
    at: str
    daemon: str
    kanhu: str
    checks: dict[str, Check]
    calls: dict[str, Calls]
    hubs: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


async def look(daemon: Daemon) -> Health:
    """Check everything now, in the daemon's loop; takes WRITE_LIMIT_S at most."""
    checks = {"journal": await _journal(daemon.journal)}
    for link in daemon.links:
        checks[f"link {link.name}"] = _connected(link.connected, "hubs cannot be heard on it")
    checks["platform"] = _connected(daemon.uplink.connected, "events wait here")
    free, _ = disk(daemon)
    enough = free >= DISK_LOW_BYTES
    checks["disk"] = Check(
        "ok" if enough else "bad", f"{free >> 20} MB free{'' if enough else ': make room'}"
    )
    checks["clock"] = clock(daemon)
    return Health(
        all(check.state == "ok" for check in checks.values()),
        datetime.now(UTC).isoformat(timespec="seconds"),
        daemon.journal.daemon_id,
        version("kanhu"),
        checks,
        {what: calls(daemon, what) for what in WAITS_FOR},
        dict(hubs(daemon)),
    )


async def _journal(journal: Journal) -> Check:
    if not journal.healthy:  # a small write of ours may fit where an event does not
        return Check("bad", journal.error or "cannot be written")
    if time.monotonic() - journal.written > WRITTEN_S:
        batch = journal.batch()
        batch.run("INSERT OR REPLACE INTO meta VALUES ('looked_ms', ?)", journal.clock())
        try:
            async with asyncio.timeout(WRITE_LIMIT_S):
                await batch.submit()
        except KanhuError as error:
            return Check("bad", str(error))
        except TimeoutError:
            return Check("bad", f"a write has taken longer than {WRITE_LIMIT_S:g} s: the disk is stuck")
    return Check("ok", "written")


def _connected(yes: bool, otherwise: str) -> Check:
    return Check("ok", "connected") if yes else Check("bad", f"not connected: {otherwise}")


def disk(daemon: Daemon) -> tuple[int, int]:
    """(free, whole) bytes of data_dir's disk; (0, 0) when it cannot be asked."""
    try:
        usage = shutil.disk_usage(daemon.config.data_dir)
    except OSError:
        return 0, 0
    return usage.free, usage.total


def clock(daemon: Daemon) -> Check:
    """The host's clock against the year and the newest event on disk."""
    now_ms = daemon.journal.clock()
    if now_ms < EARLIEST_MS:
        return Check("bad", "the host's clock was never set: see that NTP works")
    rows = daemon.journal.reader.rows("SELECT received_ms FROM events ORDER BY n DESC LIMIT 1")
    if rows and now_ms < rows[0][0] - BACKWARDS_MS:
        return Check("bad", "the host's clock is behind its newest event: see that NTP works")
    return Check("ok", "plausible")


def calls(daemon: Daemon, what: str) -> Calls:
    """Open alarms that wait for delivery to the platform, or for a person."""
    now_ms = daemon.journal.clock()
    found = [
        alarm
        for alarm in daemon.alarms.live()
        if alarm.state == k.OPEN
        and (what == "person" or (alarm.stored_ms is not None and alarm.delivered_ms is None))
    ]
    oldest_ms = max((now_ms - _since(alarm) for alarm in found), default=0)
    return Calls(len(found), max(0, oldest_ms) / 1000)


def _since(alarm: Alarm) -> int:
    # Pressed during an outage, it has waited since then; a hub's clock in the future shortens nothing.
    return min(alarm.opened_ms, alarm.stored_ms or alarm.opened_ms)


def hubs(daemon: Daemon) -> Counter[str]:
    """Registered hubs by state: heard, silent, cannot_tell."""
    now = time.monotonic()
    states = Counter(heard=0, silent=0, cannot_tell=0)
    for hub in daemon.registry.hubs():
        if daemon.registry.knows(hub.id):
            states[daemon.silence.state(hub.id, now)] += 1
    return states
