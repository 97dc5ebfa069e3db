"""The life of one rollout: who is asked when, what became of it, and when it stops. Pure: rows and time are
arguments, and what has changed is the answer."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from . import words
from .values import (
    ASKED,
    CANCELLED,
    DONE,
    ENDED,
    FAILED,
    FETCHING,
    FLYING,
    PAUSED,
    POSTPONED,
    RUNNING,
    SKIPPED,
    TRYING,
    WAITING,
    Rollout,
    Unit,
    View,
    is_at,
)

ANSWER_MS = 600_000  # an UPDATE is said again until confirmed; after so long another hub has its turn
STALL_MS = 1_800_000  # without progress: it is asked anew
# A trial ends by itself after 30 min of link, 2 h without one (contracts, section 13).
TRY_MS = 10_800_000
AGAIN_MS = 300_000  # until a hub that could not take it is asked again
NOT_PROVABLE = "nobody is asked while the city's platform is not connected: no hub could prove itself"
ASKS = 3  # of one hub that stops fetching
LOOKS = 500  # hubs looked at in one tick


@dataclass
class Turn:
    """What a tick has found: rows that changed, hubs to be told."""

    changed: list[Unit] = field(default_factory=list)
    ask: list[str] = field(default_factory=list)  # asked() is to be called with the command's number
    withdraw: list[tuple[str, int]] = field(default_factory=list)  # commands that are to be said no more
    give_up: list[str] = field(default_factory=list)  # hubs that are to fetch no more


class Engine:
    """One rollout and its hubs."""

    def __init__(self, rollout: Rollout, units: Iterable[Unit]) -> None:
        self.rollout = rollout
        self.units = {unit.hub: unit for unit in sorted(units, key=lambda unit: unit.rank)}
        self.counts: Counter[str] = Counter()
        self._canary: Counter[str] = Counter()  # those of the canary by state
        self._flying: set[str] = set()
        self._held: set[str] = set()  # postponed
        self._queue: deque[str] = deque()  # waiting, in the order of their turns
        for unit in self.units.values():
            self._enter(unit)

    # Rows

    def put(self, unit: Unit) -> Unit:
        """Take this row in place of the one there was."""
        before = self.units[unit.hub]
        self.counts[before.state] -= 1
        self._canary[before.state] -= before.canary
        self._flying.discard(unit.hub)
        self._held.discard(unit.hub)
        self.units[unit.hub] = unit
        self._enter(unit, was_waiting=before.state == WAITING)
        return unit

    def _enter(self, unit: Unit, was_waiting: bool = False) -> None:
        self.counts[unit.state] += 1
        self._canary[unit.state] += unit.canary
        if unit.is_flying:
            self._flying.add(unit.hub)
        elif unit.state == POSTPONED:
            self._held.add(unit.hub)
        elif unit.state == WAITING and not was_waiting:
            self._queue.append(unit.hub)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        unit = self.units.pop(hub, None)
        if unit is not None:
            self.counts[unit.state] -= 1
            self._canary[unit.state] -= unit.canary
            self._flying.discard(hub)
            self._held.discard(hub)

    def _to(self, unit: Unit, state: str, now: int, why: str = "", **more: Any) -> Unit:
        if state in (WAITING, POSTPONED):
            more.setdefault("canary", False)  # its place is another's meanwhile
        return self.put(replace(unit, state=state, why=why, changed_ms=now, **more))

    @property
    def flying(self) -> frozenset[str]:
        """Hubs on their way."""
        return frozenset(self._flying)

    @property
    def is_over(self) -> bool:
        """Whether nothing is done any more."""
        return self.rollout.state not in (RUNNING, PAUSED)

    # What hubs say

    def asked(self, hub: str, number: int, now: int) -> Unit:
        """The UPDATE of this number is on its way to a hub of Turn.ask."""
        unit = self.units[hub]
        canary = self.rollout.passed_ms is None
        return self._to(unit, ASKED, now, command=number, asks=unit.asks + 1, taken=False, canary=canary)

    def taken(self, hub: str, number: int, now: int) -> Unit | None:
        """A hub has confirmed a command."""
        unit = self.units.get(hub)
        if unit is None or unit.state != ASKED or unit.command != number:
            return None
        return self._to(unit, FETCHING, now, taken=True, received=0)

    def refused(self, hub: str, number: int, detail: int, now: int) -> Unit | None:
        """A hub has refused a command: names.DETAILS[COMMAND_REFUSED]."""
        unit = self.units.get(hub)
        if unit is None or unit.state != ASKED or unit.command != number:
            return None
        if detail == words.ALARM_STANDS:
            return self._to(unit, POSTPONED, now, "alarm_there", command=0)
        if detail == words.BUSY:
            return self._to(unit, POSTPONED, now, "busy", command=0)
        if detail == words.NOT_NEWER_REFUSED:
            return self._to(unit, SKIPPED, now, "already", canary=False)
        if detail == words.UNKNOWN:
            return self._to(unit, SKIPPED, now, "takes_none", canary=False)
        return self._to(unit, FAILED, now, "refused")

    def progress(self, hub: str, version: str, offset: int, size: int, now: int) -> Unit | None:
        """A hub holds offset bytes, and wants the next."""
        unit = self.units.get(hub)
        if unit is None or not unit.asks or (version, size) != (self.rollout.version, self.rollout.size):
            return None
        if unit.state == FETCHING and offset <= unit.received:
            return None  # said again, or begun anew: whoever never comes further has stopped
        if unit.state in (ASKED, FETCHING):
            return self._to(unit, FETCHING, now, taken=True, received=offset)
        if unit.state in (WAITING, POSTPONED):
            # When its turn comes, it goes on from there without being asked again.
            return self.put(replace(unit, taken=True, received=offset))
        return None

    def may_fetch(self, hub: str) -> bool:
        """Whether a hub's wish for the next bytes is answered."""
        unit = self.units.get(hub)
        return unit is not None and unit.state == FETCHING and self.rollout.state == RUNNING

    def failed(self, hub: str, version: str, detail: int, now: int) -> Unit | None:
        """update.failed of a hub: names.DETAILS[UPDATE_FAILED]."""
        unit = self.units.get(hub)
        if unit is None or not unit.asks or version != self.rollout.version:
            return None
        why = words.FAILED.get(detail, f"reason {detail}")
        if unit.state == FAILED:  # the hub knows better why, unless it was told to
            return None if detail == words.GIVEN_UP else self.put(replace(unit, why=why))
        if unit.state in (DONE, SKIPPED):
            return None
        if detail == words.NOT_NEWER:
            return self._to(unit, SKIPPED, now, "already", canary=False)
        if detail == words.NOT_SIGNED and not unit.received:
            return self._to(unit, SKIPPED, now, "no_key", canary=False)
        return self._to(unit, FAILED, now, why)

    def done(self, hub: str, version: str, now: int) -> Unit | None:
        """update.done of a hub."""
        unit = self.units.get(hub)
        if unit is None or version != self.rollout.version or unit.state in (DONE, SKIPPED):
            return None
        if not unit.asks:
            return self._to(unit, SKIPPED, now, "already")
        return self._to(unit, DONE, now, received=self.rollout.size)

    def booted(self, hub: str, firmware: str, slots: tuple[int, int], now: int) -> Unit | None:
        """A hub has started, with this version, in slots (running, permanent)."""
        unit = self.units.get(hub)
        if unit is None or not unit.asks:
            return None
        if firmware != self.rollout.version:
            went_back = unit.state in (TRYING, DONE)
            return self._to(unit, FAILED, now, "went_back") if went_back else None
        if slots[0] == slots[1]:
            return self.done(hub, firmware, now)
        if unit.state in (ASKED, FETCHING, WAITING, POSTPONED):
            return self._to(
                unit,
                TRYING,
                now,
                taken=True,
                received=self.rollout.size,
                canary=unit.canary or self._before(),
            )
        return None

    def safe_mode(self, hub: str, now: int) -> Unit | None:
        """A hub says that no installed release starts."""
        unit = self.units.get(hub)
        if unit is None or unit.state not in (TRYING, DONE):
            return None
        return self._to(unit, FAILED, now, "safe_mode")

    def silent(self, hub: str, now: int) -> Turn:
        """A hub has fallen silent."""
        unit, turn = self.units.get(hub), Turn()
        if unit is None:
            return turn
        if unit.state == ASKED:
            self._away(turn, unit, WAITING, now, "silent")
        elif unit.state == FETCHING and not unit.nearly_whole(self.rollout.size):
            turn.changed.append(self._to(unit, WAITING, now, "silent"))
        elif unit.state in (FETCHING, TRYING) or (
            unit.state == DONE and now - unit.changed_ms < self.rollout.settings.soak_ms
        ):
            turn.changed.append(self._to(unit, FAILED, now, "silent_after"))
        return turn

    def _away(self, turn: Turn, unit: Unit, state: str, now: int, why: str) -> None:
        """A hub that was asked and has not answered: it is asked no more for now."""
        turn.withdraw.append((unit.hub, unit.command))
        turn.changed.append(self._to(unit, state, now, why, command=0))

    # What people say

    def pause(self, why: str) -> Turn:
        """Nobody is asked, and nobody fetches."""
        turn = Turn()
        self.rollout = replace(self.rollout, state=PAUSED, why=why)
        for unit in [self.units[hub] for hub in self._flying]:
            if unit.state == ASKED:
                self._away(turn, unit, WAITING, unit.changed_ms, "")
        return turn

    def resume(self, now: int) -> Turn:
        """Go on: what has failed so far is known, and other hubs take its place in the canary."""
        turn = Turn()
        ended = self.counts[DONE] + self.counts[FAILED]
        self.rollout = replace(
            self.rollout, state=RUNNING, why="", base_failed=self.counts[FAILED], base_ended=ended
        )
        for unit in list(self.units.values()):
            if unit.state == FAILED and unit.canary:
                turn.changed.append(self.put(replace(unit, canary=False)))
            elif unit.is_flying:  # it could not move meanwhile
                turn.changed.append(self.put(replace(unit, changed_ms=now)))
        return turn

    def cancel(self, now: int) -> Turn:
        """Over: who fetches gives it up; who tries it already keeps it, or goes back by itself."""
        turn = self.pause("")
        self.rollout = replace(self.rollout, state=CANCELLED, ended_ms=now)
        for unit in list(self.units.values()):
            if unit.taken and unit.state in (FETCHING, WAITING, POSTPONED):
                turn.give_up.append(unit.hub)
        return turn

    # Time

    def tick(self, now: int, view: View) -> Turn:
        """What is due: a rollout that does not run asks nobody."""
        turn = Turn()
        if self.rollout.state != RUNNING:
            return turn
        for hub in list(self._flying):
            self._look(turn, self.units[hub], now, view)
        for hub in list(self._held):
            unit = self.units[hub]
            rested = unit.why == "alarm" or now - unit.changed_ms >= AGAIN_MS
            if rested and not view.alarm(hub):
                turn.changed.append(self._to(unit, WAITING, now))
        self._judge(turn)
        if self.rollout.state == RUNNING:
            self._pass(turn, now, view)
        if self.rollout.state == RUNNING:
            self._ask(turn, now, view)
            self._end(now, turn)
        return turn

    def _look(self, turn: Turn, unit: Unit, now: int, view: View) -> None:
        age_ms = now - unit.changed_ms
        whole = unit.nearly_whole(self.rollout.size)
        if not view.knows(unit.hub):
            turn.changed.append(self._to(unit, SKIPPED, now, "revoked", canary=False))
        elif view.alarm(unit.hub):
            if unit.state == ASKED:
                self._away(turn, unit, POSTPONED, now, "alarm")
            elif unit.state == FETCHING and not whole:
                turn.changed.append(self._to(unit, POSTPONED, now, "alarm"))
            elif age_ms >= TRY_MS // 2:  # it waits for the alarm's end, too
                turn.changed.append(self.put(replace(unit, changed_ms=now)))
        elif unit.state == ASKED and age_ms >= ANSWER_MS:
            self._away(turn, unit, WAITING, now, "no_answer")
        elif unit.state == FETCHING and age_ms >= (TRY_MS if whole else STALL_MS):
            if whole:
                turn.changed.append(self._to(unit, FAILED, now, "no_end"))
            elif unit.asks >= ASKS:
                turn.changed.append(self._to(unit, FAILED, now, "stalled"))
            else:
                turn.changed.append(self._to(unit, WAITING, now, taken=False, command=0))
        elif unit.state == TRYING and age_ms >= TRY_MS:
            turn.changed.append(self._to(unit, FAILED, now, "no_end"))

    def _before(self) -> bool:
        return self.rollout.passed_ms is None

    def _committed(self) -> int:
        """Places of the canary that are taken."""
        return sum(self._canary[state] for state in (*FLYING, DONE, FAILED))

    def _left(self) -> int:
        return self.counts[WAITING] + self.counts[POSTPONED]

    def _judge(self, turn: Turn) -> None:
        """Pause when too many have failed."""
        rollout, settings = self.rollout, self.rollout.settings
        failed = self.counts[FAILED] - rollout.base_failed
        ended = self.counts[DONE] + self.counts[FAILED] - rollout.base_ended
        least = settings.pause_min
        if self._before() and not any(self._canary[state] for state in FLYING):
            full = self._committed() >= settings.canary
            if full or not self._left():
                least = 1  # of a few hubs, each counts
        if failed >= least and failed > 0 and failed * 100 >= settings.pause_percent * ended:
            self._merge(turn, self.pause(f"{failed} of {ended} failed"))

    def _pass(self, turn: Turn, now: int, view: View) -> None:
        """The canary has passed when all of it has ended, and ran well for as long as was asked."""
        settings = self.rollout.settings
        if not self._before() or any(self._canary[state] for state in FLYING):
            return
        if self._left() and self._committed() < settings.canary:
            return
        for unit in self.units.values():
            if unit.canary and unit.state == DONE:
                well_until = unit.changed_ms + settings.soak_ms
                if now < well_until or view.heard_ms(unit.hub) < well_until:
                    return
        if self._canary[DONE] or not self._left():
            self.rollout = replace(self.rollout, passed_ms=now)

    def _ask(self, turn: Turn, now: int, view: View) -> None:
        why = "" if view.provable() else NOT_PROVABLE
        if why != self.rollout.why:
            self.rollout = replace(self.rollout, why=why)
        if why:
            return
        room = self.rollout.settings.at_once - len(self._flying)
        if self._before():
            room = min(room, self.rollout.settings.canary - self._committed())
        for _ in range(min(LOOKS, len(self._queue))):
            if room <= 0:
                break
            hub = self._queue.popleft()
            unit = self.units.get(hub)
            if unit is None or unit.state != WAITING or hub in turn.ask:
                continue
            if not view.knows(hub):
                turn.changed.append(self._to(unit, SKIPPED, now, "revoked"))
            elif is_at(view.firmware(hub), self.rollout.number):
                turn.changed.append(self._to(unit, SKIPPED, now, "already"))
            elif not view.heard(hub) or (unit.why == "no_answer" and now - unit.changed_ms < AGAIN_MS):
                self._queue.append(hub)
            elif view.alarm(hub):
                turn.changed.append(self._to(unit, POSTPONED, now, "alarm"))
            elif unit.taken:
                room -= 1
                turn.changed.append(self._to(unit, FETCHING, now, canary=self._before()))
            else:
                room -= 1
                turn.ask.append(hub)

    def _end(self, now: int, turn: Turn) -> None:
        if self._left() or self._flying or turn.ask or self._before():
            return
        soak_ms = self.rollout.settings.soak_ms
        if all(now - unit.changed_ms >= soak_ms for unit in self.units.values() if unit.state == DONE):
            self.rollout = replace(self.rollout, state=ENDED, ended_ms=now)

    def _merge(self, turn: Turn, more: Turn) -> None:
        turn.changed += more.changed
        turn.withdraw += more.withdraw
