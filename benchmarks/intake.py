"""Events per second through intake alone: open, check, dedupe, SQLite with fsync, and only then the receipt.

Usage: python benchmarks/intake.py [--events 60000] [--per-payload 1] [--dir DIR]"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import tempfile
import time
from functools import partial
from pathlib import Path

from kanhu.aead import AesCcm
from kanhu.care import Alarms
from kanhu.counters import Counters
from kanhu.intake import Intake
from kanhu.journal import Journal
from kanhu.journal.commands import Commands
from kanhu_protocol import events, seal
from kanhu_protocol import kinds as k

HUBS = 20
UTC_MS = 1_760_000_000_000
WINDOW = 400  # payloads handed in and not yet answered, of all hubs: 20 a hub


class Keys:
    """The registry's part in it."""

    version = 1

    def __init__(self) -> None:
        self.by_hub = {f"h{number:09d}": {1: bytes([number + 1]) * 16} for number in range(HUBS)}

    def keys(self, hub_id: str) -> dict[int, bytes]:
        return self.by_hub.get(hub_id, {})

    def remembers(self, hub_id: str) -> bool:
        return hub_id in self.by_hub


def payloads(keys: Keys, count: int, per_payload: int) -> list[tuple[str, bytes]]:
    """Payloads of motion events, hub after hub, each hub's in order."""
    out: list[tuple[str, bytes]] = []
    aeads = {hub: AesCcm(key[1]) for hub, key in keys.by_hub.items()}
    seqs = dict.fromkeys(aeads, 0)
    while len(out) * per_payload < count:
        for hub, aead in aeads.items():
            items = []
            for _ in range(per_payload):
                seq = seqs[hub]
                fields = {
                    k.DEVICE: 3,
                    k.BATTERY: 90,
                    k.RSSI: -70,
                    k.UTC_MS: 1_760_000_000_000 + seq,
                    k.CLOCK: 1,
                }
                plain = events.encode(k.MOTION, 777_600_000 + seq, fields)
                items.append(seal.seal(aead, 1, hub, seal.UP, 1200, seq, 0, plain))
                seqs[hub] = seq + 1
            out.append((hub, b"".join(items)))
    return out


async def run(data_dir: Path, count: int, per_payload: int, profile: bool) -> None:
    keys = Keys()
    work = payloads(keys, count, per_payload)
    journal = Journal.open(data_dir)
    counters = Counters()
    commands = Commands(journal)
    intake = Intake(journal, keys, Alarms(journal, commands), commands, counters)
    window = asyncio.Semaphore(WINDOW)
    answered = 0
    delays: list[float] = []
    done = asyncio.Event()

    def answer(since: float, _: object) -> None:
        nonlocal answered
        window.release()
        delays.append(time.perf_counter() - since)
        answered += 1
        if answered == len(work):
            done.set()

    profiler = cProfile.Profile()
    began, cpu = time.perf_counter(), time.process_time()
    gc.collect()
    gc.freeze()  # the prepared payloads are no garbage of the daemon's
    if profile:
        profiler.enable()
    for hub, payload in work:
        await window.acquire()
        intake.submit(hub, payload, "bench").add_done_callback(partial(answer, time.perf_counter()))
    await done.wait()
    profiler.disable()
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    total = len(work) * per_payload
    assert journal.ledger().stored == total, journal.ledger()
    delays.sort()
    print(
        f"{total / wall:,.0f} events/s, {cpu / total * 1e6:.1f} us CPU an event, {journal.commits} commits "
        f"({total / journal.commits:.0f} events each), answered p50 {delays[len(delays) // 2] * 1e3:.1f} ms, "
        f"p99 {delays[len(delays) * 99 // 100] * 1e3:.1f} ms, {per_payload} a payload"
    )
    began = time.perf_counter()
    await journal.close()
    closed = time.perf_counter() - began
    began = time.perf_counter()
    journal = Journal.open(data_dir)
    print(f"close {closed * 1e3:.0f} ms, open again {(time.perf_counter() - began) * 1e3:.0f} ms")
    assert journal.ledger().stored == total
    await journal.close()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--per-payload", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="where the journal goes; default a temporary folder")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        asyncio.run(run(Path(folder), args.events, args.per_payload, args.profile))


if __name__ == "__main__":
    main()
