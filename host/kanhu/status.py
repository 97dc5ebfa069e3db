"""What the disk says of hubs and alarms, read beside a running daemon or without one."""

from __future__ import annotations

import fcntl
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kanhu import ledger, refusals, witness
from kanhu.care import shown
from kanhu.care.condition import State
from kanhu.config import Hubs
from kanhu.errors import DataError
from kanhu.registry import Registry
from kanhu.silence import limit_s
from kanhu_protocol import events, names
from kanhu_protocol import kinds as k


@dataclass(frozen=True)
class HubStatus:
    """One hub. state: heard, silent, never heard, cannot tell (no daemon is watching, or it has not
    said "silent" of a hub that was not heard for that long)."""

    hub_id: str
    home: str | None
    state: str
    last_heard: str
    boot: int
    firmware: str | None
    stored: int
    lost: int
    queued: int
    key: int  # generation of its newest key; 0: none, it is revoked or not in the registry
    older_keys: int  # that still open what they have sealed
    identity: str  # ok, or the reason of the identity.fault that stands (docs/what-to-do-when.md)


@dataclass(frozen=True)
class AlarmStatus:
    """One alarm that is not closed."""

    name: str
    kind: str
    state: str
    accepted_by: str | None
    age: str


@dataclass(frozen=True)
class HomeStatus:
    """One home as the daemon says it is (kanhu.care.condition). reasons: English and Chinese."""

    home: str
    state: State
    reasons: list[tuple[str, str]]


@dataclass(frozen=True)
class RefusalStatus:
    """Messages that were refused, of one hub and for one reason (contracts, section 8), in the last week."""

    hub_id: str
    reason: str
    link: str
    count: int
    last: str
    means: str


