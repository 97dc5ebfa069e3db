"""The spine under load: from hubs' publish to the city's acknowledgement, beside mosquitto bridges, beside
another revision of itself (--against REV), or beside itself on a slow disk (--fsync-delay-ms MS).

python benchmarks/spine.py [--quick] [--rounds N] [--json]; see docs/benchmarks.md"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spine_relays import Relay, bridge, broker, cpu_s, daemon
from spine_report import summarize, table, versions
from spine_variants import ledger, make_registry, program, revision, slow_disk
from spine_wire import BOOT, CALL_EVERY, HUBS, WINDOW, Board, pack

from kanhu.aead import AesCcm
from kanhu_protocol import events, seal
from kanhu_protocol import kinds as k

HERE = Path(__file__).parent
UP_MS = 777_600_000  # nine days
BRIDGE, SAVING = "bridge", "bridge saving"
NOT_SLOWER = 0.9  # of the other revision's events/s
SLOW_DISK = 0.7  # of the events/s without the delay
RESTART_S = 30.0  # a Python process starts slowly on a busy machine; what it holds is not lost meanwhile
CITY_WINDOW = 1000  # platform.window of the daemon's configuration; the default is for one street


@dataclass(frozen=True)
class Sizes:
    """Events of each phase of one turn; rate of the steady phases in events/s."""

    warm: int
    idle: int
    paced: int
    full: int
    killed: int
    rate: int

    @property
    def total(self) -> int:
        return HUBS + self.warm + self.idle + self.paced + self.full + 2 * self.killed


SAVING_SHARE = (
    5  # the bridge that saves every change gets one event in so many, or it would take all the time
)
FULL = Sizes(warm=2000, idle=300, paced=2000, full=30_000, killed=2000, rate=1000)
QUICK = Sizes(warm=1000, idle=100, paced=1000, full=10_000, killed=1000, rate=1000)
TINY = Sizes(warm=50, idle=10, paced=100, full=600, killed=200, rate=500)


@dataclass(frozen=True)
class Plan:
    """Which relays take turns, what each daemon's environment adds, and to which one ratios are taken."""

    systems: tuple[str, ...]
    environments: dict[str, dict[str, str]]  # of the daemons; the other systems are bridges
    reference: str
    wanted: float | None = None  # least ratio of the system that is on trial
    trial: str = "kanhu"
    delay_ms: float = 0.0


def plan(room: Path, against: str | None, delay_ms: float) -> Plan:
    """Two daemons side by side, or one beside the bridges."""
    if against is not None:
        other = f"kanhu at {against[:10]}"
        environments = {"kanhu": {}, other: revision(against, room / "other")}
        return Plan(("kanhu", other), environments, other, NOT_SLOWER)
    if delay_ms:
        slow = f"fsync + {delay_ms:g} ms"
        environments = {"kanhu": {}, slow: slow_disk(delay_ms, room)}
        return Plan(("kanhu", slow), environments, "kanhu", SLOW_DISK, slow, delay_ms)
    return Plan(("kanhu", BRIDGE, SAVING), {"kanhu": {}}, BRIDGE)


