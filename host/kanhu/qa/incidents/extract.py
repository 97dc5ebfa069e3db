"""An incident out of journal and registry, read only, beside a running daemon."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kanhu.journal.schema import MIGRATIONS
from kanhu.qa.incidents import console, fields
from kanhu.qa.incidents.form import (
    MAX_SPAN_MS,
    Alarm,
    Boot,
    Command,
    Event,
    Firmware,
    Incident,
    IncidentError,
    Loss,
    Press,
    Sensor,
    Step,
    first_error,
)
from kanhu.qa.incidents.programs import Program
from kanhu.qa.incidents.pseudonyms import Pseudonyms
from kanhu.qa.incidents.rows import Hub, Row, daemon_starts, daemons_own, opened
from kanhu.registry import Registry
from kanhu.registry.file import RegistryFile
from kanhu_protocol import kinds as k
from kanhu_protocol import names

BEFORE_MS = 5000  # what moves the begin moves it to this long before
STARTED_MS = 60_000  # a hub that started so long before the begin was still finding its host
ROOM_MS = 600_000  # a replay looks a little beyond the record
MISSING_MAX = 5000  # stretches of lost seqs


def extract(
    data_dir: Path,
    hub: str,
    since_utc_ms: int,
    until_utc_ms: int,
    *,
    log: str | None = None,
    pressed: Sequence[tuple[int, int]] = (),
    given: Program | None = None,
    installed: Program | None = None,
) -> Incident:
    """The incident of a hub in a span; log: its console; pressed: (UTC ms, device) that people tell of.

    given: the release that it ran; installed: the firmware that came with this kanhu; KanhuError."""
    if not 0 < until_utc_ms - since_utc_ms <= MAX_SPAN_MS + ROOM_MS:
        raise IncidentError(
            f"the span must end after it begins and last at most {MAX_SPAN_MS // 86_400_000} days"
        )
    registry = Registry.open(data_dir, "read")
    try:
        registry.hub(hub)  # RegistryError: not known
        with opened(data_dir) as db:
            taken = _Taking(registry, db, hub, since_utc_ms, until_utc_ms)
            return taken.incident(log, pressed, given, installed)
    except ValidationError as error:
        raise IncidentError(f"the journal holds what an incident cannot: {first_error(error)}") from None
    finally:
        registry.close()


class _Taking:
    def __init__(
        self, registry: RegistryFile, db: sqlite3.Connection, hub: str, since_ms: int, until_ms: int
    ) -> None:
        key = registry.key(hub)
        self._registry, self._db, self._hub_id = registry, db, hub
        self._names = Pseudonyms(hub, key[1] if key else None)
        self._hub = Hub(db, hub)
        self._left_out: Counter[str] = Counter()
        self._notes: list[str] = []
        self._begin = self._widened(since_ms, until_ms)
        self._end = until_ms

    def incident(
        self,
        log: str | None,
        pressed: Sequence[tuple[int, int]],
        given: Program | None,
        installed: Program | None,
    ) -> Incident:
        rows = self._hub.events(self._begin, self._end)
        if not rows and not pressed:
            raise IncidentError(self._nothing())
        boots = self._boots(rows)
        said = console.read(log, self._begin, self._end - self._begin, self._hub_id) if log else None
        if said is not None:
            self._left_out.update(said.left_out)
        hub, settings = self._registry.hub(self._hub_id), self._registry.settings(self._hub_id)
        return Incident(
            kanhu_incident=1,
            hub=self._names.hub,
            begin_utc_ms=self._begin,
            length_ms=self._end - self._begin,
            schema_version=len(MIGRATIONS),
            firmware=self._firmware(rows, given, installed),
            settings=fields.settings(settings, self._left_out),
            config_version=hub.config_version,
            table=self._table(),
            boots=boots,
            events=[self._event(row) for row in rows],
            host_events=[
                self._event(row) for row in daemons_own(self._db, self._hub_id, self._begin, self._end)
            ],
            host_starts_ms=[ms - self._begin for ms in daemon_starts(self._db, self._begin, self._end)],
            alarms=self._alarms(),
            losses=self._losses(rows, boots),
            refused=self._refused(),
            commands=self._commands(),
            log=said.lines if said is not None else [],
            pressed=[Press(at_ms=at - self._begin, device=device) for at, device in sorted(pressed)],
            left_out=dict(sorted(self._left_out.items())),
            notes=self._notes,
        )

    def _widened(self, since_ms: int, until_ms: int) -> int:
        """An alarm that was open, or a start just before, belongs to what follows."""
        (opened_ms,) = self._db.execute(
            "SELECT min(opened_ms) FROM alarms WHERE hub=? AND opened_ms<? "
            "AND (closed_ms IS NULL OR closed_ms>=?)",
            (self._hub_id, since_ms, since_ms),
        ).fetchone()
        began = [start.started_ms for start in self._hub.starts().values() if start.started_ms is not None]
        why = "the hub had just started"
        first = min((at for at in began if since_ms - STARTED_MS <= at < since_ms), default=since_ms)
        if opened_ms is not None and opened_ms < first:
            first, why = int(opened_ms), "an alarm was open"
        if first == since_ms:
            return since_ms
        if until_ms - first + BEFORE_MS > MAX_SPAN_MS:
            self._notes.append("an alarm was open since long before the span; a replay begins without it")
            return since_ms
        earlier_s = (since_ms - first + BEFORE_MS) / 1000
        self._notes.append(f"{why} when the span began: the record begins {earlier_s:.0f} s earlier")
        return first - BEFORE_MS

    def _nothing(self) -> str:
        held = self._hub.range()
        if held is None:
            return f"hub {self._hub_id}: nothing of it was ever stored in this journal"
        return (
            f"hub {self._hub_id}: no event of it happened in this span; the journal holds what it "
            f"received from "
            f"{_utc(held[0])} to {_utc(held[1])}"
        )

    def _ms(self, utc_ms: int | None) -> int | None:
        return None if utc_ms is None else utc_ms - self._begin

    def _event(self, row: Row) -> Event:
        kind = row.fields[k.KIND]
        return Event(
            boot=row.boot,
            seq=row.seq,
            kind=kind,
            name=fields.kind_name(kind),
            up_ms=row.fields[k.UP_MS],
            at_ms=row.at_ms - self._begin,
            clock=row.how,
            received_ms=row.received_ms - self._begin,
            delivered_ms=self._ms(row.delivered_ms),
            link=_word(row.link),
            data=fields.data(row.fields, self._left_out),
        )

    def _boots(self, rows: Sequence[Row]) -> list[Boot]:
        firsts = {row.boot: row.fields for row in rows if row.fields[k.KIND] == k.BOOT and row.seq == 0}
        started = {
            number
            for number, start in self._hub.starts().items()
            if start.started_ms is not None and self._begin <= start.started_ms <= self._end
        }
        boots = []
        for number in sorted({row.boot for row in rows} | started):
            start, first = self._hub.start(number), firsts.get(number)
            previous = first.get(k.PREVIOUS) if first is not None else None
            started_ms = start.started_ms
            boots.append(
                Boot(
                    boot=number,
                    started_ms=self._ms(max(started_ms, self._begin - MAX_SPAN_MS)) if started_ms else None,
                    by=start.by,
                    in_span=first is not None,
                    reset=first.get(k.RESET) if first is not None else None,
                    previous=(previous[0], previous[1]) if previous else None,
                    firmware=first.get(k.FIRMWARE) if first is not None else None,
                )
            )
        return boots

    def _firmware(self, rows: Sequence[Row], given: Program | None, installed: Program | None) -> Firmware:
        said = [
            row.fields
            for row in rows
            if k.FIRMWARE in row.fields and row.fields[k.KIND] in (k.BOOT, k.HEARTBEAT)
        ]
        version = said[0][k.FIRMWARE] if said else self._last_version()
        slots = next((one[k.SLOT] for one in said if k.SLOT in one), None)
        if len({one[k.FIRMWARE] for one in said}) > 1:
            self._notes.append("the firmware changed within the span: a replay runs the first one throughout")
        if given is not None:
            if given.version != version:
                raise IncidentError(
                    f"hub {self._hub_id} ran {version} in this span, and {given.origin} is "
                    f"{given.version}: give "
                    "the release that it ran"
                )
            tree, known = given.tree, "archive"
        elif installed is not None and installed.version == version:
            tree, known = installed.tree, "installed"
        else:
            tree, known = None, None
        slot = (slots[0], slots[1]) if isinstance(slots, list) and len(slots) == 2 else None
        return Firmware.model_validate({"version": version, "slot": slot, "tree": tree, "tree_from": known})

    def _last_version(self) -> str:
        row = self._db.execute("SELECT version FROM firmware WHERE hub=?", (self._hub_id,)).fetchone()
        if row is None:
            raise IncidentError(
                f"hub {self._hub_id} never said which firmware it runs: take a span with a boot or a "
                f"heartbeat"
            )
        self._notes.append("the firmware's version is the last that the journal knows, not one of the span")
        return str(row[0])

    def _table(self) -> list[Sensor]:
        return [
            Sensor(
                device=one.index,
                role=names.ROLES.get(one.role, f"role.{one.role}"),
                address=self._names.address(one.address),
                supervision_s=one.supervision_s,
                encrypted=one.encrypted,
            )
            for one in self._registry.sensors(self._hub_id)
        ]

    def _alarms(self) -> list[Alarm]:
        found = self._db.execute(
            "SELECT boot, seq, kind, device, opened_ms, stored_ms, delivered_ms, accepted_ms, closed_ms "
            "FROM alarms "
            "WHERE hub=? AND opened_ms<=? AND (closed_ms IS NULL OR closed_ms>=?) ORDER BY opened_ms, "
            "boot, seq",
            (self._hub_id, self._end, self._begin),
        )
        return [
            Alarm(
                boot=boot, seq=seq, kind=kind, device=device, opened_ms=opened - self._begin,
                stored_ms=self._ms(stored), delivered_ms=self._ms(delivered), accepted_ms=self._ms(accepted),
                closed_ms=self._ms(closed), steps=self._steps(boot, seq),
            )
            for boot, seq, kind, device, opened, stored, delivered, accepted, closed in found.fetchall()
        ]  # fmt: skip

    def _steps(self, boot: int, seq: int) -> list[Step]:
        rows = self._db.execute(
            "SELECT at_ms, what, operator FROM alarm_history WHERE hub=? AND boot=? AND seq=? ORDER BY id "
            "LIMIT 1000",
            (self._hub_id, boot, seq),
        )
        return [
            Step(at_ms=at_ms - self._begin, what=_word(what), by=self._names.person(who))
            for at_ms, what, who in rows
        ]

    def _losses(self, rows: Sequence[Row], boots: Sequence[Boot]) -> list[Loss]:
        lost = []
        for one in boots:
            first = 0 if one.in_span else min((row.seq for row in rows if row.boot == one.boot), default=0)
            lost += [
                Loss(boot=one.boot, first=begin, last=end, reason=reason)
                for begin, end, reason in self._hub.lost(one.boot, first)
            ]
        return lost[:MISSING_MAX]

    def _refused(self) -> dict[str, int]:
        rows: list[Any] = self._db.execute(
            "SELECT reason, count(*) FROM refused WHERE hub=? AND received_ms BETWEEN ? AND ? GROUP BY "
            "reason",
            (self._hub_id, self._begin, self._end),
        ).fetchall()
        return {_word(reason): int(count) for reason, count in rows}

    def _commands(self) -> list[Command]:
        rows = self._db.execute(
            "SELECT type, state, created_ms, confirmed_ms FROM commands WHERE hub=? AND created_ms "
            "BETWEEN ? AND ? "
            "ORDER BY number LIMIT 5000",
            (self._hub_id, self._begin, self._end),
        )
        return [
            Command(type=kind, state=_word(state), created_ms=made - self._begin, confirmed_ms=self._ms(done))
            for kind, state, made, done in rows
        ]


def _word(text: str) -> str:
    """The first word of what the journal calls something: what follows may be anything."""
    found = re.match(r"[a-z_]{1,40}", text)
    return found.group() if found else "other"


def _utc(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
