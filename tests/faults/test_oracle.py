"""The oracle accepts a good record, and every way of spoiling one is found and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kanhu import ledger
from kanhu.journal import schema
from kanhu.sim.faults import oracle
from kanhu.sim.faults.heard import Made, Spell, told
from kanhu.sim.faults.oracle import Arrival, Pressed, Record, Rows

HUB, DAEMON = "k3v9m2x7qa", "dddddddddd"
BUTTON, PIR = 1, 3


def event(seq: int, name: str, cls: str = "p1", boot: int = 1, hub: str = HUB, **data: object) -> Arrival:
    kind = oracle.DAEMONS if hub == DAEMON else oracle.HUBS
    return Arrival(float(seq), kind + hub, f"{boot}-{seq}", name, cls, data)


EVENTS = [
    event(0, "boot", "p4"),
    event(1, "call", device=BUTTON, alarm=f"{HUB}/1-1"),
    event(2, "call.unanswered", device=BUTTON, alarm=f"{HUB}/1-1", attempt=1),
    event(3, "motion", "p5", device=PIR),
    event(4, "call", device=BUTTON, alarm=f"{HUB}/1-1", count=2),
    event(5, "motion.count", "p5", device=PIR, count=2),
    event(0, "hub.silent", "p3", hub=DAEMON, subject=HUB),
]


def rows(events: list[Arrival]) -> Rows:
    return Rows(
        [(*one.identity, int(one.event_class[1]), True) for one in events],
        boots=[(HUB, 1, 6)],
        alarms=[(HUB, 1, 1)],
    )


def good() -> Record:
    """Three presses of one button, all heard; one event travelled twice below the SDK."""
    return Record(
        presses=[
            Pressed(1.0, HUB, BUTTON, 1.1),
            Pressed(2.0, HUB, BUTTON, 2.1),
            Pressed(3.0, HUB, BUTTON, 3.1),
        ],
        received=[*EVENTS, EVENTS[1]],
        handed=list(EVENTS),
        rows=rows(EVENTS),
        ledger=oracle.sums(rows(EVENTS)),
        motions={(HUB, PIR): 3},
        sent_p1=frozenset({(HUB, 1, 1), (HUB, 1, 4)}),
    )


def rules(record: Record) -> set[str]:
    return {one.rule for one in oracle.judge(record)}


def test_a_good_record_is_accepted() -> None:
    assert oracle.judge(good()) == []


def without(record: Record, seq: int) -> Record:
    """The platform never got this one of the hub's events."""
    gone = (HUB, 1, seq)
    return replace(
        record,
        handed=[one for one in record.handed if one.identity != gone],
        received=[one for one in record.received if one.identity != gone],
    )


def printed(record: Record, **changes: int) -> Record:
    sums = {hub: dict(row) for hub, row in record.ledger.items()}
    sums[HUB].update(changes)
    return replace(record, ledger=sums)


def with_rows(record: Record, new: Rows) -> Record:
    """Tables and a ledger that agrees with them."""
    return replace(record, rows=new, ledger=oracle.sums(new))


