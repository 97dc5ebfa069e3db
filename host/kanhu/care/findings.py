"""What follows from a rule's verdict: the elder is asked, an alarm raised or withdrawn, a hint given.

One finding is raised once, over restarts too, and again only when it still stands long after a person's
answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from kanhu.journal import Journal
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import MAX_REASON, MAX_WORDS

from .alarm import Alarm, AlarmError, AlarmName, cut
from .rules.past import Reading
from .rules.values import Rule, Verdict, Words

AGAIN_MS = 12 * 3_600_000  # ours: of what nobody has undone half a day after an alarm was closed, another one
HINT_MS = 86_400_000  # a hint of one rule for one home at most daily
KEPT_MS = 60 * 86_400_000  # findings remembered, and read back at a start
MOVEMENT, MODE = "movement", "mode"  # who ends an asking
FOUND = "found"  # outcome in rule_record: what a finding was, beside its alarm
EXPONENT = -2  # of a reading in VALUES

_KEEP = "INSERT INTO rule_record (hub, rule, at_ms, boot, seq, outcome, reason) VALUES (?,?,?,?,?,?,?)"


class Finding(NamedTuple):
    """What a rule has found: one of these is raised once."""

    rule: str  # its name
    since_ms: int
    device: int
    room: str


class Alarms(Protocol):
    """What this needs of the alarms (kanhu.care.alarms)."""

    on_change: list[Callable[[Alarm], None]]

    def live(self, hub: str | None = None) -> list[Alarm]:
        """Alarms not closed."""

    def get(self, name: AlarmName) -> Alarm | None:
        """One alarm."""

    async def ask(
        self, hub: str, kind: int, rule_id: str | None, words: Words, ask_ms: int, device: int = 0
    ) -> AlarmName:
        """Ask the elder first."""

    async def raise_(
        self, hub: str, kind: int, rule_id: str | None, words: Words, device: int = 0,
        fields: dict[int, Any] | None = None,
    ) -> AlarmName:  # fmt: skip
        """Raise at once."""

    async def withdraw(self, name: AlarmName, by: str, reason: str) -> Alarm:
        """End the asking."""


class Findings:
    """Findings of all hubs of one journal; in the thread of its loop."""

    def __init__(self, journal: Journal, alarms: Alarms) -> None:
        self._journal = journal
        self._alarms = alarms
        self._found: dict[str, dict[Finding, AlarmName]] = {}
        self._hinted: dict[tuple[str, str], int] = {}  # (hub, rule's name): when
        since_ms = journal.clock() - KEPT_MS
        rows = journal.reader.rows(
            "SELECT hub, rule, at_ms, boot, seq, outcome, reason FROM rule_record "
            "WHERE outcome IN ('found', 'hint') AND at_ms > ? ORDER BY id",
            (since_ms,),
        )
        for hub, rule, at_ms, boot, seq, outcome, where in rows:
            if outcome == FOUND:
                device, _, room = where.partition(" ")
                finding = Finding(_name(rule), at_ms, int(device), room)
                self._found.setdefault(hub, {})[finding] = (hub, boot, seq)
            else:
                self._hinted[hub, _name(rule)] = at_ms

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._found.pop(hub, None)
        self._hinted = {key: at_ms for key, at_ms in self._hinted.items() if key[0] != hub}

    async def act(
        self, hub: str, rule: Rule[Any], verdict: Verdict, live: Mapping[AlarmName, Alarm], ask_ms: int
    ) -> None:
        """Do what a verdict calls for. live: the hub's alarms not closed. JournalUnavailable: later."""
        mine = [alarm for alarm in live.values() if alarm.rule is not None and _name(alarm.rule) == rule.name]
        if verdict.state == "raise":
            finding = Finding(rule.name, verdict.since_ms or 0, verdict.device, verdict.room)
            known = self._found.get(hub, {}).get(finding)
            # One that a killed daemon had raised and not yet noted is taken for this finding.
            named = {name for one, name in self._found.get(hub, {}).items() if one != finding}
            mine = [alarm for alarm in mine if await self._goes_on(alarm, alarm.name in named, verdict)]
            if not mine and (known is None or self._is_due_again(known)):
                await self._raise(hub, rule, verdict, finding, ask_ms)
        elif verdict.state != "cannot_tell":
            for alarm in mine:
                if alarm.state == k.PRE:
                    await self._withdraw(alarm, MODE if verdict.state == "off" else MOVEMENT, verdict)
        if verdict.state == "hint":
            await self._hint(hub, rule, verdict)

    async def _goes_on(self, alarm: Alarm, of_another: bool, verdict: Verdict) -> bool:
        """Whether an alarm is of this finding; the asking about another one is over."""
        if of_another and alarm.state == k.PRE:
            await self._withdraw(alarm, MOVEMENT, verdict)
            return False
        return not of_another

    async def _withdraw(self, alarm: Alarm, by: str, verdict: Verdict) -> None:
        with suppress(AlarmError):  # its time was over meanwhile: now only a person closes it
            await self._alarms.withdraw(alarm.name, by, cut(verdict.words.en, MAX_REASON))

    def _is_due_again(self, name: AlarmName) -> bool:
        alarm = self._alarms.get(name)
        if alarm is None:
            return False
        return alarm.closed_ms is not None and self._journal.clock() - alarm.closed_ms > AGAIN_MS

    async def _raise(
        self, hub: str, rule: Rule[Any], verdict: Verdict, finding: Finding, ask_ms: int
    ) -> None:
        if rule.asks:
            name = await self._alarms.ask(hub, rule.kind, verdict.rule, verdict.words, ask_ms, verdict.device)
        else:
            fields = {} if verdict.reading is None else {k.VALUES: [value_of(verdict.reading)]}
            name = await self._alarms.raise_(
                hub, rule.kind, verdict.rule, verdict.words, verdict.device, fields
            )
        oldest_ms = self._journal.clock() - KEPT_MS
        kept = {one: its for one, its in self._found.get(hub, {}).items() if one.since_ms > oldest_ms}
        self._found[hub] = kept | {finding: name}
        batch = self._journal.batch()
        where = f"{finding.device} {finding.room}"
        batch.run(_KEEP, hub, verdict.rule, finding.since_ms, name[1], name[2], FOUND, where)
        await batch.submit()

    async def _hint(self, hub: str, rule: Rule[Any], verdict: Verdict) -> None:
        now = self._journal.clock()
        last_ms = self._hinted.get((hub, rule.name))
        if last_ms is not None and now - last_ms < HINT_MS:
            return
        batch = self._journal.batch()
        words = [cut(text, MAX_WORDS) for text in verdict.words]
        batch.add_own(k.RULE_HINT, {k.SUBJECT: hub, k.RULE: verdict.rule, k.EXPLANATION: words})
        batch.run(_KEEP, hub, verdict.rule, now, None, None, "hint", words[0])
        await batch.submit()
        self._hinted[hub, rule.name] = now


def value_of(reading: Reading) -> list[int]:
    """A reading as VALUES has it: [code, value, exponent]."""
    value = round(reading.value * 10**-EXPONENT)
    exponent = EXPONENT
    while exponent < 0 and value % 10 == 0:
        value //= 10
        exponent += 1
    return [reading.code, value, exponent]


def _name(rule_id: str) -> str:
    return rule_id.partition("/")[0]
