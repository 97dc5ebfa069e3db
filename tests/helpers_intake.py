"""A hub as the host sees one: it seals events of its boots, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from kanhu.aead import AesCcm
from kanhu.care import Alarms
from kanhu.counters import Counters
from kanhu.intake import Intake
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu_protocol import events, seal
from kanhu_protocol import kinds as k

NOW_MS = 1_790_000_000_000  # 2026-09-21
HUB, OTHER = "7m3k0xq2fz", "2b8dr5w9tn"


class Clock:
    """Host UTC in ms that a test sets."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class HubVoice:
    """Seals events of one hub; seq rises by itself in each boot."""

    def __init__(self, hub_id: str = HUB, key: bytes = bytes(range(16)), generation: int = 1) -> None:
        self.hub_id = hub_id
        self.key = key
        self.generation = generation
        self.boot = 1
        self.seq = 0

    def sealed(self, plain: bytes, boot: int, seq: int) -> bytes:
        """Any plaintext under any identity."""
        return seal.seal(AesCcm(self.key), self.generation, self.hub_id, seal.UP, boot, seq, 0, plain)

    def say(self, kind: int, fields: dict[int, Any] | None = None, up_ms: int | None = None) -> bytes:
        """The next event of the current boot."""
        boot, seq = self.boot, self.seq
        self.seq += 1
        return self.sealed(
            events.encode(kind, 1000 * seq if up_ms is None else up_ms, fields or {}), boot, seq
        )

    def start(self, boot: int, previous: tuple[int, int] | None = None) -> bytes:
        """The boot event of another boot."""
        self.boot, self.seq = boot, 0
        fields: dict[int, Any] = {k.RESET: 1, k.FIRMWARE: "0.1.0", k.VERSIONS: [1, 0]}
        if previous is not None:
            fields[k.PREVIOUS] = list(previous)
        return self.say(k.BOOT, fields)


class FixedKeys:
    """The registry's part in intake."""

    def __init__(self, *hubs: HubVoice) -> None:
        self.version = 1
        self.by_hub = {hub.hub_id: {hub.generation: hub.key} for hub in hubs}

    def keys(self, hub_id: str) -> dict[int, bytes]:
        return self.by_hub.get(hub_id, {})

    def remembers(self, hub_id: str) -> bool:
        return hub_id in self.by_hub


class Host:
    """Journal, alarms, commands and intake over one data_dir, as the daemon puts them together."""

    def __init__(self, data_dir: Path, *hubs: HubVoice, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.journal = Journal.open(data_dir, self.clock)
        self.commands = Commands(self.journal)
        self.alarms = Alarms(self.journal, self.commands)
        self.counters = Counters()
        self.keys = FixedKeys(*hubs)
        self.intake = Intake(self.journal, self.keys, self.alarms, self.commands, self.counters)
        self.stored: list[Event] = []
        self.journal.on_stored.append(self.stored.extend)

    def own(self, kind: int) -> list[Event]:
        """What the daemon itself has said of a kind."""
        return [e for e in self.stored if e.hub == self.journal.daemon_id and e.kind == kind]

    async def close(self) -> None:
        await self.journal.close()


class NoTables:
    """A registry that knows no hub."""

    def refresh(self) -> bool:
        return False

    def knows(self, hub_id: str) -> bool:
        return False

    def zone_s(self, hub_id: str) -> int | None:
        return None

    def device_table(self, hub_id: str) -> tuple[int, list[list[Any]]]:
        raise AssertionError("there is none")


T = TypeVar("T")


@asynccontextmanager
async def restarting(
    open_: Callable[..., Awaitable[T]], close: Callable[[T], Awaitable[None]]
) -> AsyncIterator[Callable[..., Awaitable[T]]]:
    """start() opens one; called again, it closes the one before first: a restart."""
    running: list[T] = []

    async def start(*given: Any, **more: Any) -> T:
        while running:
            await close(running.pop())
        running.append(await open_(*given, **more))
        return running[0]

    yield start
    for one in running:
        await close(one)
