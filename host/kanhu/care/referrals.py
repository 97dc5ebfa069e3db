"""Needs for the service platform (安养链): what is asked for, never what was measured.

A referral is an event of the daemon (P4): the hub's pseudonym, a need, and where it comes from. No reading,
no movement, no text that a person wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from kanhu.journal import Event, Journal
from kanhu_protocol import kinds as k

from .following import Follower, Mark

DAY_MS = 86_400_000
LOOKED_BACK = 100_000  # journal numbers that a start looks through for what has been said
SAID_MAX = 50_000  # needs remembered as said; beyond it those of before yesterday are let go
AGAIN_MS = {"service": 10 * 60_000}  # the same need of one home is said once in a day, or in this time
# Codes that a person closes an alarm with (before a colon and their own words) and that are a need too.
CLOSING = {
    "needs_care": "care",  # help with washing, dressing, eating
    "needs_meals": "meals",
    "needs_doctor": "medical",  # a doctor or nurse should come by; no emergency
    "needs_repair": "repair",  # of the home: a step, a lamp, a tap
    "needs_visit": "visit",  # somebody to talk to
    "equipment": "equipment",  # of Kanhu's own sensors
}
# What rules find that is nobody's alarm.
HINTS = {"rhythm": "look_in", "blind_spots": "equipment"}
RAISED = {k.MISSED_VISIT: "visit", k.FAULT_OVERDUE: "equipment"}
KINDS = (k.SERVICE_REQUEST, k.ALARM_CLOSED, k.ALARM_CORRECTED, k.RULE_HINT, *RAISED)
NEEDS = tuple(dict.fromkeys(("service", *CLOSING.values(), *HINTS.values(), *RAISED.values())))

log = structlog.get_logger("kanhu.referrals")


class Referrals:
    """Follows the journal and says each need once; call in the thread of its loop."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._follower = Follower(journal, "referrals", KINDS, self._follow)
        self._said: dict[tuple[str, str], int] = {}  # (hub, need): when last
        self.made = 0
        sql = "SELECT hub, boot, seq FROM events WHERE n > ? AND hub=? AND kind=?"
        newest = journal.reader.rows("SELECT coalesce(max(n), 0) FROM events")[0][0]
        for row in journal.reader.rows(sql, (newest - LOOKED_BACK, journal.daemon_id, k.REFERRAL)):
            event = journal.find(*row)
            if event is not None and k.SUBJECT in event.fields:
                self._said[event.fields[k.SUBJECT], event.fields.get(k.NEED, "")] = event.received_ms

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._follower.forget(hub)
        self._said = {key: at_ms for key, at_ms in self._said.items() if key[0] != hub}

    async def run(self) -> None:
        """Follow, until cancelled."""
        await self._follower.run()

    async def _follow(self, event: Event, mark: Mark) -> None:
        need = need_of(event)
        if need is None:
            return
        fields = referral(event, need)
        key, now_ms = (fields[k.SUBJECT], need), event.received_ms
        said_ms = self._said.get(key)
        if said_ms is not None and 0 <= now_ms - said_ms < AGAIN_MS.get(need, DAY_MS):
            return
        batch = self._journal.batch()
        mark(batch)
        batch.add_own(k.REFERRAL, fields)
        await batch.submit()
        self._said[key] = now_ms
        self.made += 1
        if len(self._said) > SAID_MAX:
            self._said = {one: at_ms for one, at_ms in self._said.items() if now_ms - at_ms < DAY_MS}


def need_of(event: Event) -> str | None:
    """What an event asks the service platform for; None: nothing."""
    fields = event.fields
    if fields.get(k.FLAGS, 0) & k.TEST:
        return None
    if event.kind == k.SERVICE_REQUEST:
        return "service"
    if event.kind in (k.ALARM_CLOSED, k.ALARM_CORRECTED):
        return CLOSING.get(_code(fields.get(k.REASON, "")))
    if event.kind == k.RULE_HINT:
        return HINTS.get(str(fields.get(k.RULE, "")).partition("/")[0])
    return RAISED.get(event.kind)


def referral(event: Event, need: str) -> dict[int, Any]:
    """The fields of the referral that an event leads to: pseudonyms and codes only."""
    fields: Mapping[int, Any] = event.fields
    about: dict[int, Any] = {k.SUBJECT: fields.get(k.SUBJECT, event.hub), k.NEED: need}
    if event.kind in (k.ALARM_CLOSED, k.ALARM_CORRECTED):
        about[k.ALARM] = fields[k.ALARM]
        about[k.REASON] = _code(fields[k.REASON])  # the code alone: what follows is a person's own words
    if k.RULE in fields:
        about[k.RULE] = fields[k.RULE]
    return about


def _code(reason: str) -> str:
    return reason.partition(":")[0].strip()
