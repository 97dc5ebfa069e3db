"""Commands to hubs that are not confirmed yet, on disk so that a restart forgets none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kanhu_protocol import down
from kanhu_protocol import kinds as k

from .batch import Batch
from .journal import Journal

# A newer one makes these older ones of the same hub (and alarm) pointless.
REPLACES = {
    k.ALARM_IS: (k.ALARM_IS, k.ASK),
    k.ASK: (k.ASK,),
    k.DEVICES: (k.DEVICES,),
    k.UPDATE: (k.UPDATE,),
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command to one hub: its number, type and other fields (contracts, section 5)."""

    hub: str
    number: int
    type: int
    fields: dict[int, Any]
    created_ms: int


class Commands:
    """Numbers rise per hub and are never used twice."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_kept: list[Callable[[Command], None]] = []  # after the fsync of each new command
        self._numbers: dict[str, int] = dict(journal.reader.rows("SELECT hub, number FROM numbers"))
        self._waiting: dict[str, dict[int, Command]] = {}
        for hub, number, kind, payload, created_ms in journal.reader.rows(
            "SELECT hub, number, type, payload, created_ms FROM commands WHERE state='waiting' "
            "ORDER BY number"
        ):
            fields = down.decode(payload)
            del fields[k.TYPE], fields[k.NUMBER]
            self._waiting.setdefault(hub, {})[number] = Command(hub, number, kind, fields, created_ms)

    def waiting(self, hub: str) -> list[Command]:
        """Commands the hub has not confirmed, oldest first."""
        return list(self._waiting.get(hub, {}).values())

    def refused_alarms(self, hub: str) -> list[tuple[int, int]]:
        """(boot, seq) of the alarms whose newest ALARM_IS the hub refused: its flash had failed."""
        newest: dict[tuple[int, int], str] = {}
        for payload, state in self._journal.reader.rows(
            "SELECT payload, state FROM commands WHERE hub=? AND type=? AND number >= "
            "(SELECT min(number) FROM commands WHERE hub=? AND type=? AND state='refused') ORDER BY number",
            (hub, k.ALARM_IS, hub, k.ALARM_IS),
        ):
            boot, seq = down.decode(payload)[k.ALARM_NAME]
            newest[boot, seq] = state
        return [name for name, state in newest.items() if state == "refused"]

    async def create(self, hub: str, kind: int, fields: dict[int, Any]) -> Command:
        """Persist a command of its own; JournalUnavailable: there is none."""
        batch = self._journal.batch()
        command = self.add(batch, hub, kind, fields)
        await batch.submit(urgent=True)
        return command

    def add(self, batch: Batch, hub: str, kind: int, fields: dict[int, Any]) -> Command:
        """Persist a command with what it follows from; older ones it makes pointless are superseded."""
        number = self._next(batch, hub)
        payload = down.encode(kind, {**fields, k.NUMBER: number})
        command = Command(hub, number, kind, dict(fields), self._journal.clock())
        batch.run(
            "INSERT INTO commands (hub, number, type, payload, state, created_ms) "
            "VALUES (?,?,?,?,'waiting',?)",
            hub, number, kind, payload, command.created_ms,
        )  # fmt: skip
        for old in self.waiting(hub):
            same = old.fields.get(k.ALARM_NAME) == fields.get(k.ALARM_NAME)
            if old.type in REPLACES.get(kind, ()) and same:
                self._settle(batch, hub, old.number, "superseded", None)
        # It waits from now on, so that another one of the same commit supersedes it.
        self._waiting.setdefault(hub, {})[number] = command
        batch.otherwise(lambda: self._forget(hub, number))
        batch.then(lambda: self._kept(command))
        return command

    def withdraw(self, batch: Batch, hub: str, number: int) -> None:
        """A command is said no more; what the hub says of it changes nothing."""
        if number in self._waiting.get(hub, {}):
            self._settle(batch, hub, number, "superseded", None)

    def drop(self, hub: str) -> None:
        """A hub is being erased: nothing waits for it any more."""
        self._waiting.pop(hub, None)
        self._numbers.pop(hub, None)

    def _kept(self, command: Command) -> None:
        for callback in self.on_kept:
            callback(command)

    def _next(self, batch: Batch, hub: str) -> int:
        # Above any that an older copy of the journal has forgotten: a hub may still confirm one of those.
        number = self._numbers[hub] = max(self._numbers.get(hub, 0) + 1, self._journal.daemon_boot)
        batch.run("INSERT OR REPLACE INTO numbers VALUES (?,?)", hub, number)
        return number

    async def number(self, hub: str) -> int:
        """A number for a command that is said once and not kept."""
        batch = self._journal.batch()
        number = self._next(batch, hub)
        await batch.submit()
        return number

    def confirm(self, batch: Batch, hub: str, number: int, detail: int | None) -> None:
        """The hub's event in this batch says it has done (detail None) or refused a command."""
        if number in self._waiting.get(hub, {}):
            self._settle(batch, hub, number, "done" if detail is None else "refused", detail)

    def _settle(self, batch: Batch, hub: str, number: int, state: str, detail: int | None) -> None:
        batch.run(
            "UPDATE commands SET state=?, confirmed_ms=?, detail=? WHERE hub=? AND number=?",
            state, self._journal.clock(), detail, hub, number,
        )  # fmt: skip
        batch.then(lambda: self._forget(hub, number))

    def _forget(self, hub: str, number: int) -> None:
        self._waiting.get(hub, {}).pop(number, None)
