"""What plans exercised: how many of each fault, and of each pair that overlapped or followed closely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

from .plan import ACTIONS, FAULTS, Plan

Pair = tuple[str, str]  # in order of the alphabet
ALL_PAIRS: tuple[Pair, ...] = tuple(combinations_with_replacement(sorted(FAULTS), 2))


@dataclass
class Coverage:
    """window_s: a fault that begins at most this long after another has ended counts as a pair with it."""

    window_s: float
    schedules: int = 0
    actions: Counter[str] = field(default_factory=Counter)  # presses and motions as well
    overlapped: Counter[Pair] = field(default_factory=Counter)
    followed: Counter[Pair] = field(default_factory=Counter)

    def add(self, plan: Plan) -> None:
        """Count one plan's faults and pairs."""
        self.schedules += 1
        spans = plan.spans()
        self.actions.update(span.fault for span in spans)
        self.actions.update(step.action for step in plan.steps if step.action in ("press", "motion"))
        for number, one in enumerate(spans):
            for other in spans[number + 1 :]:  # in order of begin
                first, second = sorted((one.fault, other.fault))
                if other.begin <= one.end:
                    self.overlapped[first, second] += 1
                elif other.begin - one.end <= self.window_s:
                    self.followed[first, second] += 1

    def merge(self, other: Coverage) -> None:
        """Add what another run of the same window counted."""
        if other.window_s != self.window_s:
            raise ValueError("coverages of different windows do not add up")
        self.schedules += other.schedules
        self.actions.update(other.actions)
        self.overlapped.update(other.overlapped)
        self.followed.update(other.followed)

    @property
    def pairs(self) -> Counter[Pair]:
        """Overlapped and followed together."""
        return self.overlapped + self.followed

    def unseen(self) -> list[Pair]:
        """Pairs that no plan has had yet."""
        return [pair for pair in ALL_PAIRS if not self.pairs[pair]]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a pair is written "a+b"."""
        return {
            "schedules": self.schedules,
            "window_s": self.window_s,
            "actions": {name: self.actions[name] for name in ("press", "motion", *FAULTS)},
            "pairs_seen": len(ALL_PAIRS) - len(self.unseen()),
            "pairs_possible": len(ALL_PAIRS),
            "overlapped": {"+".join(pair): n for pair, n in sorted(self.overlapped.items())},
            "followed": {"+".join(pair): n for pair, n in sorted(self.followed.items())},
        }

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Coverage:
        """What as_dict() gave, in another process."""

        def pairs(counts: dict[str, int]) -> Counter[Pair]:
            found: Counter[Pair] = Counter()
            for name, count in counts.items():
                first, _, second = name.partition("+")
                found[first, second] = count
            return found

        actions = Counter({name: n for name, n in row["actions"].items() if name in ACTIONS and n})
        return cls(
            row["window_s"], row["schedules"], actions, pairs(row["overlapped"]), pairs(row["followed"])
        )

    def table(self) -> str:
        """Counts for people: a line per action, then the pairs as a triangle."""
        lines = [
            f"{self.schedules} schedules; {self.actions['press']} presses, {self.actions['motion']} motions"
        ]
        names = sorted(FAULTS)
        width = max(map(len, names))
        seen = len(ALL_PAIRS) - len(self.unseen())
        lines.append(
            f"faults, and pairs that overlapped or followed within {self.window_s:g} s "
            f"({seen} of {len(ALL_PAIRS)} pairs seen)"
        )
        head = " ".join(f"{number:>5}" for number in range(1, len(names) + 1))
        lines.append(f"{'':>3} {'':<{width}} {'count':>6} | {head}")
        pairs = self.pairs
        for row, name in enumerate(names, 1):
            counts = (pairs[_pair(name, other)] for other in names[:row])
            cells = " ".join(f"{count:>5}" for count in counts)
            lines.append(f"{row:>3} {name:<{width}} {self.actions[name]:>6} | {cells}")
        return "\n".join(lines)


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one <= other else (other, one)


def of(plans: Iterable[Plan], window_s: float) -> Coverage:
    """The coverage of these plans."""
    found = Coverage(window_s)
    for plan in plans:
        found.add(plan)
    return found
