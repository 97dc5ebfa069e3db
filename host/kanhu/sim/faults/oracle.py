"""What must hold once every fault is lifted: pure judgements over what the bench saw, what the platform
received and what the journal's tables say. Shares no code with the journal or its ledger."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kanhu.sim.tally import Tally

Identity = tuple[str, int, int]  # hub, boot, seq
Device = tuple[str, int]  # hub, device index
SUMS = ("announced", "stored", "lost", "awaited", "delivered", "queued")
P1 = "p1"
OPENERS = (
    "call", "fall", "smoke", "gas", "carbon_monoxide", "pre_alarm", "inactivity", "vitals.out_of_range",
    "wandering", "no_return", "door.left_open", "missed_visit", "overstay",
)  # fmt: skip
HUBS, DAEMONS = "/kanhu/hubs/", "/kanhu/daemons/"


class Pressed(NamedTuple):
    """One press as the bench made it; heard_s: when the elder was told it was heard, None when not told."""

    at_s: float
    hub: str
    device: int
    heard_s: float | None


@dataclass(frozen=True)
class Arrival:
    """One message at the platform, repeats included: what a CloudEvent says, without the SDK's help."""

    at_s: float
    source: str
    id: str  # "{boot}-{seq}"
    name: str
    event_class: str
    data: Mapping[str, Any]

    @classmethod
    def of(cls, at_s: float, cloudevent: Mapping[str, Any]) -> Arrival:
        """From a CloudEvent's JSON object; KeyError, ValueError when it is none of ours."""
        kind = str(cloudevent["type"])
        name = kind.removeprefix("org.kanhu.").removesuffix(".v1")
        found = cls(
            at_s, cloudevent["source"], cloudevent["id"], name, cloudevent["kanhuclass"], cloudevent["data"]
        )
        _ = found.identity
        return found

    @property
    def hub(self) -> str:
        """The id behind the source: a hub's or the daemon's."""
        return self.source.removeprefix(HUBS).removeprefix(DAEMONS)

    @property
    def identity(self) -> Identity:
        boot, _, seq = self.id.partition("-")
        return self.hub, int(boot), int(seq)


@dataclass(frozen=True)
class Rows:
    """The journal's raw tables, as they are."""

    events: list[tuple[str, int, int, int, bool]]  # hub, boot, seq, class, delivered
    expired: list[tuple[str, int, int, int]] = field(default_factory=list)  # hub, boot, first, last
    losses: list[tuple[str, int, int, int]] = field(default_factory=list)
    boots: list[tuple[str, int, int]] = field(default_factory=list)  # hub, boot, claimed
    alarms: list[Identity] = field(default_factory=list)


@dataclass(frozen=True)
class Record:
    """Everything a run leaves for judgement. lossy: hubs whose flash was full, so that they may have given up
    events below P1, and said so. forgetful: those of them that then lost power, and with it what only their
    memory held: presses that were never called heard."""

    presses: list[Pressed]
    received: list[Arrival]  # at the platform's broker session, repeats included
    handed: list[Arrival]  # what a consumer that keys on identity was given
    rows: Rows
    ledger: Mapping[str, Mapping[str, int]]  # what `kanhu ledger --json` printed, by hub
    motions: Mapping[Device, int] = field(default_factory=dict)
    sent_p1: frozenset[Identity] = frozenset()  # P1 seen on its way from a hub
    lossy: frozenset[str] = frozenset()
    forgetful: frozenset[str] = frozenset()


class Violation(NamedTuple):
    """One broken promise."""

    rule: str
    text: str


def read_rows(path: Path | str) -> Rows:
    """The tables of a journal.db, which may be in use; sqlite3.Error."""
    db = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
    try:
        db.execute("BEGIN")
        return Rows(
            [
                (hub, boot, seq, cls, delivered is not None)
                for hub, boot, seq, cls, delivered in db.execute(
                    "SELECT hub, boot, seq, class, delivered_ms FROM events"
                )
            ],
            db.execute("SELECT hub, boot, first, last FROM expired").fetchall(),
            db.execute("SELECT hub, boot, first, last FROM losses").fetchall(),
            db.execute("SELECT hub, boot, claimed FROM boots").fetchall(),
            db.execute("SELECT hub, boot, seq FROM alarms").fetchall(),
        )
    finally:
        db.close()


def judge(record: Record) -> list[Violation]:
    """Every broken promise; empty when all held."""
    return [
        *presses(record),
        *repeats(record),
        *alarms(record),
        *urgent(record),
        *agreement(record),
        *ledger(record),
    ]


def presses(record: Record) -> Iterator[Violation]:
    """No heard press lost, none counted twice, no motion made up."""
    tally = Tally()
    for event in record.handed:
        tally.add(event)
    heard = Counter((one.hub, one.device) for one in record.presses if one.heard_s is not None)
    made = Counter((one.hub, one.device) for one in record.presses)
    for device, count in heard.items():
        if tally.calls[device] < count:
            yield Violation(
                "heard press lost",
                f"hub {device[0]} device {device[1]}: {count} heard, {tally.calls[device]} at the platform",
            )
    for device, count in tally.calls.items():
        if count > made[device]:
            yield Violation(
                "press twice",
                f"hub {device[0]} device {device[1]}: {made[device]} pressed, {count} at the platform",
            )
    moved: Counter[Device] = Counter()
    for identity, event in _first_of_each(record.handed).items():
        if event.name in ("motion", "motion.count"):
            moved[identity[0], event.data.get("device", 0)] += int(event.data.get("count", 1))
    for device, count in moved.items():
        if count > record.motions.get(device, 0):
            yield Violation(
                "motion twice",
                f"hub {device[0]} device {device[1]}: {record.motions.get(device, 0)} made, {count} received",
            )


