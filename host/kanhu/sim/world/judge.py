"""What must hold in a world once every fault is lifted: the shared oracle, and what only the bench's own list
of what each hub did can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kanhu.ledger import recompute
from kanhu.sim.faults import oracle
from kanhu.sim.faults.oracle import Identity, Pressed, Violation
from kanhu.sim.world.house import BUTTONS
from kanhu.sim.world.world import Home, Recorded, World
from kanhu_protocol import kinds as k

AWAKE_S = 3.0  # a button is watched this long after power-on, and a press is taken this long after it


def violations(world: World) -> list[Violation]:
    """Every broken promise; empty when all held."""
    rows = oracle.read_rows(world.host.data_dir / "journal.db")
    ledger: dict[str, dict[str, int]] = {}
    for hub, found_sums in recompute(world.host.data_dir / "journal.db").items():
        ledger[hub] = {name: found_sums[name] for name in oracle.SUMS}  # type: ignore[literal-required]
    record = oracle.Record(
        presses=[one for home in world.homes for one in _presses(home)],
        received=world.platform.received,
        handed=list(world.platform.handed.values()),
        rows=rows,
        ledger=ledger,
        motions={(home.hub.hub_id, len(BUTTONS) + 1): home.motions for home in world.homes},
        sent_p1=frozenset(
            one.identity
            for home in world.homes
            for one in home.recorded
            if k.class_of(one.kind) == 1 and _must_arrive(home, one)
        ),
        lossy=frozenset(_lossy(world)),
        forgetful=frozenset(
            home.hub.hub_id for home in world.homes if home.flash_faults and home.losses_of_power
        ),
    )
    lost = {(hub, boot, seq) for hub, boot, first, last in rows.losses for seq in range(first, last + 1)}
    found = oracle.judge(record)
    for home in world.homes:
        found += [*_events(world, home, lost), *_contacts(home), *_lamp(world, home)]
        found += [Violation("a task of the hub failed", text) for text in home.crashes]
    for event in world.platform.handed.values():
        if event.name == "identity.fault":
            found.append(Violation("identity fault", str(event.data)))
    found += [Violation("the daemon failed", text) for text in world.host.failures]
    return found


def _lossy(world: World) -> Iterator[str]:
    """Who may have given identities to what was never kept: hubs without flash, a daemon without disk."""
    yield from (home.hub.hub_id for home in world.homes if home.flash_faults)
    if world.host.disk.was_full and world.host.daemon is not None:
        yield world.host.daemon.journal.daemon_id


def _presses(home: Home) -> list[Pressed]:
    """The bench's list: every contact, and of each device so many heard as flash has taken."""
    heard = Counter(one.device for one in home.taken if one.heard_s is not None)
    found = []
    for at_s, device in home.contacts:
        is_heard = heard[device] > 0
        heard[device] -= is_heard
        found.append(Pressed(at_s, home.hub.hub_id, device, at_s if is_heard else None))
    return found


def _must_arrive(home: Home, one: Recorded) -> bool:
    """In flash, or in a memory that kept its power."""
    return one.saved or not any(at_s >= one.at_s for at_s in home.losses_of_power)


def _events(world: World, home: Home, lost: set[Identity]) -> Iterator[Violation]:
    """Whatever a hub had in flash has arrived, or is known as lost, never so P1; no identity came twice."""
    got = world.platform.handed
    for identity, count in Counter(one.identity for one in home.recorded).items():
        if count > 1:
            yield Violation("identity given twice", f"{identity} {count} times")
    for one in home.recorded:
        if one.identity in got:
            continue
        urgent = k.class_of(one.kind) == 1
        if one.identity in lost and not urgent:
            continue
        if _must_arrive(home, one) and (one.saved or urgent):
            yield Violation("event lost", f"{one} was kept by the hub and is nowhere")


def _contacts(home: Home) -> Iterator[Violation]:
    """A press of a hub that has been and stays awake is taken."""
    taken = Counter(one.device for one in home.taken)
    disturbed: Counter[int] = Counter()
    made: Counter[int] = Counter()
    for at_s, device in home.contacts:
        made[device] += 1
        disturbed[device] += any(
            started - AWAKE_S <= at_s <= started + AWAKE_S
            for started in (*home.starts, *home.losses_of_power)
        )
    for device, count in made.items():
        if taken[device] < count - disturbed[device]:
            yield Violation(
                "press not noticed",
                f"device {device}: {count} pressed, {disturbed[device]} about a loss of power, "
                f"{taken[device]} taken",
            )
        if taken[device] > count:
            yield Violation("press made up", f"device {device}: {count} pressed, {taken[device]} taken")


def _lamp(world: World, home: Home) -> Iterator[Violation]:
    """The lamp never says "delivered" before the platform has said that it has the call."""
    for at_s, name in home.lamps:
        if name != "delivered":
            continue
        first = [
            one for one in home.recorded if one.kind == k.CALL and one.alarm is None and one.at_s <= at_s
        ]
        when = world.platform.acknowledged.get(first[-1].identity) if first else None
        if when is None or when > at_s:
            yield Violation("delivered too early", f"the lamp at {at_s:.3f}, the platform at {when}")
