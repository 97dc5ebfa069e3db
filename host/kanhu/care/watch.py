"""The watch over all homes: what is known of each, the rules that are due, and what follows from them."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import structlog
from pydantic import BaseModel

from kanhu.ending import end
from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal, JournalError
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

from . import facts, recall
from .alarm import Alarm
from .condition import Condition, HubFacts, condition
from .findings import Alarms, Findings
from .modes import Modes
from .proofs import Proof
from .registered import Registered, Standing
from .rules.coverage import Coverage
from .rules.past import Past, Plan
from .rules.values import Rule, Verdict, Words
from .shown import Shown
from .watched import On, Watched, read_back

log = structlog.get_logger("kanhu.watch")

TICK_S = 0.5  # events of that long are looked at together
ROUND_TICKS = 120  # in which the conditions of all homes are looked at once
AT_ONCE = 50  # hubs looked at before others have their turn
SOONEST_MS = 1000
LATEST_MS = 3_600_000  # a rule is looked at that often whatever it said
BEHIND_MS = 15_000  # a hub whose past is still arriving is looked at again after this
AFTER_ERROR_MS = 60_000
SET_BACK_MS = 60_000  # less is what keeping a clock right does, and makes nothing late
BEHIND = Words(
    "the hub was away, and what it saved meanwhile is still arriving", "主机曾断线，其间的记录仍在补传"
)
FAILED = Words("the rule could not be looked at", "规则评估失败")
# Events that say only that somebody moves or something is there: of a quiet home they change nothing.
_LIFE = frozenset((k.HEARTBEAT, k.MOTION, k.MOTION_COUNT, k.STILL))
_ABOUT = frozenset(
    (
        k.HUB_SILENT, k.HUB_BACK, k.IDENTITY_FAULT, k.IDENTITY_OK, k.PATH_FAULT, k.PATH_OK,
        k.SENSOR_UNPROVEN, k.SENSOR_PROVEN, k.CHECK_IN, k.CHECK_OUT,
    )
)  # fmt: skip


class Watch:
    """All homes of one registry; in the thread of the journal's loop."""

    def __init__(
        self,
        journal: Journal,
        registry: Registry,
        alarms: Alarms,
        modes: Modes,
        limit_s: float,
        ask_ms: int,
        rules: Mapping[str, Rule[Any]],
        proof: Callable[[str], Proof | None] = lambda hub: None,
        standing: Callable[[], Standing] = dict,
    ) -> None:
        """limit_s: longest silence of a hub that is well; standing: faults that stood before what is read
        back, by hub: (device, kind) and since when."""
        self.on_condition: list[Callable[[str, Condition], None]] = []  # (home, what it is now)
        self.evaluated = 0  # rules looked at since the start
        self.failed = 0
        self._journal, self._registry, self._alarms, self._modes = journal, registry, alarms, modes
        self._limit_ms = int(limit_s * 1000)
        self._ask_ms = ask_ms
        self._proof = proof
        self._registered = Registered(journal, registry, modes, self._limit_ms, rules)
        self._findings = Findings(journal, alarms)
        self._hubs: dict[str, Watched] = {}
        self._homes: dict[str, list[str]] = {}  # home: its hubs
        self._heap: list[tuple[int, str]] = []
        self._conditions: dict[str, Condition] = {}
        self._turn: list[str] = []  # homes whose condition is still to be looked at in this round
        self._looked_ms = 0
        self._unread = False
        self._complained = False  # that the conditions could not be written
        self._standing = standing
        self._shown = Shown(journal.path.parent)
        self.configure()
        alarms.on_change.append(self._alarm)
        modes.on_set.append(self._mode)

    # Looking

    def past(self, hub: str) -> Past | None:
        """What rules see of a hub; None for one that is not watched."""
        found = self._hubs.get(hub)
        return found.past.past if found else None

    def verdicts(self, hub: str) -> list[Verdict]:
        """What the rules of a hub's home said last."""
        found = self._hubs.get(hub)
        return list(found.verdicts.values()) if found else []

    def facts(self, hub: str, now_ms: int) -> HubFacts:
        """What a home's condition rests on."""
        one = self._hubs[hub]
        return facts.gather(
            one.past, one.read, one.alarms.values(), one.rules, one.verdicts, one.sensors,
            self._modes.at(hub, now_ms), self._proof(hub),
        )  # fmt: skip

    def condition(self, home: str) -> Condition:
        """How a home is now."""
        now = self._journal.clock()
        return condition([self.facts(hub, now) for hub in self._homes.get(home, ())], now)

    def conditions(self) -> dict[str, Condition]:
        """How all homes are, each looked at within the last minute."""
        return dict(self._conditions)

    # What happens

    def take(self, event: Event) -> None:
        """An event that is on disk: of a hub, or of the daemon about one."""
        hub = event.hub
        if event.sealed is None:
            if event.kind not in _ABOUT:
                return
            hub = event.fields.get(k.SUBJECT, "")
        one = self._hubs.get(hub)
        if one is None:
            return
        if not one.read:
            one.waiting.append(event)
            return
        self._enter(one, event)
        if event.kind == k.HEARTBEAT:
            changes = not one.settled
        elif event.kind in _LIFE:
            quiet = all(verdict.state in ("quiet", "off") for verdict in one.verdicts.values())
            changes = not (one.settled and quiet) or bool(one.past.standing)
        else:
            changes = True
        if changes:
            self._wake(hub)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        one = self._hubs.pop(hub, None)
        self._modes.forget(hub)
        self._findings.forget(hub)
        if one is not None:
            self._homes[one.home] = [other for other in self._homes.get(one.home, ()) if other != hub]
            if not self._homes[one.home]:
                del self._homes[one.home]
                self._conditions.pop(one.home, None)

    def _enter(self, one: Watched, event: Event) -> None:
        try:
            if event.sealed is None:
                one.past.told(event)
            else:
                one.past.take(event, self._journal.moment(event)[0])
        except Exception:  # of this event alone: who else is told of it must not be kept waiting
            log.exception("an event could not be looked at", hub=one.past.hub, kind=event.kind)
            self.failed += 1

    def _alarm(self, alarm: Alarm) -> None:
        one = self._hubs.get(alarm.hub)
        if one is not None:
            one.alarms.pop(alarm.name, None)
            if alarm.state != k.CLOSED:
                one.alarms[alarm.name] = alarm
            self._wake(alarm.hub)

    def _mode(self, hub: str, mode: Any) -> None:
        one = self._hubs.get(hub)
        if one is not None:
            one.past.past.mode(mode)
            self._wake(hub)

    def _wake(self, hub: str) -> None:
        self._schedule(hub, self._journal.clock())

    def _schedule(self, hub: str, at_ms: int) -> None:
        self._hubs[hub].due_ms = at_ms
        heapq.heappush(self._heap, (at_ms, hub))

    # The registry

    def configure(self) -> None:
        """Take over what the registry says of homes, hubs, devices, rules and visits."""
        for hub_id in [one for one in self._hubs if not self._registry.knows(one)]:
            self.forget(hub_id)
        self._homes = self._registered.homes()
        new = {hub for hubs in self._homes.values() for hub in hubs} - self._hubs.keys()
        standing = cache(self._standing)  # looked up once for all that are set up
        for home, hubs in self._homes.items():
            on, plans = self._registered.rules(home), self._registered.plans(home)
            for hub_id in hubs:
                self._set_up(hub_id, home, on, plans, standing)
        if new:  # a hub may have called before it was seen here
            for alarm in self._alarms.live():
                if alarm.hub in new:
                    self._alarm(alarm)
        for home in [one for one in self._conditions if one not in self._homes]:
            del self._conditions[home]

    def _set_up(
        self, hub: str, home: str, on: On, plans: tuple[Plan, ...], standing: Callable[[], Standing]
    ) -> None:
        devices, zone = self._registered.devices(hub), self._registered.zone(home)
        one = self._hubs.get(hub)
        if one is None or one.past.past.zone.key != zone.key or (on and not one.rules):
            past = self._registered.past(hub, zone, devices, plans, standing())
            alarms = one.alarms if one else {}
            one = self._hubs[hub] = Watched(home, past, read=False)
            self._unread = True
            one.alarms = alarms
            self._wake(hub)
        known = one.past.past
        if (known.devices, known.plans) != (devices, plans):
            known.devices, known.plans = devices, plans
            self._wake(hub)
        if [(rule.id, settings) for rule, settings in one.rules] != [(rule.id, given) for rule, given in on]:
            one.rules = on
            one.verdicts = {}
            self._wake(hub)

    # Time

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        recalling: asyncio.Task[None] | None = None
        try:
            while True:
                if self._unread and (recalling is None or recalling.done()):
                    self._unread = False
                    recalling = asyncio.create_task(self._recall_all())
                await self._tick()
                await self._tell()
                await asyncio.sleep(TICK_S)
        finally:
            if recalling is not None:
                await end([recalling])

    async def _tick(self) -> None:
        if self._registered.changed:
            self.configure()
        if self._registry.mode_requests():
            await self._carry_out()
        await self.look()

    async def _tell(self) -> None:
        """Let commands know how homes are (kanhu.care.shown)."""
        now = time.monotonic()
        if not self._shown.is_due(self._conditions, now):
            return
        try:
            await asyncio.to_thread(self._shown.write, dict(self._conditions), self._journal.clock(), now)
        except OSError as error:
            if not self._complained:
                self._complained = True
                log.error("what is said of homes could not be written", error=str(error))

    async def look(self) -> None:
        """Look at every rule that is due now, and at some homes' conditions."""
        now = self._journal.clock()
        if now < self._looked_ms - SET_BACK_MS:  # what is due would wait for the clock
            for hub in self._hubs:
                self._wake(hub)
        self._looked_ms = now
        done = 0
        homes: dict[str, None] = {}  # once for each, however many hubs it has
        while self._heap and self._heap[0][0] <= now:
            at_ms, hub = heapq.heappop(self._heap)
            one = self._hubs.get(hub)
            if one is None or one.due_ms != at_ms or not one.read:
                continue
            try:
                await self._look_at(hub, one, now)
            except Exception:
                # What cannot be looked at must neither stop the others nor look like quiet.
                log.exception("a home could not be looked at", hub=hub)
                self._failed(hub, one)
            homes[one.home] = None
            done += 1
            if done % AT_ONCE == 0:
                await asyncio.sleep(0)
        for number, home in enumerate(homes, 1):
            self._judge(home)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        if not self._turn:
            self._turn = list(self._homes)
        for _ in range(min(len(self._turn), len(self._homes) // ROUND_TICKS + 1)):
            self._judge(self._turn.pop())

    def _failed(self, hub: str, one: Watched) -> None:
        self.failed += 1
        now = self._journal.clock()
        for rule, _ in one.rules:
            one.verdicts[rule.name] = Verdict(rule.id, "cannot_tell", now + AFTER_ERROR_MS, FAILED)
        if self._hubs.get(hub) is one:
            self._schedule(hub, now + AFTER_ERROR_MS)

    def _judge(self, home: str) -> None:
        if home not in self._homes:
            return
        before, found = self._conditions.get(home), self.condition(home)
        self._conditions[home] = found
        if before is None or (before.state, before.reasons) != (found.state, found.reasons):
            for told in self.on_condition:
                told(home, found)

    async def _look_at(self, hub: str, one: Watched, now: int) -> None:
        past = one.past
        if now - one.tidied_ms > LATEST_MS:
            one.tidied_ms = now
            past.past.forget_before(now - recall.RAW_MS)
        if past.pending:
            past.resolve([(event, self._journal.moment(event)[0]) for event in past.pending])
        lost, past.lost_seqs = past.lost_seqs, []
        for span in lost:
            hole = recall.around(self._journal, hub, *span)
            if hole is not None:
                past.lost(*hole)
        one.settled = past.settle(now, self._journal.missing(hub))
        coverage = facts.covered(past, one.rules, now)
        one.sensors = facts.sensors(coverage, bool(one.rules))
        due = min(now + LATEST_MS, coverage.next_ms)
        for rule, settings in one.rules:
            verdict = self._verdict(rule, settings, past.past, now, one.settled)
            one.verdicts[rule.name] = verdict
            due = min(due, verdict.next_ms)
        if not one.settled and past.is_here(now):
            due = min(due, now + BEHIND_MS)
        self._schedule(hub, max(due, now + SOONEST_MS))
        await self._act(hub, one, coverage, now)

    async def _act(self, hub: str, one: Watched, coverage: Coverage, now: int) -> None:
        again = False
        try:
            for rule, _ in one.rules:
                verdict = one.verdicts.get(rule.name)
                if verdict is None:  # other rules were set meanwhile
                    return
                try:
                    await self._findings.act(hub, rule, verdict, one.alarms, self._ask_ms)
                except JournalError:
                    raise
                except Exception:  # nor must what one has found stop what follows from another
                    log.exception("what a rule found could not be said", hub=hub, rule=rule.id)
                    self.failed += 1
                    again = True
            if one.rules:
                await facts.say_proven(self._journal, one.past, coverage, now)
        except JournalError as error:
            log.warning("what a rule found could not be kept; looked at again", hub=hub, error=str(error))
            again = True
        if again and self._hubs.get(hub) is one:
            self._schedule(hub, now + AFTER_ERROR_MS)

    def _verdict(self, rule: Rule[Any], settings: BaseModel, past: Past, now: int, settled: bool) -> Verdict:
        self.evaluated += 1
        if not settled:
            return Verdict(rule.id, "cannot_tell", now + LATEST_MS, BEHIND)
        try:
            return rule.evaluate(past, settings, now)
        except Exception:
            # A defect in one rule must neither stop the others nor look like quiet.
            log.exception("a rule failed", rule=rule.id)
            self.failed += 1
            return Verdict(rule.id, "cannot_tell", now + AFTER_ERROR_MS, FAILED)

    async def _carry_out(self) -> None:
        try:
            await self._modes.carry_out(self._registry)
        except KanhuError as error:
            log.warning("a mode could not be kept; tried again", error=str(error))

    async def _recall_all(self) -> None:
        try:
            await self.recall()
        except Exception:
            log.exception("what the journal holds of homes could not be read back; tried again")
            await asyncio.sleep(AFTER_ERROR_MS / 1000)
            self._unread = True

    async def recall(self) -> None:
        """Read back what the journal holds of hubs that are new here."""
        await read_back(self._hubs, self._journal, self._limit_ms, self._enter, self._wake)
