"""A schedule of what people do and what goes wrong, drawn from one integer; prints and reads as JSON lines.

Every fault is lifted before the plan ends. Steps name hubs and buttons by index from 0."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kanhu.errors import KanhuError

DECIMALS = 3  # of a second: a plan that was printed replays the same
PRESS_GAP_S = 0.6  # between two presses of one button: 150 ms of contact, and time to let go
HOST_JUMPS_S = (-86_400.0, -3_600.0, -400.0, 400.0, 3_600.0, 86_400.0)
HUB_JUMPS_S = (-3_600.0, -30.0, 30.0, 3_600.0)


class PlanError(KanhuError):
    """A plan that cannot be read; says which line and why."""


class Kind(NamedTuple):
    """One action. lift: the action that ends it; lasts: it ends by itself, `for_s` after it began."""

    args: tuple[str, ...]  # names of the arguments it needs
    lift: str = ""
    lasts: bool = False
    fault: bool = True
    bench: bool = False  # only a bench that is run in real time has it (kanhu.qa)


# What each does. hub, button: index; for_s: seconds; off_s: by how much a clock is wrong from now on.
ACTIONS: Mapping[str, Kind] = {
    "press": Kind(("hub", "button"), fault=False),
    "motion": Kind(("hub",), fault=False),
    "hub_power_cut": Kind(("hub", "for_s"), lasts=True),
    "daemon_kill": Kind(("for_s",), lasts=True),  # SIGKILL, and no daemon for so long
    "broker_restart": Kind(("for_s",), lasts=True),
    "wifi_down": Kind(("hub",), lift="wifi_up"),
    "wifi_up": Kind(("hub",), fault=False),
    "link_flap": Kind(("hub", "for_s", "times"), lasts=True),  # connections cut so many times in for_s
    "platform_down": Kind((), lift="platform_up"),
    "platform_up": Kind((), fault=False),
    "platform_mute": Kind((), lift="platform_unmute"),  # receives and never acknowledges
    "platform_unmute": Kind((), fault=False),
    "host_disk_full": Kind((), lift="host_disk_free"),
    "host_disk_free": Kind((), fault=False),
    "hub_flash_full": Kind(("hub",), lift="hub_flash_free"),
    "hub_flash_free": Kind(("hub",), fault=False),
    "host_clock_jump": Kind(("off_s",), lift="host_clock_jump"),  # lifted by off_s 0
    "hub_clock_jump": Kind(("hub", "off_s"), lift="hub_clock_jump"),
    "registry_restored": Kind(("for_s",), lasts=True),  # an older copy put back while no daemon runs
    "link_cut": Kind(("for_s",), lasts=True, bench=True),  # all hubs' line to the broker, as below
    "link_stall": Kind(("for_s",), lasts=True, bench=True),
    "link_reset": Kind(("for_s",), lasts=True, bench=True),
    "link_slow": Kind(("for_s", "bytes_s"), lasts=True, bench=True),
    "link_lossy": Kind(("for_s", "percent"), lasts=True, bench=True),  # chance of a segment to be the last
    "link_half_open": Kind(("for_s",), lasts=True, bench=True),
    "broker_mute": Kind(("for_s",), lasts=True, bench=True),  # accepts and never acknowledges
    "daemon_cut_off": Kind(("for_s",), lasts=True, bench=True),  # the daemon's line to the broker
    "daemon_stop": Kind(("for_s",), lasts=True, bench=True),  # SIGTERM
    "hub_torn": Kind(("hub", "for_s"), lasts=True, bench=True),  # the power goes inside a flash operation
    "hub_brown_out": Kind(("hub", "for_s", "times"), lasts=True, bench=True),
    "hub_serial_noise": Kind(("hub", "for_s", "bytes_s"), lasts=True, bench=True),
    "names_down": Kind(("hub", "for_s"), lasts=True, bench=True),  # the home's name server
    "air_storm": Kind(("for_s", "per_s"), lasts=True, bench=True),
}
FAULTS = tuple(name for name, kind in ACTIONS.items() if kind.fault and not kind.bench)
BENCH_FAULTS = tuple(name for name, kind in ACTIONS.items() if kind.fault and kind.bench)
DRAWN = {"times": (2, 6), "bytes_s": (50, 1000), "percent": (5, 50), "per_s": (50, 300)}  # least and most
DEFAULT_WEIGHTS: Mapping[str, float] = dict.fromkeys(FAULTS, 1.0)


@dataclass(frozen=True)
class Step:
    """One action, at_s seconds after the plan's begin."""

    at_s: float
    action: str
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def target(self) -> int:
        """The hub's index; -1 for what all share."""
        return int(self.args.get("hub", -1))


