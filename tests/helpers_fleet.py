"""A city of hubs as the engine meets them: each fetches, tries, proves or goes back; messages wait, and the
daemon may be killed between any two of them."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from kanhu.updates.engine import Engine, Turn
from kanhu.updates.values import AHEAD, FLYING, OVER, PAUSED, RUNNING, WAITING, Rollout, Settings, Unit

OLD, NEW, NUMBER = "0.1.0", "0.2.0", 2 << 10
SIZE = 4 * AHEAD + 100
MINUTE = 60_000
SAID_AGAIN_MS = MINUTE  # a hub's wish that nobody answers
REFUSED_ALARM, REFUSED_NOT_NEWER = 5, 8


@dataclass
class Hub:
    """One hub, and what it has said that has not arrived."""

    name: str
    good: bool = True  # whether the release works on it
    dies: bool = False  # the release silences it for ever
    firmware: str = OLD
    powered: bool = True
    alarm: bool = False  # which the host knows of
    hidden_alarm: bool = False  # which it does not
    fetching: bool = False
    received: int = 0
    whole: bool = False
    tried: int = 0  # times it has restarted into the release
    silent: bool = False
    silent_for: int = 0
    heard_ms: int = 0
    wish_ms: int = 0
    says: deque[tuple] = field(default_factory=deque)

    def told(self, number: int) -> None:
        """An UPDATE arrives."""
        if not self.powered:
            return
        if self.alarm or self.hidden_alarm:
            self.says.append(("refused", number, REFUSED_ALARM))
        elif self.firmware == NEW:
            self.says.append(("refused", number, REFUSED_NOT_NEWER))
        else:
            self.fetching = True
            self.says.append(("taken", number))
            self.wish()

    def wish(self) -> None:
        if not any(one[0] == "progress" for one in self.says):  # one unsent at a time
            self.says.append(("progress", self.received))

    def chunks(self, offset: int) -> None:
        if (
            self.powered
            and self.fetching
            and offset == self.received
            and not (self.alarm or self.hidden_alarm)
        ):
            self.received = min(SIZE, offset + AHEAD)
            self.wish()

    def live(self, now: int) -> None:
        """A minute of its own."""
        if not self.powered:
            return
        self.says.append(("alive",))
        if not self.fetching or self.alarm or self.hidden_alarm:
            return
        if self.received < SIZE:
            if now - self.wish_ms >= SAID_AGAIN_MS:
                self.wish_ms = now
                self.wish()
        elif not self.whole:
            self.whole, self.firmware = True, NEW
            self.tried += 1
            if self.dies:
                self.powered = False
            else:
                self.says.append(("boot", NEW, (2, 1)))
        else:
            self.fetching = False
            if self.good:
                self.says.append(("done",))
            else:
                self.firmware = OLD
                self.says += [("boot", OLD, (1, 1)), ("failed", 6)]


class City:
    """Hubs, the daemon's engine, and the rows that it has on disk."""

    def __init__(self, hubs: list[Hub], settings: Settings) -> None:
        self.now = 1_790_000_000_000
        self.hubs = {hub.name: hub for hub in hubs}
        self.settings = settings
        rollout = Rollout(1, "ab" * 32, NEW, NUMBER, SIZE, settings, RUNNING, "", self.now, "op")
        self.disk_rollout = rollout
        self.disk = {hub.name: Unit(hub.name, rank, WAITING, self.now) for rank, hub in enumerate(hubs)}
        self.engine = Engine(rollout, self.disk.values())
        self.commands: dict[str, int] = {}  # hub: the one that is not confirmed
        self.number = 0
        self.asks: list[str] = []
        self.resumed = 0
        self.revoked: set[str] = set()
        self._life: dict[str, int] = {}

    # values.View

    def knows(self, hub: str) -> bool:
        return hub not in self.revoked

    def heard(self, hub: str) -> bool:
        one = self.hubs[hub]
        return one.powered and not one.silent

    def heard_ms(self, hub: str) -> int:
        return self._life.get(hub, 0)

    def provable(self) -> bool:
        return True

    def alarm(self, hub: str) -> bool:
        return self.hubs[hub].alarm

    def firmware(self, hub: str) -> str | None:
        return OLD if self.hubs[hub].whole else self.hubs[hub].firmware  # told by boot events, here late

    # The daemon

    def keep(self, units: list[Unit]) -> None:
        for unit in units:
            self.disk[unit.hub] = unit
        self.disk_rollout = self.engine.rollout
        self.check()

    def order(self, turn: Turn) -> None:
        for hub, number in turn.withdraw:
            if self.commands.get(hub) == number:
                del self.commands[hub]
        if turn.changed or self.disk_rollout is not self.engine.rollout:
            self.keep(turn.changed)

    def tick(self) -> None:
        before = self.engine.rollout
        turn = self.engine.tick(self.now, self)
        for hub in turn.ask:
            assert self.disk[hub].state not in OVER, "a hub that has ended is asked again"
            assert before.state == RUNNING == self.engine.rollout.state, "asked while it does not run"
            assert not self.hubs[hub].alarm, "asked while an alarm stands"
            self.number += 1
            self.asks.append(hub)
            self.commands[hub] = self.number
            turn.changed.append(self.engine.asked(hub, self.number, self.now))
        self.order(turn)

    def kill(self) -> None:
        """The daemon dies and starts again on what its disk held."""
        self.engine = Engine(self.disk_rollout, self.disk.values())
        self._life.clear()

    def deliver(self, hub: Hub) -> None:
        """The next thing a hub has said is stored, and what follows from it."""
        engine, now = self.engine, self.now
        said = hub.says.popleft()
        self._life[hub.name] = now
        hub.silent, hub.silent_for = False, 0
        unit = None
        match said:
            case ("taken", number):
                self.commands.pop(hub.name, None)
                unit = engine.taken(hub.name, number, now)
            case ("refused", number, detail):
                self.commands.pop(hub.name, None)
                unit = engine.refused(hub.name, number, detail, now)
            case ("progress", offset):
                unit = engine.progress(hub.name, NEW, offset, SIZE, now)
                if engine.may_fetch(hub.name) and not hub.alarm:
                    hub.chunks(offset)
            case ("boot", version, slots):
                unit = engine.booted(hub.name, version, slots, now)
            case ("done",):
                unit = engine.done(hub.name, NEW, now)
            case ("failed", detail):
                unit = engine.failed(hub.name, NEW, detail, now)
        if unit is not None:
            self.keep([unit])

    def minute(self, chance: random.Random) -> None:
        """Everybody lives for a minute; what is said arrives, mostly."""
        self.now += MINUTE
        for hub in self.hubs.values():
            if hub.name in self.commands and chance.random() < 0.9:
                hub.told(self.commands[hub.name])
            hub.live(self.now)
            while hub.powered and hub.says and chance.random() < 0.95:
                self.deliver(hub)
            hub.silent_for = 0 if hub.powered else hub.silent_for + 1
            if hub.silent_for >= 15 and not hub.silent:
                hub.silent = True
                self.order(self.engine.silent(hub.name, self.now))
        self.tick()

    # What must always be so

    def check(self) -> None:
        engine, settings = self.engine, self.settings
        states = {name: unit.state for name, unit in engine.units.items()}
        flying = {name for name, state in states.items() if state in FLYING}
        assert engine.flying == flying
        assert len(flying) <= settings.at_once, "too many at once"
        for state in set(states.values()):
            assert engine.counts[state] == sum(one == state for one in states.values())
        tried = sum(hub.tried > 0 for hub in self.hubs.values())
        if engine.rollout.passed_ms is None:
            assert all(engine.units[name].canary for name in flying), "beyond the canary before it has passed"
            assert tried <= settings.canary * (1 + self.resumed), "beyond the canary before it has passed"
        else:
            assert set(states.values()) & OVER, "passed by nobody"
        assert all(hub.tried <= 1 for hub in self.hubs.values()), "tried twice"

    def resume(self) -> None:
        self.resumed += 1
        self.order(self.engine.resume(self.now))

    def settle(self) -> None:
        """Power everywhere, no alarms."""
        for hub in self.hubs.values():
            hub.alarm = hub.hidden_alarm = False
            if not (hub.dies and hub.tried):
                hub.powered = True


