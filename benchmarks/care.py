"""What it costs to watch over homes in which nothing happens, beside looking at every rule of every home once
a minute; and how long a start reads the past of homes back.

Usage: python benchmarks/care.py [--homes 20000] [--minutes 20] [--recalled 200] [--json]"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from kanhu.care import Alarms
from kanhu.care.modes import Modes
from kanhu.care.rules import RULES
from kanhu.care.watch import TICK_S, Watch
from kanhu.care.watched import fill
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

NOON_MS = 1_789_963_200_000  # 2026-09-21 12:00 in Shanghai
MINUTE = 60_000
HEARTBEAT_MS = 300_000
LIMIT_S = 1080.0
MOVES_A_DAY = (
    160  # events of movement of both sensors of one home, as a hub sends them (firmware, movement.py)
)
DAYS = 3
ON = ("inactivity", "overstay", "no_return", "door_open", "rhythm", "blind_spots")
BEAT: dict[int, Any] = {
    k.RESET: 1, k.HEAP: [90_000, 60_000], k.LINK: 1, k.OUTBOX: [0, 0], k.DROPS: [0] * 5, k.RADIO: [100, 0],
    k.FIRMWARE: "0.1.0", k.POWER: [True, None], k.VERSIONS: [1, 0], k.REFUSED: [0, 0, 0],
}  # fmt: skip


def a_registry(folder: Path, homes: int) -> Registry:
    """Homes with one hub, two wired PIRs and a door each; written at once."""
    Registry.open(folder).close()
    db = sqlite3.connect(folder / "registry.db")
    settings = json.dumps(
        {
            "buttons": [[1, 4, None]],
            "pirs": [[2, 13], [3, 14]],
            "places": {"2": ["kitchen", ""], "3": ["bathroom", ""]},
        }
    )
    for number in range(homes):
        name = f"h{number:09d}"
        db.execute("INSERT INTO homes VALUES (?,'cn/42',?,'','','[]')", (name, "Asia/Shanghai"))
        db.execute(
            "INSERT INTO hubs (id, home, settings, created_ms) VALUES (?,?,?,?)",
            (name, name, settings, NOON_MS),
        )
        db.execute("INSERT INTO keys VALUES (?,1,?,?)", (name, bytes(16), NOON_MS))
        db.execute(
            "INSERT INTO sensors (hub, device, role, address, name, room, supervision_s, added_ms) "
            "VALUES (?,4,3,?,'','hall',3600,?)",
            (name, b"\xa4\xc1\x38" + number.to_bytes(3, "big"), NOON_MS),
        )
    for rule in ON:
        db.execute("INSERT INTO rules VALUES ('',?,'{}',?,'benchmark')", (rule, NOON_MS))
    db.commit()
    db.close()
    return Registry.open(folder)


class Clock:
    """Host UTC in ms."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def an_event(hub: str, seq: int, kind: int, at_ms: int, fields: dict[int, Any]) -> Event:
    """As intake hands it on."""
    said = {k.KIND: kind, k.UP_MS: at_ms - NOON_MS + DAYS * 86_400_000, k.UTC_MS: at_ms, k.CLOCK: 1, **fields}
    return Event(hub, 1, seq, k.class_of(kind), kind, b"", b"", said, at_ms, "benchmark", seq)


