"""Everything that is held of a home in one JSON file, for the person who has a right to see it."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from kanhu.errors import DataError
from kanhu.journal.erasing import about
from kanhu.journal.plain import believed
from kanhu.journal.times import Anchor, resolve
from kanhu.registry import Home, Registry
from kanhu.registry.acceptances import Acceptances
from kanhu.registry.families import Families
from kanhu.registry.notes import Notes
from kanhu.uplink.cloudevents import to_json
from kanhu_protocol import names

# What else is held of a hub: table, its columns, their order.
_CARE = {
    "modes": ("hub, mode, from_ms, until_ms, set_by, set_ms", "id"),
    "rule_record": ("hub, rule, at_ms, outcome, reason", "id"),
    "faults": (
        "hub, device, kind, opened_ms, owner, due_ms, overdue_ms, closed_ms, closed_by, reason",
        "id",
    ),
    "proofs": ("hub, at_ms, span_ms, fault", "at_ms"),
    "visits": ("hub, at_ms, what, who, via, span_ms", "id"),
    "audit": ("hub, at_ms, operator, what, detail", "id"),
}


class _Row(NamedTuple):
    n: int
    hub_id: str
    boot: int
    seq: int
    daemon: bool
    event: dict[int, Any]


def write(data_dir: Path, registry: Registry, home_id: str, out: Path) -> int:
    """Write a home's data and events to out, a new file of mode 0600; returns how many events.

    RegistryError for an unknown home, DataError; keys and passwords are not in it, nor are sealed bytes."""
    home = registry.home(home_id)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise DataError(f"{out}: there already; name a new file") from None
    except OSError as error:
        raise DataError(f"{out}: {error.strerror}; name a place where you may write") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            return _write(file, data_dir, registry, home)
    except BaseException as error:
        out.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error | OSError):
            raise DataError(f"{out}: {error}; nothing was kept") from None
        raise


def _write(file: TextIO, data_dir: Path, registry: Registry, home: Home) -> int:
    hubs = [hub.id for hub in registry.hubs(home.id)]
    note = Notes(registry).of(home.id)
    families = Families(registry)
    family = families.of(home.id)
    head: dict[str, Any] = {
        "home": {
            "id": home.id, "region": home.region, "time_zone": home.time_zone, "name": home.name,
            "address": home.address, "phones": home.phones, "note": note and note._asdict(),
        },
        "hubs": [
            {
                "id": hub.id, "added_ms": hub.created_ms, "revoked_ms": hub.revoked_ms,
                "settings": registry.settings(hub.id), "sensors": registry.sensor_history(hub.id),
                "wired_proven_ms": {
                    one.index: one.proven_ms for one in registry.wired_inputs(hub.id) if one.proven_ms
                },
            }
            for hub in registry.hubs(home.id)
        ],
        "rules": registry.rules(home.id),
        "visit_plans": [plan._asdict() for plan in registry.plans(home.id)],
        "family": {"claimed_ms": family.claimed_ms if family is not None else None},
        "reading_wearers": [
            {"hub": hub, **said._asdict()} for hub in hubs for said in families.wearer_history(hub)
        ],
        "acceptances": [
            {
                "hub": hub, "at_ms": one.at_ms, "digest": one.digest, "record": json.loads(one.record),
                "signature": one.signature.hex(),
            }
            for hub in hubs for one in Acceptances(registry).of(hub)
        ],
    }  # fmt: skip
    count = 0
    path = data_dir / "journal.db"
    found: Iterator[str] = iter(())
    if not path.exists():
        head |= {"alarms": [], **{name: [] for name in _CARE}}
    else:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        db.execute("BEGIN")  # one look at all tables
        head["alarms"] = [alarm for hub in hubs for alarm in _alarms(db, hub)]
        head |= {name: [row for hub in hubs for row in _care(db, name, hub)] for name in _CARE}
        found = _events(db, home, hubs)
    text = json.dumps(head, ensure_ascii=False, indent=1)
    file.write(text.removesuffix("\n}") + ',\n "events": [')
    for event in found:
        file.write(f"{',' if count else ''}\n  {event}")
        count += 1
    file.write("\n ]\n}\n")
    if path.exists():
        db.close()
    return count


def _care(db: sqlite3.Connection, name: str, hub: str) -> Iterator[dict[str, Any]]:
    columns, order = _CARE[name]
    for row in db.execute(f"SELECT {columns} FROM {name} WHERE hub=? ORDER BY {order}", (hub,)):  # noqa: S608  # fixed names
        found = dict(zip(columns.split(", "), row, strict=True))
        for key, words in (("kind", names.KINDS), ("mode", names.MODES)):
            if key in found:
                found[key] = words.get(found[key], found[key])
        yield found


def _alarms(db: sqlite3.Connection, hub: str) -> Iterator[dict[str, Any]]:
    rows = db.execute("SELECT * FROM alarms WHERE hub=? ORDER BY opened_ms", (hub,))
    columns = [column[0] for column in rows.description]
    for row in rows.fetchall():
        alarm = dict(zip(columns, row, strict=True))
        alarm["kind"] = names.KINDS.get(alarm["kind"], alarm["kind"])
        alarm["state"] = names.STATES[alarm["state"]]
        alarm["level"] = names.LEVELS.get(alarm["level"], alarm["level"])
        if alarm["explanation"] is not None:
            alarm["explanation"] = json.loads(alarm["explanation"])
        alarm["history"] = [
            dict(zip(("at_ms", "what", "operator", "reason"), step, strict=True))
            for step in db.execute(
                "SELECT at_ms, what, operator, reason FROM alarm_history "
                "WHERE hub=? AND boot=? AND seq=? ORDER BY id",
                row[:3],
            )
        ]
        yield alarm


def _events(db: sqlite3.Connection, home: Home, hubs: list[str]) -> Iterator[str]:
    """As the platform gets them, one line each, with when they were received and delivered."""
    (me,) = db.execute("SELECT value FROM meta WHERE key='daemon_id'").fetchone()
    for hub in hubs:
        anchors: dict[int, list[Anchor]] = {}
        for boot, *anchor in db.execute(
            "SELECT boot, up_ms, utc_ms, source FROM anchors WHERE hub=?", (hub,)
        ):
            anchors.setdefault(boot, []).append(Anchor(*anchor))
        sql = "SELECT n, boot, seq, plain, received_ms, delivered_ms, link FROM events WHERE "
        for row in db.execute(sql + "hub=? ORDER BY n", (hub,)):
            yield _event(hub, row, home, anchors.get(row[1], []), daemon=False)
        for n, *_ in about(db, me, hub):
            yield _event(me, db.execute(sql + "n=?", (n,)).fetchone(), home, [], daemon=True)


def _event(hub: str, row: tuple[Any, ...], home: Home, anchors: list[Anchor], daemon: bool) -> str:
    n, boot, seq, plain, received_ms, delivered_ms, link = row
    fields = believed(plain)
    moment, status = resolve(fields, received_ms, anchors)
    message = to_json(
        _Row(n, hub, boot, seq, daemon, fields),
        home=home.id, region=home.region, moment=moment, clockstatus=status,
    )  # fmt: skip
    event = json.loads(message)
    event |= {"received_ms": received_ms, "delivered_ms": delivered_ms, "link": link}
    return json.dumps(event, ensure_ascii=False)