def drawn(chance: random.Random, hubs: int, bad: float = 0.0, dead: float = 0.0) -> City:
    """A city of so many hubs, of which a share goes back, or dies of the release."""
    fleet = [
        Hub(f"hub{n:02d}", good=chance.random() >= bad, dies=chance.random() < dead) for n in range(hubs)
    ]
    settings = Settings(
        canary=chance.randint(1, max(1, hubs // 2)),
        soak_ms=chance.choice((0, 10, 60)) * MINUTE,
        at_once=chance.randint(1, 6),
        pause_percent=chance.choice((5.0, 30.0, 100.0)),
        pause_min=chance.randint(1, 3),
    )
    return City(fleet, settings)


def disturb(city: City, chance: random.Random) -> None:
    """Something happens to a hub, or to the daemon, or somebody does something."""
    hub = chance.choice(list(city.hubs.values()))
    match chance.randrange(8):
        case 0:
            city.kill()
        case 1 | 2:
            if not (hub.dies and hub.tried):
                hub.powered = not hub.powered
        case 3:
            hub.alarm = not hub.alarm
        case 4:
            hub.hidden_alarm = not hub.hidden_alarm
        case 5:
            if city.engine.rollout.state == RUNNING:
                city.order(city.engine.pause("by hand"))
        case 6:
            if city.engine.rollout.state == PAUSED:
                city.resume()
        case 7:
            if city.engine.rollout.state == RUNNING and hub.says:
                city.deliver(hub)