def repeats(record: Record) -> Iterator[Violation]:
    """A consumer that keys on identity sees each event once, and an identity never means two things."""
    for identity, count in Counter(event.identity for event in record.handed).items():
        if count > 1:
            yield Violation("delivered twice", f"{_name(identity)} was handed out {count} times")
    first = _first_of_each(record.received)
    for event in (*record.received, *record.handed):
        known = first.setdefault(event.identity, event)
        if (known.name, known.data) != (event.name, event.data):
            yield Violation(
                "identity reused",
                f"{_name(event.identity)} is {known.name} {known.data} and {event.name} {event.data}",
            )


def alarms(record: Record) -> Iterator[Violation]:
    """Whatever belongs to an alarm, the alarm's first event is there."""
    got = _first_of_each(record.handed)
    # What the daemon raises is named by its own event under the hub's name.
    got |= {
        (str(event.data["subject"]), *identity[1:]): event
        for identity, event in got.items()
        if event.source.startswith(DAEMONS) and "subject" in event.data
    }
    named = {_parse(event.data["alarm"]) for event in record.handed if event.data.get("alarm")}
    for identity in sorted(named | set(record.rows.alarms)):
        event = got.get(identity)
        if (event is None and identity[0] not in record.forgetful) or (event and event.name not in OPENERS):
            yield Violation(
                "first event of an alarm lost", f"the platform has no first event of {_name(identity)}"
            )


def urgent(record: Record) -> Iterator[Violation]:
    """P1 is never lost: neither what a hub was seen to send, nor what the journal took."""
    got = {event.identity for event in record.handed}
    stored = {(hub, boot, seq) for hub, boot, seq, cls, _ in record.rows.events if cls == 1}
    sent = {identity for identity in record.sent_p1 if identity[0] not in record.forgetful}
    for identity in sorted((stored | sent) - got):
        yield Violation("P1 lost", f"{_name(identity)} never reached the platform")
    for hub, boot, first, last in record.rows.losses:
        for identity in sorted(sent):
            if identity[:2] == (hub, boot) and first <= identity[2] <= last and identity not in stored:
                yield Violation("P1 lost", f"{_name(identity)} was sent and is recorded as lost")


def agreement(record: Record) -> Iterator[Violation]:
    """What the platform was handed and what the journal calls delivered are the same events."""
    got = {event.identity for event in record.handed}
    stored = {(hub, boot, seq): delivered for hub, boot, seq, _, delivered in record.rows.events}
    expired = {
        (hub, boot, seq) for hub, boot, first, last in record.rows.expired for seq in range(first, last + 1)
    }
    for identity, delivered in sorted(stored.items()):
        if delivered and identity not in got:
            yield Violation("delivered to nobody", f"{_name(identity)} counts as delivered and never arrived")
    for identity in sorted(got - set(stored) - expired):
        yield Violation("forgotten by the host", f"{_name(identity)} was delivered and is not in the journal")


def sums(rows: Rows) -> dict[str, dict[str, int]]:
    """The ledger of every hub, counted seq by seq from the raw rows."""
    stored: dict[tuple[str, int], set[int]] = {}
    lost: dict[tuple[str, int], set[int]] = {}
    announced: Counter[tuple[str, int]] = Counter()
    queued: Counter[str] = Counter()
    for hub, boot, seq, _, delivered in rows.events:
        stored.setdefault((hub, boot), set()).add(seq)
        queued[hub] += not delivered
    for table, kept in ((rows.expired, stored), (rows.losses, lost)):
        for hub, boot, first, last in table:
            kept.setdefault((hub, boot), set()).update(range(first, last + 1))
    for hub, boot, claimed in rows.boots:
        announced[hub, boot] = claimed
    result: dict[str, dict[str, int]] = {}
    for key in {*stored, *lost, *announced}:
        have = stored.get(key, set())
        gone = lost.get(key, set()) - have
        said = max(announced[key], 1 + max(have | gone, default=-1))
        row = result.setdefault(key[0], dict.fromkeys(SUMS, 0))
        row["announced"] += said
        row["stored"] += len(have)
        row["lost"] += len(gone)
        row["awaited"] += said - len(have) - len(gone)
    for hub, row in result.items():
        row["queued"] = queued[hub]
        row["delivered"] = row["stored"] - row["queued"]
    return result


def ledger(record: Record) -> Iterator[Violation]:
    """The ledger balances, agrees with a count of our own, awaits nothing, and lost only what may be."""
    counted = sums(record.rows)
    for hub in sorted({*counted, *record.ledger}):
        printed = record.ledger.get(hub, {})
        own = counted.get(hub, dict.fromkeys(SUMS, 0))
        if any(printed.get(name) != own[name] for name in SUMS):
            yield Violation("ledger differs", f"hub {hub}: printed {dict(printed)}, counted {own}")
        if own["announced"] != own["stored"] + own["lost"] + own["awaited"] or own["awaited"] < 0:
            yield Violation("ledger not balanced", f"hub {hub}: {own}")
        if own["awaited"] or own["queued"]:
            yield Violation("not settled", f"hub {hub}: {own['awaited']} awaited, {own['queued']} queued")
        if own["lost"] and hub not in record.lossy:
            yield Violation("lost without cause", f"hub {hub}: {own['lost']} events")


def _first_of_each(events: Iterable[Arrival]) -> dict[Identity, Arrival]:
    found: dict[Identity, Arrival] = {}
    for event in events:
        found.setdefault(event.identity, event)
    return found


def _name(identity: Identity) -> str:
    return f"{identity[0]}/{identity[1]}-{identity[2]}"


def _parse(name: str) -> Identity:
    hub, _, rest = name.partition("/")
    boot, _, seq = rest.partition("-")
    return hub, int(boot), int(seq)