SPOILED: dict[str, tuple[Callable[[Record], Record], set[str]]] = {
    "a heard press is at no platform": (
        lambda r: replace(r, presses=[*r.presses, Pressed(4.0, HUB, BUTTON, 4.1)]),
        {"heard press lost"},
    ),
    "a press counted twice": (lambda r: replace(r, presses=r.presses[1:]), {"press twice"}),
    "a press nobody made": (
        lambda r: replace(r, handed=[*r.handed, event(9, "call", device=2)]),
        {"press twice", "forgotten by the host"},
    ),
    "a motion made up": (lambda r: replace(r, motions={(HUB, PIR): 2}), {"motion twice"}),
    "handed out twice": (lambda r: replace(r, handed=[*r.handed, EVENTS[3]]), {"delivered twice"}),
    "an identity with other content": (
        lambda r: replace(r, received=[*r.received, replace(EVENTS[3], data={"device": 9})]),
        {"identity reused"},
    ),
    "an identity that became another kind": (
        lambda r: replace(r, received=[*r.received, replace(EVENTS[0], name="heartbeat")]),
        {"identity reused"},
    ),
    "an alarm without its first event": (
        lambda r: without(r, 1),
        {"first event of an alarm lost", "P1 lost", "heard press lost", "delivered to nobody"},
    ),
    "an alarm named by what opens none": (
        lambda r: with_rows(r, replace(r.rows, alarms=[(HUB, 1, 3)])),
        {"first event of an alarm lost"},
    ),
    "P1 on its way never arrives": (
        lambda r: replace(r, sent_p1=r.sent_p1 | {(HUB, 1, 7)}),
        {"P1 lost"},
    ),
    "P1 recorded as lost": (
        lambda r: replace(
            with_rows(r, replace(r.rows, losses=[(HUB, 1, 6, 7)])),
            sent_p1=r.sent_p1 | {(HUB, 1, 7)},
            lossy=frozenset({HUB}),
        ),
        {"P1 lost"},
    ),
    "delivered, and nobody has it": (lambda r: without(r, 3), {"delivered to nobody"}),
    "the journal forgot what it delivered": (
        lambda r: with_rows(r, rows(EVENTS[:5] + EVENTS[6:])),
        {"forgotten by the host", "not settled"},
    ),
    "something still queued": (
        lambda r: with_rows(r, replace(r.rows, events=[(*r.rows.events[0][:4], False), *r.rows.events[1:]])),
        {"not settled"},
    ),
    "something announced and never seen": (
        lambda r: with_rows(r, replace(r.rows, boots=[(HUB, 1, 8)])),
        {"not settled"},
    ),
    "lost without a cause": (
        lambda r: with_rows(r, replace(r.rows, losses=[(HUB, 1, 6, 7)])),
        {"lost without cause"},
    ),
    "a ledger that says less is stored": (lambda r: printed(r, stored=5), {"ledger differs"}),
    "a ledger that says more is announced": (lambda r: printed(r, announced=9), {"ledger differs"}),
    "a ledger without the hub": (lambda r: replace(r, ledger={}), {"ledger differs"}),
    "a ledger with a hub of its own": (
        lambda r: replace(r, ledger={**r.ledger, "zzzzzzzzzz": {"announced": 1}}),
        {"ledger differs"},
    ),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_record_is_refused_by_its_own_rule(how: str) -> None:
    spoil, expected = SPOILED[how]
    assert rules(spoil(good())) == expected


def test_what_is_allowed_is_not_held_against_the_run() -> None:
    unheard = replace(good(), presses=[*good().presses, Pressed(4.0, HUB, BUTTON, None)])
    assert not rules(unheard)
    thinned = with_rows(good(), replace(good().rows, losses=[(HUB, 1, 6, 7)]))
    assert not rules(replace(thinned, lossy=frozenset({HUB})))
    # A call that was never called heard went with the power of a hub whose flash was full.
    forgotten = replace(good(), sent_p1=good().sent_p1 | {(HUB, 1, 9)}, forgetful=frozenset({HUB}))
    assert not rules(forgotten)
    expired = replace(good().rows, events=good().rows.events[1:], expired=[(HUB, 1, 0, 0)])
    assert not rules(with_rows(good(), expired))


def test_the_count_of_our_own_agrees_with_the_ledger_on_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    db = sqlite3.connect(path)
    schema.migrate(db)
    insert = (
        "INSERT INTO events (hub, boot, seq, class, kind, plain, received_ms, link, delivered_ms) VALUES "
    )
    for boot, seq, delivered in ((1, 0, 1), (1, 1, None), (1, 4, 1), (2, 0, None), (3, 7, 1)):
        db.execute(insert + "(?, ?, ?, 1, 1, x'a0', 1, 'mqtt', ?)", (HUB, boot, seq, delivered))
    db.execute("INSERT INTO losses (hub, boot, first, last, reason) VALUES (?, 1, 2, 5, 1)", (HUB,))
    db.execute("INSERT INTO losses (hub, boot, first, last, reason) VALUES (?, 1, 3, 6, 1)", (HUB,))
    db.execute("INSERT INTO boots (hub, boot, claimed) VALUES (?, 2, 3), (?, 4, 2)", (HUB, HUB))
    db.execute("INSERT INTO expired VALUES (?, 3, 2, 4)", (HUB,))
    db.commit()
    db.close()
    counted = oracle.sums(oracle.read_rows(path))
    assert counted == ledger.recompute(path)
    assert counted[HUB] == {
        "announced": 20, "stored": 8, "lost": 4, "awaited": 8, "delivered": 6, "queued": 2,
    }  # fmt: skip


def test_arrivals_are_read_from_cloudevents_and_bad_ones_are_refused() -> None:
    cloudevent = {
        "type": "org.kanhu.call.unanswered.v1",
        "source": oracle.HUBS + HUB,
        "id": "12-34",
        "kanhuclass": "p1",
        "data": {"attempt": 1},
    }
    found = Arrival.of(1.0, cloudevent)
    assert (found.name, found.identity) == ("call.unanswered", (HUB, 12, 34))
    with pytest.raises(ValueError, match="invalid literal"):
        Arrival.of(1.0, {**cloudevent, "id": "12"})
    with pytest.raises(KeyError):
        Arrival.of(1.0, {"id": "1-1"})


STARTED = [(0.0, "kanhu: hub h boot 1, 0 alarms open"), (0.1, "kanhu: lamp well")]
FOREVER = float("inf")
Lines = list[tuple[float, str]]


def heard(
    lines: Lines, noticed: float | None = None, dark: tuple[Spell, ...] = (), full: tuple[Spell, ...] = ()
) -> bool:
    """Whether a press at 5.0 counts as heard."""
    return told([Made(5.0, 1, noticed)], [*STARTED, *lines], dark, full, HUB)[0].heard_s is not None


def test_a_press_is_heard_when_the_lamp_says_so_before_the_power_goes() -> None:
    cut = (Spell(5.1, 6.0),)
    for name in ("heard", "stored", "delivered"):
        assert heard([(5.05, f"kanhu: lamp {name}")], dark=cut)
    assert not heard([], dark=cut)
    assert not heard([(7.0, "kanhu: lamp heard")], dark=cut)


def test_a_press_that_flash_did_not_take_is_not_heard() -> None:
    full = (Spell(4.0, FOREVER),)
    assert not heard([(5.05, "kanhu: lamp not_saved")], 5.2, full=full)
    assert heard([(5.05, "kanhu: lamp heard")], 5.2, full=full)


def test_a_press_of_a_hub_that_is_off_or_starting_is_not_heard() -> None:
    assert not told([Made(-1.0, 1, 0.5)], STARTED, (), (), HUB)[0].heard_s
    off = (Spell(4.0, 4.1),)
    assert not heard([], 5.2, dark=off)
    assert not heard([(4.05, "kanhu: lamp well")], 5.2, dark=off)  # the last words of the run before
    assert heard([(4.5, "kanhu: lamp cannot_tell")], 5.2, dark=off)
    assert not heard([(4.0, "ets sim: rst by watchdog"), (6.0, "kanhu: lamp heard")], 5.2)


def test_a_hub_that_ran_on_has_to_hear_every_press() -> None:
    assert heard([], 5.2)  # its lamp stayed at rest: nothing excuses it
    assert not heard([], None)


def test_a_further_press_counts_when_the_hub_noticed_it_with_room_on_its_flash() -> None:
    first = [(4.0, "kanhu: lamp heard")]
    assert heard(first, 5.2)
    assert not heard(first, None)
    assert not heard(first, 5.2, full=(Spell(4.5, FOREVER),))
    assert not heard(first, 5.2, full=(Spell(5.1, FOREVER),))
    assert heard(first, 5.2, full=(Spell(5.3, FOREVER),))


def test_a_press_that_spans_a_power_cut_may_be_reported_before_and_after() -> None:
    lines = [*STARTED, (5.05, "kanhu: lamp heard")]
    spanning = told([Made(5.0, 1, None)], lines, (Spell(5.1, 5.2),), (), HUB)
    assert [one.heard_s for one in spanning] == [5.05, None]


def test_a_showing_after_two_presses_may_be_of_either() -> None:
    lines = [*STARTED, (5.05, "kanhu: lamp heard")]
    cut = told([Made(5.0, 1, None), Made(5.02, 2, None)], lines, (Spell(5.1, 6.0),), (), HUB)
    assert all(one.heard_s is None for one in cut)
    calm = told([Made(5.0, 1, 5.3), Made(5.02, 2, 5.4)], lines, (), (), HUB)
    assert [one.heard_s for one in calm] == [5.3, 5.4]