def a_past(rng: random.Random, hub: str, until_ms: int, days: float) -> list[Event]:
    """Heartbeats, and somebody who walks between kitchen and bathroom by day; ends a minute ago."""
    moments: list[tuple[int, int, dict[int, Any]]] = []
    from_ms = until_ms - int(days * 86_400_000)
    beat_ms = from_ms + rng.randrange(HEARTBEAT_MS)
    while beat_ms < until_ms:
        moments.append((beat_ms, k.HEARTBEAT, BEAT))
        beat_ms += HEARTBEAT_MS
    for _ in range(int(days * MOVES_A_DAY)):
        at_ms = rng.randrange(from_ms, until_ms)
        if (at_ms // 3_600_000 + 8) % 24 >= 6:
            moments.append((at_ms, k.MOTION, {k.DEVICE: rng.choice((2, 3))}))
    moments += [(until_ms - 60_000, k.MOTION, {k.DEVICE: device}) for device in (2, 3)]
    moments.append((until_ms - 50_000, k.DOOR_CLOSED, {k.DEVICE: 4}))
    moments.sort(key=lambda one: one[0])
    return [an_event(hub, seq, kind, at_ms, fields) for seq, (at_ms, kind, fields) in enumerate(moments)]


async def idle(folder: Path, homes: int, minutes: int) -> dict[str, float]:
    """CPU s for each s of virtual time: of the watch, and of looking at everything once a minute."""
    clock, rng = Clock(NOON_MS), random.Random(1)
    registry = a_registry(folder, homes)
    journal = Journal.open(folder, clock)
    alarms = Alarms(journal, Commands(journal))
    watch = Watch(journal, registry, alarms, Modes(journal), LIMIT_S, 600_000, RULES)
    hubs = [hub.id for hub in registry.hubs()]
    for hub in hubs:
        fill(watch._hubs[hub], a_past(rng, hub, NOON_MS, 0.1), watch._enter)
    beats = {hub: rng.randrange(HEARTBEAT_MS) for hub in hubs}
    by_tick: dict[int, list[str]] = {}
    for hub, offset in beats.items():
        by_tick.setdefault(offset // int(TICK_S * 1000), []).append(hub)
    ticks = int(HEARTBEAT_MS / 1000 / TICK_S)
    for _ in range(3):
        await watch.look()
    before, spent = watch.evaluated, time.process_time()
    for tick in range(int(minutes * 60 / TICK_S)):
        clock.now_ms += int(TICK_S * 1000)
        for hub in by_tick.get(tick % ticks, ()):
            watch.take(an_event(hub, 10_000 + tick, k.HEARTBEAT, clock.now_ms, BEAT))
        await watch.look()
    share = (time.process_time() - spent) / (minutes * 60)
    looks = (watch.evaluated - before) / (minutes * 60)
    spent = time.process_time()
    for hub in hubs[:2000]:
        one = watch._hubs[hub]
        for rule, settings in one.rules:
            rule.evaluate(one.past.past, settings, clock.now_ms)
    naive = (time.process_time() - spent) / min(len(hubs), 2000) * homes / 60
    await journal.close()
    registry.close()
    return {
        "share_of_a_core": share,
        "looks_per_s": looks,
        "every_minute_share": naive,
        "ratio": naive / share,
    }


async def recall(folder: Path, homes: int) -> dict[str, float]:
    """CPU to read three days of so many homes back from the journal."""
    clock, rng = Clock(NOON_MS), random.Random(2)
    registry = a_registry(folder, homes)
    Journal.open(folder, clock)._lock.close()
    db = sqlite3.connect(folder / "journal.db")
    events = 0
    for hub in registry.hubs():
        rows = [
            (hub.id, 1, one.seq, one.cls, one.kind, cbor.dumps(one.fields), one.received_ms)
            for one in a_past(rng, hub.id, NOON_MS, DAYS)
        ]
        events += len(rows)
        db.executemany(
            "INSERT INTO events (hub, boot, seq, class, kind, sealed, plain, received_ms, link) "
            "VALUES (?,?,?,?,?,x'00',?,?,'benchmark')",
            rows,
        )
    db.commit()
    db.close()
    journal = Journal.open(folder, clock)
    alarms = Alarms(journal, Commands(journal))
    watch = Watch(journal, registry, alarms, Modes(journal), LIMIT_S, 600_000, RULES)
    begun = time.process_time()
    await watch.recall()
    took = time.process_time() - begun
    await journal.close()
    registry.close()
    return {"homes": homes, "events": events, "cpu_ms_per_home": took / homes * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--homes", type=int, default=20_000)
    parser.add_argument("--minutes", type=int, default=20)
    parser.add_argument("--recalled", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {"homes": given.homes, **asyncio.run(idle(Path(folder), given.homes, given.minutes))}
    with tempfile.TemporaryDirectory() as folder:
        back = asyncio.run(recall(Path(folder), given.recalled))
    if given.json:
        print(json.dumps({"idle": found, "recall": back}))
        return
    print(
        f"idle, {given.homes} homes, {len(ON)} rules each: {found['share_of_a_core']:.1%} of a core, "
        f"{found['looks_per_s']:.0f} looks/s"
    )
    print(
        f"every rule of every home once a minute: {found['every_minute_share']:.1%} of a core, "
        f"{found['ratio']:.1f} times as much"
    )
    each = back["events"] / back["homes"]
    print(f"read back at a start: {back['cpu_ms_per_home']:.1f} ms of CPU a home ({each:.0f} events)")


if __name__ == "__main__":
    main()