class Span(NamedTuple):
    """One fault from its begin to its end, in seconds of the plan."""

    fault: str
    target: int  # hub index, -1: all
    begin: float
    end: float


@dataclass(frozen=True)
class Plan:
    """Steps in order of time."""

    seed: int
    steps: tuple[Step, ...]

    @property
    def hubs(self) -> int:
        """How many hubs the steps speak of, at least 1."""
        return 1 + max((step.target for step in self.steps), default=0)

    @property
    def duration_s(self) -> float:
        """When the last step is over."""
        return max((step.at_s + float(step.args.get("for_s", 0)) for step in self.steps), default=0.0)

    def spans(self) -> list[Span]:
        """Every fault with its begin and end, in order of begin; PlanError when one is never lifted."""
        found: list[Span] = []
        open_: dict[tuple[str, int], float] = {}
        for step in self.steps:
            kind = ACTIONS[step.action]
            if kind.lasts:
                found.append(Span(step.action, step.target, step.at_s, step.at_s + float(step.args["for_s"])))
                continue
            found += [
                Span(fault, step.target, begin, step.at_s)
                for fault in _ended(step)
                if (begin := open_.pop((fault, step.target), None)) is not None
            ]
            if kind.fault and not _lifts(step):
                open_.setdefault((step.action, step.target), step.at_s)
        if open_:
            raise PlanError(f"never lifted: {', '.join(sorted(fault for fault, _ in open_))}")
        return sorted(found, key=lambda span: (span.begin, span.fault, span.target))

    def dumps(self) -> str:
        """JSON lines: a head with the seed, then one step a line."""
        lines = [json.dumps({"seed": self.seed})]
        lines += [json.dumps({"at_s": s.at_s, "action": s.action, "args": s.args}) for s in self.steps]
        return "\n".join(lines) + "\n"

    @classmethod
    def loads(cls, text: str) -> Plan:
        """The plan that dumps() printed; PlanError."""
        seed = 0
        steps = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if "seed" in row:
                    seed = int(row["seed"])
                else:
                    steps.append(_step(row))
            except (ValueError, TypeError, KeyError) as error:
                raise PlanError(f"line {number} of the plan: {error}") from None
        plan = cls(seed, _in_order(steps))
        plan.spans()
        return plan

    @classmethod
    def draw(
        cls,
        seed: int,
        duration_s: float,
        weights: Mapping[str, float] | None = None,
        *,
        hubs: int = 1,
        buttons: int = 2,
        faults: tuple[int, int] = (2, 6),
        fault_s: tuple[float, float] = (0.2, 2.0),
        press_every_s: float = 1.0,
        motion_every_s: float = 2.0,
    ) -> Plan:
        """The plan of this seed: faults (least, most) of weighted kinds, each fault_s (shortest, longest)
        long; presses and motions in every home at random intervals. The same arguments draw the same plan."""
        chance = random.Random(seed)
        share = DEFAULT_WEIGHTS if weights is None else weights
        known = (*FAULTS, *BENCH_FAULTS)
        if unknown := set(share) - set(known):
            raise PlanError(f"no such fault: {', '.join(sorted(unknown))}; there is {', '.join(known)}")
        steps: list[Step] = []
        for hub in range(hubs):
            steps += [
                Step(at_s, "press", {"hub": hub, "button": chance.randrange(buttons)})
                for at_s in _moments(chance, duration_s, press_every_s, PRESS_GAP_S)
            ]
            steps += [
                Step(at_s, "motion", {"hub": hub})
                for at_s in _moments(chance, duration_s, motion_every_s, PRESS_GAP_S)
            ]
        busy: dict[tuple[str, int], list[tuple[float, float]]] = {}
        names = [name for name in known if share.get(name, 0) > 0]
        for _ in range(chance.randint(*faults) if names else 0):
            name = chance.choices(names, [share[one] for one in names])[0]
            target = chance.randrange(hubs) if "hub" in ACTIONS[name].args else -1
            length = min(_log_uniform(chance, *fault_s), duration_s)
            begin = round(chance.uniform(0, duration_s - length), DECIMALS)
            length = round(length, DECIMALS)
            taken = busy.setdefault((_room(name), target), [])
            if all(begin + length < first or begin > last for first, last in taken):
                taken.append((begin, begin + length))
                steps += _fault(chance, name, target, begin, length)
        return cls(seed, _in_order(steps))