def prepare(folder: Path, sizes: Sizes, env: dict[str, str]) -> int:
    """Registry, hubs and sealed events as files; returns where in a sealed event its seq stands."""
    make_registry(folder, HUBS, env)
    hubs = [(hub, bytes.fromhex(key)) for hub, key in json.loads((folder / "hubs.json").read_text())]
    aeads = [AesCcm(key) for _, key in hubs]
    now = int(time.time() * 1000)
    calls = range(HUBS + sizes.warm, HUBS + sizes.warm + sizes.idle)
    packed = []
    for n in range(sizes.total):
        common = {k.UTC_MS: now + n // 10, k.CLOCK: 1}  # true clocks: in step with UP_MS
        if n < HUBS:
            kind, fields = k.BOOT, {k.RESET: 1, k.FIRMWARE: "0.1.0", k.VERSIONS: [1, 0], **common}
        else:
            kind = k.CALL if n in calls or n % CALL_EVERY == 0 else k.MOTION
            fields = {k.DEVICE: 3, k.FLAGS: k.UNVERIFIED, k.BATTERY: 90, k.RSSI: -70, **common}
        plain = events.encode(kind, UP_MS + n // 10, fields)
        hub = n % HUBS
        data = seal.seal(aeads[hub], 1, hubs[hub][0], seal.UP, BOOT, n // HUBS, 0, plain)
        packed.append(bytes((k.class_of(kind),)) + data)
    pack(folder / "events", packed)
    nonce = BOOT.to_bytes(2, "big") + (sizes.total // HUBS - 1).to_bytes(4, "big") + bytes(4)
    return packed[(sizes.total // HUBS - 1) * HUBS].index(nonce) - 1 + 2


class Turn:
    """One system carries one set of events, with brokers and processes of its own."""

    def __init__(
        self, system: str, env: dict[str, str] | None, folder: Path, common: Path, sizes: Sizes, seq_at: int
    ) -> None:
        self.system, self.sizes, self.env = system, sizes, env or {}
        self.folder = folder
        folder.mkdir()
        self.hubs, self.city = broker(folder / "hubs"), broker(folder / "city")
        ports = self.hubs.port, self.city.port
        self.relay: Relay
        if env is not None:
            self.relay = daemon(folder / "relay", *ports, common / "registry.db", CITY_WINDOW, program(env))
        else:
            self.relay = bridge(folder / "relay", *ports, saving=system == SAVING)
        self.board = Board(folder / "board", sizes.total, create=True)
        self.common, self.seq_at = common, seq_at
        self.mode = "bridge" if env is None else "kanhu"
        self.children: list[subprocess.Popen[str]] = []
        self.next = 0

    def _child(self, script: str, *args: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(HERE / script), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready", script
        return child

    def __enter__(self) -> Turn:
        try:
            self.hubs.start()
            self.city.start()
            self.relay.start()
            names = ",".join(hub for hub, _ in json.loads((self.common / "hubs.json").read_text()))
            board, total = self.folder / "board", self.sizes.total
            self.sink = self._child(
                "spine_sink.py", self.city.port, board, total, names, self.mode, self.seq_at
            )
            self.source = self._child(
                "spine_source.py", self.hubs.port, board,
                self.common / "events", self.common / "hubs.json", self.mode,
            )  # fmt: skip
            time.sleep(0.5)  # bridges connect and subscribe
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        self.relay.stop()
        self.hubs.stop()
        self.city.stop()

    def begin(self, name: str, count: int, **more: Any) -> range:
        """Tell the source to publish the next events."""
        span = range(self.next, self.next + count)
        self.next = span.stop
        wanted = self.board.counters[Board.ACKNOWLEDGED] + count
        phase = {"name": name, "first": span.start, "last": span.stop, "wanted": wanted, **more}
        assert self.source.stdin is not None
        self.source.stdin.write(json.dumps(phase) + "\n")
        self.source.stdin.flush()
        return span

    def end(self) -> dict[str, Any]:
        """Wait for the phase; the source's report."""
        assert self.source.stdout is not None
        line = self.source.stdout.readline()
        if not line:
            raise SystemExit(f"the load ended early with {self.system}")
        report: dict[str, Any] = json.loads(line)
        return report

    def latency(self, span: range, calls: bool | None = None, until: str = "arrived") -> dict[str, float]:
        """p50 and p99 in ms from publish to arrival (or acknowledgement); of calls, of others, or of all."""
        board, first = self.board, HUBS + self.sizes.warm
        times = getattr(board, until)
        idle = range(first, first + self.sizes.idle)
        took = sorted(
            times[n] - board.published[n]
            for n in span
            if times[n] and (calls is None or calls == (n in idle or n % CALL_EVERY == 0))
        )
        if not took:
            return {}
        return {
            "p50_ms": round(took[len(took) // 2] * 1e3, 2),
            "p99_ms": round(took[min(len(took) - 1, len(took) * 99 // 100)] * 1e3, 2),
            "n": len(took),
        }

    def lost(self, span: range) -> int:
        """How many of these never arrived."""
        return sum(1 for n in span if not self.board.arrived[n])

    def check_ledger(self) -> None:
        """The daemon's own books, recomputed from its disk: all delivered, nothing lost."""
        hubs = json.loads((self.common / "hubs.json").read_text())

        def books() -> list[dict[str, int]]:
            found = ledger(self.folder / "relay" / "data" / "journal.db", self.env)
            return [found[hub] for hub, _ in hubs]

        for _ in range(20):  # the last acknowledgements may still be on their way to the daemon
            if not any(one["queued"] for one in books()):
                break
            time.sleep(0.25)
        self.relay.stop()
        sums = books()
        assert sum(one["delivered"] for one in sums) == self.next, sums
        assert not any(one["lost"] or one["awaited"] or one["queued"] for one in sums), sums

    def steady(self) -> dict[str, Any]:
        """The phases in which nothing is broken."""
        sizes, board = self.sizes, self.board
        self.begin("full", HUBS + sizes.warm)
        self.end()
        result: dict[str, Any] = {}
        span = self.begin("idle", sizes.idle)
        self.end()
        result["idle"] = self.latency(span)
        result["idle_acknowledged"] = self.latency(span, until="acknowledged")
        span = self.begin("paced", sizes.paced, rate=sizes.rate)
        self.end()
        result["paced"] = self.latency(span)
        processes = {
            "source": self.source.pid, "hubs' broker": self.hubs.pid, "relay": self.relay.pid,
            "city's broker": self.city.pid, "sink": self.sink.pid,
        }  # fmt: skip
        before = {name: cpu_s(pid) for name, pid in processes.items()}
        count = sizes.full // (SAVING_SHARE if self.system == SAVING else 1)
        span = self.begin("full", count)
        began = self.end()["began"]
        wall = max(board.acknowledged[n] for n in span) - began
        result["events_per_s"] = round((count - self.lost(span)) / wall)
        result["loaded"] = self.latency(span, calls=False)
        result["loaded_calls"] = self.latency(span, calls=True)
        result["cpu_percent"] = {
            name: round(100 * (cpu_s(pid) - before[name]) / wall) for name, pid in processes.items()
        }
        result["relay_cpu_us"] = round(1e6 * (cpu_s(processes["relay"]) - before["relay"]) / count, 1)
        result["lost"] = self.lost(range(self.next))
        return result

    def killed(self) -> dict[str, Any]:
        """kill -9 of the relay half-way: once in the flow, once holding events the city has not got."""
        sizes, result = self.sizes, {}
        half = sizes.killed / sizes.rate / 2
        for name, silent in (("flow", False), ("backlog", True)):
            more = {"stalled_s": RESTART_S} if self.mode == "kanhu" else {}
            span = self.begin("paced", sizes.killed, rate=sizes.rate, **more)
            time.sleep(half / 2)
            if silent:
                self.city.signal(signal.SIGSTOP)
            time.sleep(half / 2)
            self.relay.kill()
            time.sleep(0.2)
            if silent:
                self.city.signal(signal.SIGCONT)
            self.relay.start()
            report = self.end()
            result[name] = {
                "published": len(span), "lost": self.lost(span), "said_again": report["said_again"],
            }  # fmt: skip
        result["duplicates"] = self.board.counters[Board.DUPLICATES]
        return result


def run(sizes: Sizes, rounds: int, kills: int, chosen: Callable[[Path], Plan], say: bool) -> dict[str, Any]:
    """All rounds, A B C, C B A, ...; in the last kills of them each relay is killed."""
    with tempfile.TemporaryDirectory(prefix="kanhu-spine") as folder:
        room = Path(folder)
        course = chosen(room)
        turns: dict[str, list[dict[str, Any]]] = {system: [] for system in course.systems}
        common = room / "common"
        common.mkdir(mode=0o700)
        seq_at = prepare(common, sizes, course.environments.get(course.reference, {}))
        for number in range(rounds):
            for system in course.systems[:: -1 if number % 2 else 1]:
                env = course.environments.get(system)
                place = room / f"{number}-{course.systems.index(system)}"
                with Turn(system, env, place, common, sizes, seq_at) as turn:
                    result = turn.steady()
                    if number >= rounds - kills:
                        result["killed"] = turn.killed()
                    if env is not None:
                        turn.check_ledger()
                turns[system].append(result)
                if say:
                    print(
                        f"round {number + 1} {system}: {result['events_per_s']:,} events/s, idle p50 "
                        f"{result['idle'].get('p50_ms')} ms, lost {result['lost']}",
                        file=sys.stderr,
                    )
    systems = summarize(turns, course.reference)
    if course.delay_ms:
        # A call alone is told to the city after its commit: the delay must show, or it never took effect.
        added = systems[course.trial]["idle"]["p50_ms"] - systems[course.reference]["idle"]["p50_ms"]
        assert added > 0.8 * course.delay_ms, f"the delay did not reach the daemon: {added:.1f} ms"
    return {
        "versions": versions(),
        "sizes": vars(sizes),
        "hubs": HUBS,
        "window": WINDOW,
        "rounds": rounds,
        "reference": course.reference,
        "trial": course.trial,
        "wanted": course.wanted,
        "systems": systems,
        "turns": turns,
    }


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds, under a minute")
    parser.add_argument("--tiny", action="store_true", help="one round of a few hundred events: does it run?")
    parser.add_argument("--rounds", type=int)
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--against", metavar="REV", help="beside the daemon of this git revision")
    group.add_argument(
        "--fsync-delay-ms", metavar="MS", type=float, default=0.0, help="beside itself so slowed"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    args = parser.parse_args()
    if args.rounds is not None and args.rounds < 1:
        parser.error("--rounds must be at least 1")
    sizes, rounds, kills = (TINY, 1, 1) if args.tiny else (QUICK, 2, 1) if args.quick else (FULL, 5, 2)
    if args.fsync_delay_ms < 0:
        parser.error("--fsync-delay-ms must not be below 0")
    if args.against is not None or args.fsync_delay_ms:
        kills = 0
    chosen = partial(plan, against=args.against, delay_ms=args.fsync_delay_ms)
    result = run(sizes, args.rounds or rounds, kills, chosen, say=not args.json)
    print(json.dumps(result) if args.json else table(result))


if __name__ == "__main__":
    main()
