"""Who is or was at a home: checked in and out by a key or card at the hub, by code or by the desk, in a table
whose rows hold each other (kanhu.journal.chain)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter, deque
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

import structlog

from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal, JournalError, chain
from kanhu.registry import Home
from kanhu.registry.broker_users import kept_password
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_TEXT, VALID

from .following import Follower, Mark
from .homes import VISIT_MS

CODE_DIGITS = 6
WRONG_MAX = 5  # wrong codes of one home in WRONG_MS, then none is looked at
WRONG_MS = 15 * 60_000
LOOK_EVERY_S = 30.0
READ_MS = 30 * 86_400_000  # a start looks this far back for who is here; longer than a host is down
VIA = ("button", "card", "code", "desk")
NOBODY = "bound"  # via of a check-out that nobody made
FORGOTTEN = "not_checked_out"  # REASON of the event that says so
SECRET = "visits.secret"  # noqa: S105  # a file's name

log = structlog.get_logger("kanhu.visits")

_INSERT = "INSERT INTO visits (hub, at_ms, what, who, via, span_ms, digest) VALUES (?,?,?,?,?,?,?)"


class VisitError(KanhuError):
    """Nobody can be checked in or out so; one sentence that says why."""


class Visit(NamedTuple):
    """Somebody who is at a home."""

    who: str
    via: str
    from_ms: int


class Homes(Protocol):
    """What visits need of the registry."""

    def home_of(self, hub_id: str) -> Home | None:
        """The home of a hub."""

    def knows(self, hub_id: str) -> bool:
        """Whether the hub is known and not revoked."""


class Visits:
    """All visits of one journal; call in the thread of its loop. Somebody who does not check out is taken to
    be gone after VISIT_MS, which is marked, and says nothing of how long they stayed."""

    def __init__(self, journal: Journal, homes: Homes, data_dir: Path) -> None:
        self._journal = journal
        self._homes = homes
        self._data_dir = data_dir
        self._turn = asyncio.Lock()  # the next row follows one that is on disk
        self._here: dict[str, dict[str, Visit]] = {}
        self._wrong: dict[str, deque[int]] = {}
        self.counts: Counter[str] = Counter()  # in, out, forgotten, wrong_code, locked
        self._follower = Follower(journal, "visits", (k.CHECK_IN, k.CHECK_OUT), self._heard)
        since_ms = journal.clock() - READ_MS
        sql = "SELECT hub, at_ms, what, who, via FROM visits WHERE at_ms >= ? ORDER BY id"
        for hub, at_ms, what, who, via in journal.reader.rows(sql, (since_ms,)):
            self._enter(hub, what, Visit(who, via, at_ms))

    # Looking

    def here(self, hub: str) -> list[Visit]:
        """Who is at a home, in the order they came."""
        return sorted(self._here.get(hub, {}).values(), key=lambda visit: visit.from_ms)

    def verify(self) -> chain.Verdict:
        """Read the whole table against its chain."""
        return verify(self._journal.path)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._follower.forget(hub)
        self._here.pop(hub, None)
        self._wrong.pop(hub, None)

    # By a person at the desk, or with a code

    async def check_in(self, hub: str, who: str, via: str = "desk") -> Visit:
        """Somebody has come; who is here already stays as they came. VisitError, JournalUnavailable."""
        self._check(hub, who, via)
        async with self._turn:
            present = self._here.get(hub, {}).get(who)
            if present is not None:
                return present
            now_ms = self._journal.clock()
            batch = self._journal.batch()
            batch.add_own(k.CHECK_IN, {k.SUBJECT: hub, k.OPERATOR: who})
            self._row(batch, hub, now_ms, "in", who, via, None)
            await batch.submit()
            return self._here[hub][who]

    async def check_out(self, hub: str, who: str, via: str = "desk") -> int:
        """Somebody has left; returns how long they were there in ms. VisitError, JournalUnavailable."""
        self._check(hub, who, via)
        async with self._turn:
            present = self._here.get(hub, {}).get(who)
            if present is None:
                raise VisitError(f"{who} is not checked in at hub {hub}")
            now_ms = self._journal.clock()
            span_ms = max(0, now_ms - present.from_ms)
            batch = self._journal.batch()
            batch.add_own(k.CHECK_OUT, {k.SUBJECT: hub, k.OPERATOR: who, k.SPAN_MS: span_ms})
            self._row(batch, hub, now_ms, "out", who, via, span_ms)
            await batch.submit()
            return span_ms

    async def check_in_by_code(self, hub: str, who: str, code: str) -> Visit:
        """With the home's code of the day; VisitError, after WRONG_MAX wrong ones for WRONG_MS whatever the
        code. It tells the carer who is due from others; that they are at the home it does not prove."""
        home = self._home(hub)
        now_ms = self._journal.clock()
        wrong = self._wrong.setdefault(hub, deque(maxlen=WRONG_MAX))
        while wrong and now_ms - wrong[0] > WRONG_MS:
            wrong.popleft()
        if len(wrong) == WRONG_MAX:
            self.counts["locked"] += 1
            raise VisitError(
                f"too many wrong codes for hub {hub}: wait a quarter of an hour, or call the desk"
            )
        day = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(home.time_zone)).date()
        if not hmac.compare_digest(self.code(hub, day).encode(), code.strip().encode()):
            wrong.append(now_ms)
            self.counts["wrong_code"] += 1
            raise VisitError(f"this is not today's code of hub {hub}")
        return await self.check_in(hub, who, "code")

    def code(self, hub: str, day: date) -> str:
        """Six digits that hold for a home on one day of its time zone."""
        return code(self._data_dir, self._home(hub).id, day)

    def _home(self, hub: str) -> Home:
        home = self._homes.home_of(hub)
        if home is None or not self._homes.knows(hub):
            raise VisitError(f"hub {hub} is of no home that is known here")
        return home

    def _check(self, hub: str, who: str, via: str) -> None:
        self._home(hub)
        if via not in VIA:
            raise VisitError(f"via {via!r}: must be one of {', '.join(VIA)}")
        if not who.isprintable() or not VALID[k.OPERATOR](who):
            raise VisitError(f"who it is must be 1 to {MAX_TEXT} bytes of printable text, no name")

    # By a key or card at the hub

    async def _heard(self, event: Event, mark: Mark) -> None:
        if event.sealed is None:
            return  # our own: its row went to disk with it
        hub, who = event.hub, device_name(event)
        if event.fields.get(k.FLAGS, 0) & k.TEST:
            return
        moment_ms, _ = self._journal.moment(event)
        at_ms = event.received_ms if moment_ms is None else min(moment_ms, event.received_ms)
        async with self._turn:
            present = self._here.get(hub, {}).get(who)
            batch = self._journal.batch()
            mark(batch)
            if event.kind == k.CHECK_IN:
                if present is None or at_ms - present.from_ms >= VISIT_MS:
                    self._row(batch, hub, at_ms, "in", who, "button", None)
            else:
                span_ms = None if present is None else max(0, at_ms - present.from_ms)
                self._row(batch, hub, at_ms, "out", who, "button", span_ms)
            await batch.submit()

    # Those who forget

    async def run(self) -> None:
        """Follow the hubs' events and close what nobody closed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run())
            group.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.close_forgotten()
            except JournalError as error:
                log.error("a visit could not be closed; tried again", error=str(error))

    async def close_forgotten(self) -> int:
        """Whoever has been here for VISIT_MS is taken to be gone; returns how many."""
        done = 0
        async with self._turn:
            now_ms = self._journal.clock()
            late = [
                (hub, visit)
                for hub, present in self._here.items()
                for visit in present.values()
                if now_ms - visit.from_ms >= VISIT_MS
            ]
            for hub, visit in late:
                batch = self._journal.batch()
                said: dict[int, Any] = {k.SUBJECT: hub, k.OPERATOR: visit.who, k.REASON: FORGOTTEN}
                batch.add_own(k.CHECK_OUT, said)
                self._row(batch, hub, now_ms, "out", visit.who, NOBODY, None)
                await batch.submit()
                self.counts["forgotten"] += 1
                done += 1
        return done

    # Inside

    def _row(
        self, batch: Any, hub: str, at_ms: int, what: str, who: str, via: str, span_ms: int | None
    ) -> None:
        """Into the batch, with our turn held: the next row of the chain."""
        digest = chain.digest(self._newest(), (at_ms, what, via, span_ms), (hub, who))
        batch.run(_INSERT, hub, at_ms, what, who, via, span_ms, digest)

        def written() -> None:
            self.counts[what] += 1
            self._enter(hub, what, Visit(who, via, at_ms))

        batch.then(written)

    def _newest(self) -> bytes | None:
        rows = self._journal.reader.rows("SELECT digest FROM visits ORDER BY id DESC LIMIT 1")
        if not rows:
            key = chain.retired_key(chain.VISITS)
            rows = self._journal.reader.rows("SELECT value FROM meta WHERE key=?", (key,))
        return rows[0][0] if rows else None

    def _enter(self, hub: str, what: str, visit: Visit) -> None:
        here = self._here.setdefault(hub, {})
        if what == "in":
            here[visit.who] = visit
        else:
            here.pop(visit.who, None)
            if not here:
                del self._here[hub]


def device_name(event: Event) -> str:
    """Who a hub's event speaks of: the key or card, by its number in the device table."""
    return f"device {event.fields.get(k.DEVICE, 0)}"


def code(data_dir: Path, home: str, day: date) -> str:
    """Six digits of a home and a day (HOTP's truncation, RFC 4226 section 5.3); the secret is made once."""
    secret = kept_password(data_dir / SECRET).encode()
    mac = hmac.digest(secret, f"{home} {day.isoformat()}".encode(), hashlib.sha256)
    offset = mac[-1] & 0xF
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}d}"


def today(home: Home) -> date:
    """The day it is at a home."""
    return datetime.now(UTC).astimezone(ZoneInfo(home.time_zone)).date()


def verify(path: Path) -> chain.Verdict:
    """Read the visits of a journal.db against their chain, beside a running daemon; sqlite3.Error."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
        return chain.verify(db, chain.VISITS)