@dataclass(frozen=True)
class Status:
    """Everything `kanhu status` shows."""

    daemon_id: str
    running: bool
    homes: list[HomeStatus]
    hubs: list[HubStatus]
    alarms: list[AlarmStatus]
    refused: list[RefusalStatus]
    registry_older: str | None  # when an older copy of the registry was found in place of a newer one

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def _age(ms: int) -> str:
    seconds = max(0, int(time.time() - ms / 1000))
    if seconds < 120:
        return f"{seconds} s ago"
    if seconds < 7200:
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago" if seconds < 172_800 else f"{seconds // 86_400} days ago"


def is_running(data_dir: Path) -> bool:
    """Whether a daemon has the journal."""
    try:
        with (data_dir / "journal.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _silence(db: sqlite3.Connection, daemon_id: str) -> dict[str, int]:
    said: dict[str, int] = {}
    for (plain,) in db.execute(
        "SELECT plain FROM events WHERE hub=? AND kind IN (?, ?) ORDER BY n DESC",
        (daemon_id, k.HUB_SILENT, k.HUB_BACK),
    ):
        event = events.decode(plain)
        said.setdefault(event[k.SUBJECT], event[k.KIND])
    return said


def _limit_s(db: sqlite3.Connection) -> float:
    row = db.execute("SELECT value FROM meta WHERE key='silence_limit_s'").fetchone()
    return float(row[0]) if row else limit_s(Hubs().heartbeat_s, Hubs().missed_heartbeats)


def _means(reason: str, hub: str, registry: Registry) -> str:
    if reason == "unknown_hub":
        if registry.remembers(hub):
            return "it is revoked and still speaks"
        return "heard before, and not in this registry: is that an older copy?"
    if reason == "unknown_key":
        return "its key is not in this registry: an older copy, or retired"
    return _MEANS[reason]


_MEANS = {
    "forged": "sealed with another key, or said in another hub's name",
    "identity": "two boards speak as this hub",
    "malformed": "damaged, or sent by something that is no hub",
    "suite": "sealed in a way this version does not know",
}


def _in_doubt(db: sqlite3.Connection, daemon_id: str) -> dict[str, str]:
    """Why, by hub: the reason of the newest identity.fault that stands."""
    said: dict[str, str | None] = {}
    for (plain,) in db.execute(
        "SELECT plain FROM events WHERE hub=? AND kind IN (?, ?) ORDER BY n DESC",
        (daemon_id, k.IDENTITY_FAULT, k.IDENTITY_OK),
    ):
        event = events.decode(plain)
        detail = event.get(k.DETAIL, 0)
        reason = names.DETAILS[k.IDENTITY_FAULT].get(detail, str(detail))
        said.setdefault(event[k.SUBJECT], reason if event[k.KIND] == k.IDENTITY_FAULT else None)
    return {hub: reason for hub, reason in said.items() if reason is not None}


def _firmware(db: sqlite3.Connection, hub: str) -> str | None:
    row = db.execute(
        "SELECT plain FROM events WHERE hub=? AND kind IN (?, ?) ORDER BY n DESC LIMIT 1",
        (hub, k.BOOT, k.HEARTBEAT),
    ).fetchone()
    text = events.decode(row[0]).get(k.FIRMWARE) if row else None
    return text if isinstance(text, str) else None


def read_status(data_dir: Path) -> Status:
    """Read journal and registry under data_dir; DataError when they cannot be read."""
    running = is_running(data_dir)
    sums = ledger.recompute(data_dir / "journal.db")
    registry = Registry.open(data_dir, "read")
    try:
        return _read(data_dir, running, registry, sums)
    except sqlite3.Error as error:
        raise DataError(f"{data_dir / 'journal.db'}: {error}") from None
    finally:
        registry.close()


def _read(data_dir: Path, running: bool, registry: Registry, sums: dict[str, ledger.Sums]) -> Status:
    db = sqlite3.connect(f"{(data_dir / 'journal.db').resolve().as_uri()}?mode=ro", uri=True)
    try:
        (daemon_id,) = db.execute("SELECT value FROM meta WHERE key='daemon_id'").fetchone()
        said = _silence(db, daemon_id)
        oldest_ms = (time.time() - _limit_s(db)) * 1000
        heard = {
            hub: (last, boot)
            for hub, last, boot in db.execute(
                "SELECT hub, max(received_ms), max(boot) FROM events GROUP BY hub"
            )
        }
        doubted = _in_doubt(db, daemon_id)
        hubs = []
        for hub in sorted((set(heard) | {hub.id for hub in registry.hubs()}) - {daemon_id}):
            last, boot = heard.get(hub, (None, 0))
            if last is None:
                state = "never heard"
            elif not running:
                state = "cannot tell"
            elif said.get(hub) == k.HUB_SILENT:
                state = "silent"
            else:
                state = "heard" if last >= oldest_ms else "cannot tell"
            one = sums.get(hub)
            hubs.append(
                HubStatus(
                    hub,
                    home.id if (home := registry.home_of(hub)) else None,
                    state,
                    "-" if last is None else _age(last),
                    boot,
                    _firmware(db, hub),
                    one["stored"] if one else 0,
                    one["lost"] if one else 0,
                    one["queued"] if one else 0,
                    max(registry.keys(hub), default=0),
                    max(0, len(registry.keys(hub)) - 1),
                    doubted.get(hub, "ok"),
                )
            )
        alarms = [
            AlarmStatus(
                f"{hub}/{boot}-{seq}", names.KINDS.get(kind, str(kind)), names.STATES[state], by, _age(opened)
            )
            for hub, boot, seq, kind, state, by, opened in db.execute(
                "SELECT hub, boot, seq, kind, state, accepted_by, opened_ms FROM alarms WHERE state <> ? "
                "ORDER BY opened_ms",
                (k.CLOSED,),
            )
        ]
        refused = [
            RefusalStatus(
                one.hub, one.reason, one.link, one.count, _age(one.last_ms),
                _means(one.reason, one.hub, registry),
            )
            for one in refusals.read(db, int(time.time() * 1000))
        ]  # fmt: skip
        older_ms = witness.read(db).older_ms
    finally:
        db.close()
    older = None if older_ms is None else _age(older_ms)
    lived_in = sorted({hub.home for hub in registry.hubs() if registry.knows(hub.id)})
    homes = [
        HomeStatus(home, found.state, [(one.words.en, one.words.zh) for one in found.reasons])
        for home, found in shown.read(data_dir, lived_in, running).items()
    ]
    return Status(str(daemon_id), running, homes, hubs, alarms, refused, older)
