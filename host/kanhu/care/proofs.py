"""Proof of the path: each hub's daily test call comes through all receipts of machines, or it is a fault."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

import structlog

from kanhu.care.rules.values import Words
from kanhu.journal import Batch, Event, Journal
from kanhu_protocol import kinds as k

from .ticking import tick_every

log = structlog.get_logger("kanhu.proofs")

LIMIT_MS = 26 * 3_600_000  # a day's call, two hours late at most
LOOK_AGAIN_MS = 900_000  # at a hub that is not heard: hub.silent says so already
TICK_S = 5.0
AT_ONCE = 100  # faults said in one tick
NO_PROOF = 3  # names.DETAILS[PATH_FAULT]

# A fault keeps when the path was last proven.
_PROVEN = "INSERT OR REPLACE INTO proofs (hub, at_ms, span_ms, fault) VALUES (?,?,?,?)"


class Proof(NamedTuple):
    """The daily test call of a hub: when it last came through (host UTC ms; 0: never) and how long that took,
    and the fault of the newest one (names.DETAILS[PATH_FAULT]; 0: none)."""

    at_ms: int
    span_ms: int
    fault: int

    def words(self, now_ms: int, zone: tzinfo = UTC) -> Words:
        """As a page says it: proven 07:02, 0.8 s."""
        if not self.at_ms:
            return Words("not proven yet", "尚未验证")
        at, now = (datetime.fromtimestamp(ms / 1000, zone) for ms in (self.at_ms, now_ms))
        clock = at.strftime("%H:%M" if at.date() == now.date() else "%Y-%m-%d %H:%M")
        if self.fault:
            return Words(f"failed; last proven {clock}", f"验证失败；上次验证 {clock}")
        seconds = f"{self.span_ms / 1000:.1f}"
        return Words(f"proven {clock}, {seconds} s", f"已验证 {clock}，{seconds} 秒")


class Proofs:
    """The proofs of all hubs of one journal; in the thread of its loop. A hub can prove its path once it has
    made a test call; before that nothing is asked of it."""

    def __init__(self, journal: Journal, heard: Callable[[str], bool], limit_ms: int = LIMIT_MS) -> None:
        """heard: whether a hub is heard at present."""
        self._journal = journal
        self._heard = heard
        self._limit_ms = limit_ms
        self._proofs: dict[str, Proof] = {}
        self._due: list[tuple[int, str]] = []  # heap of (host UTC ms, hub); a hub stands there once
        rows = journal.reader.rows("SELECT hub, at_ms, span_ms, fault FROM proofs")
        for hub, *proof in rows:
            self._proofs[hub] = Proof(*proof)
            self._due.append((proof[0] + limit_ms, hub))
        heapq.heapify(self._due)

    def proof(self, hub: str) -> Proof | None:
        """The newest proof of a hub; None when it has never made a test call."""
        return self._proofs.get(hub)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._proofs.pop(hub, None)

    def note(self, batch: Batch, event: Event) -> None:
        """A new event of a hub: what it says of its path goes to disk with it."""
        kind, hub, now = event.kind, event.hub, event.received_ms
        if kind not in (k.TEST_CALL, k.PATH_PROVEN, k.PATH_FAULT):
            return
        before = self._proofs.get(hub)
        utc_ms = self._journal.moment(event)[0]
        at_ms = now if utc_ms is None else min(utc_ms, now)
        if kind == k.PATH_PROVEN:
            if before is not None and at_ms < before.at_ms:
                return  # held up on its way
            after = Proof(at_ms, event.fields.get(k.SPAN_MS, 0), 0)
            if before is not None and before.fault == NO_PROOF:
                batch.add_own(k.PATH_OK, {k.SUBJECT: hub})
        elif kind == k.PATH_FAULT:
            if before is not None and at_ms < before.at_ms:
                return
            after = (before or Proof(0, 0, 0))._replace(fault=event.fields.get(k.DETAIL, 1))
        elif before is None:
            after = Proof(0, 0, 0)
        else:
            return
        self._put(batch, hub, after)

    def _put(self, batch: Batch, hub: str, after: Proof) -> None:
        before = self._proofs.get(hub)
        self._proofs[hub] = after
        batch.run(_PROVEN, hub, *after)
        if before is None:
            heapq.heappush(self._due, (self._journal.clock() + self._limit_ms, hub))

        def undo() -> None:
            if self._proofs.get(hub) is after:
                if before is None:
                    del self._proofs[hub]
                else:
                    self._proofs[hub] = before

        batch.otherwise(undo)

    async def run(self) -> None:
        """Raise path.fault for hubs whose proof is overdue, until cancelled."""
        await tick_every(
            TICK_S, self._journal, self.tick, log, "a missing proof could not be said; tried again"
        )

    async def tick(self) -> None:
        """Say path.fault (no_proof) of each hub that is heard and has not proven its path for too long."""
        now = self._journal.clock()
        batch = self._journal.batch()
        said = 0
        while self._due and self._due[0][0] <= now and said < AT_ONCE:
            _, hub = heapq.heappop(self._due)
            proof = self._proofs.get(hub)
            if proof is None:
                continue
            due_ms = proof.at_ms + self._limit_ms
            if due_ms <= now:
                due_ms = now + LOOK_AGAIN_MS
                if not proof.fault and self._heard(hub):
                    said += 1
                    batch.add_own(k.PATH_FAULT, {k.SUBJECT: hub, k.DETAIL: NO_PROOF})
                    self._put(batch, hub, proof._replace(fault=NO_PROOF))
            heapq.heappush(self._due, (due_ms, hub))
        await batch.submit()
