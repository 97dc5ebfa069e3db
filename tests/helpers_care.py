"""A host's care on a clock that the test sets: journal, registry, alarms, modes and the watch, put together
as the daemon does, and hubs that say what a test wants them to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from helpers_intake import Clock, HubVoice
from kanhu.care import Alarm, Alarms
from kanhu.care.condition import Condition
from kanhu.care.modes import Modes
from kanhu.care.proofs import Proofs
from kanhu.care.rules import RULES
from kanhu.care.watch import Watch
from kanhu.counters import Counters
from kanhu.intake import Intake
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

MINUTE = 60_000
HOUR = 60 * MINUTE
# 2026-09-21 06:00 in Shanghai
MORNING_MS = 1_789_941_600_000
LIMIT_S = 1080.0  # three heartbeats of 300 s
ASK_MS = 600_000
KITCHEN, BATH, DOOR = 2, 3, 4


class Home:
    """One home: its pseudonym and its hub's voice."""

    def __init__(self, home: str, voice: HubVoice, began_ms: int) -> None:
        self.home = home
        self.voice = voice
        self.began_ms = began_ms  # when the hub last started
        self.waiting: list[bytes] = []  # said, and not yet sent

    @property
    def hub(self) -> str:
        return self.voice.hub_id


class CareHost:
    """Everything over one data_dir; `await stop()` and make another: a restart."""

    def __init__(self, data_dir: Path, clock: Clock, rules: Any = RULES) -> None:
        self.clock = clock
        self.registry = Registry.open(data_dir)
        self.journal = Journal.open(data_dir, clock)
        self.commands = Commands(self.journal)
        self.alarms = Alarms(self.journal, self.commands)
        self.modes = Modes(self.journal)
        self.proofs = Proofs(self.journal, lambda hub: True)
        self.intake = Intake(self.journal, self.registry, self.alarms, self.commands, Counters())
        self.intake.notes += [self.modes.note, self.proofs.note]
        self.watch = Watch(
            self.journal, self.registry, self.alarms, self.modes, LIMIT_S, ASK_MS, rules, self.proofs.proof
        )
        self.stored: list[Event] = []
        self.journal.on_stored.append(self._stored)

    def _stored(self, events: list[Event]) -> None:
        self.stored += events
        for event in events:
            self.watch.take(event)

    async def stop(self) -> None:
        await self.journal.close()
        self.registry.close()

    def add_home(self, pirs: int = 2, zone: str = "Asia/Shanghai", **rules: dict[str, Any]) -> Home:
        """A home with PIRs in kitchen and bathroom, and rules by their names."""
        home = self.registry.add_home("cn/42/01/06", zone)
        hub, key = self.registry.add_hub(home)
        wired = [[KITCHEN, 13], [BATH, 14]][:pirs]
        places = {str(KITCHEN): ["kitchen", ""], str(BATH): ["bathroom", ""]}
        self.registry.set_settings(
            hub, {"pirs": wired, "places": {str(device): places[str(device)] for device, _ in wired}}
        )
        for rule, settings in rules.items():
            self.registry.set_rule(home, rule, settings, "test")
        self.watch.configure()
        return Home(home, HubVoice(hub, key), self.clock.now_ms)

    async def add_lived_in(self, **options: Any) -> Home:
        """A home where somebody has just been in both rooms, and the path is proven."""
        home = self.add_home(**options)
        await self.watch.recall()
        await self.start(home)
        self.clock.now_ms += 2 * MINUTE
        await self.beat(home)
        await self.prove(home)
        for device in (KITCHEN, BATH):
            await self.moves(home, device)
            self.clock.now_ms += MINUTE
        await self.look()
        return home

    def sealed(self, home: Home, kind: int, fields: dict[int, Any] | None = None, utc: bool = True) -> bytes:
        """What the hub says at this moment; utc: whether its clock is set."""
        up_ms = self.clock.now_ms - home.began_ms
        said = {k.UTC_MS: self.clock.now_ms, k.CLOCK: 1} if utc else {}
        return home.voice.say(kind, said | (fields or {}), up_ms)

    async def start(self, home: Home, boot: int = 1) -> None:
        """The hub starts; its boot event has no time."""
        previous = (home.voice.boot, home.voice.seq - 1) if home.voice.seq else None
        home.began_ms = self.clock.now_ms
        await self.receive(home, home.voice.start(boot, previous))

    async def say(self, home: Home, kind: int, fields: dict[int, Any] | None = None) -> None:
        """The hub says something, and it is stored."""
        await self.receive(home, self.sealed(home, kind, fields))

    async def receive(self, home: Home, *sealed: bytes) -> None:
        for one in sealed:
            await self.intake.receive(home.hub, one, "test")

    async def moves(self, home: Home, device: int = KITCHEN) -> None:
        """Somebody moves."""
        await self.say(home, k.MOTION, {k.DEVICE: device})

    async def beat(self, home: Home) -> None:
        """A heartbeat."""
        await self.say(home, k.HEARTBEAT, BEAT)

    async def passes(self, ms: int, *homes: Home, step_ms: int = 900_000, away: bool = False) -> None:
        """Time goes by, hubs beat every step_ms (away: to themselves), and the watch looks at what is due."""
        end = self.clock.now_ms + ms
        while self.clock.now_ms < end:
            self.clock.now_ms = min(end, self.clock.now_ms + step_ms)
            for home in homes:
                if away:
                    home.waiting.append(self.sealed(home, k.HEARTBEAT, BEAT))
                else:
                    await self.beat(home)
            await self.look()

    async def look(self) -> None:
        """The watch looks at what is due; a second time at what its own work has woken."""
        for _ in range(3):
            await self.watch.look()

    async def prove(self, home: Home) -> None:
        """The daily test call comes through."""
        await self.say(home, k.PATH_PROVEN, {k.SPAN_MS: 800})

    def asked(self, home: Home) -> list[Alarm]:
        """Alarms of the home that are not closed."""
        return self.alarms.live(home.hub)

    def condition(self, home: Home) -> Condition:
        return self.watch.condition(home.home)

    def own(self, kind: int) -> list[Event]:
        """What the daemon has said of a kind."""
        return [event for event in self.stored if event.sealed is None and event.kind == kind]


BEAT: dict[int, Any] = {
    k.RESET: 1, k.HEAP: [90_000, 60_000], k.LINK: 1, k.OUTBOX: [0, 0], k.DROPS: [0] * 5, k.RADIO: [100, 0],
    k.FIRMWARE: "0.1.0", k.POWER: [True, None], k.VERSIONS: [1, 0], k.REFUSED: [0, 0, 0],
}  # fmt: skip