def _lifts(step: Step) -> bool:
    return ACTIONS[step.action].lift == step.action and not step.args["off_s"]


def _ended(step: Step) -> list[str]:
    """The faults that this step ends."""
    if ACTIONS[step.action].lift == step.action:
        return [step.action]  # a second jump ends the first one
    return [name for name, kind in ACTIONS.items() if kind.lift == step.action]


def _room(name: str) -> str:
    """Faults that share a room do not overlap themselves: one daemon process, one platform."""
    if name in ("daemon_kill", "daemon_stop", "registry_restored"):
        return "daemon"
    if name in ("hub_power_cut", "hub_torn", "hub_brown_out"):
        return "power"
    return name


def _fault(chance: random.Random, name: str, hub: int, begin: float, length: float) -> list[Step]:
    kind = ACTIONS[name]
    args: dict[str, Any] = {"hub": hub} if "hub" in kind.args else {}
    if kind.lasts:
        args |= {arg: chance.randint(*DRAWN[arg]) for arg in kind.args if arg in DRAWN}
        return [Step(begin, name, {**args, "for_s": length})]
    end = round(begin + length, DECIMALS)
    if kind.lift == name:
        off_s = chance.choice(HUB_JUMPS_S if "hub" in kind.args else HOST_JUMPS_S)
        return [Step(begin, name, {**args, "off_s": off_s}), Step(end, name, {**args, "off_s": 0.0})]
    return [Step(begin, name, args), Step(end, kind.lift, dict(args))]


def _moments(chance: random.Random, duration_s: float, every_s: float, gap_s: float) -> list[float]:
    found: list[float] = []
    at_s = chance.expovariate(1 / every_s)
    while at_s < duration_s:
        found.append(round(at_s, DECIMALS))
        at_s += max(gap_s, chance.expovariate(1 / every_s))
    return found


def _log_uniform(chance: random.Random, shortest: float, longest: float) -> float:
    return math.exp(chance.uniform(math.log(shortest), math.log(longest)))


def _in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.at_s))


def _step(row: Mapping[str, Any]) -> Step:
    at_s, action, args = float(row["at_s"]), row["action"], dict(row.get("args", {}))
    if action not in ACTIONS:
        raise ValueError(f"no such action {action!r}; there is {', '.join(ACTIONS)}")
    if not 0 <= at_s < math.inf:
        raise ValueError(f"at_s {at_s} is not a time from the plan's begin")
    if set(args) != set(ACTIONS[action].args):
        wanted = ", ".join(ACTIONS[action].args) or "nothing"
        raise ValueError(f"{action} takes {wanted}, not {', '.join(args) or 'nothing'}")
    for name, value in args.items():
        whole = name in ("hub", "button", *DRAWN)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{name} of {action} is a {'whole ' if whole else ''}number, not {value!r}")
        if name != "off_s" and not 0 <= value < math.inf:
            raise ValueError(f"{name} of {action} is {value}")
    return Step(at_s, action, args)
