"""What came out of a backtest, over all homes: alarms per home-month against time to notice a silence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from kanhu.care.rules.values import Rule
from kanhu.care.settings import check
from kanhu.errors import ConfigError

from .recording import Recording
from .replay import Outcome, Try

MONTH_DAYS = 365.25 / 12
MAX_TRIES = 50  # settings compared in one run


@dataclass(frozen=True, slots=True)
class Row:
    """One rule with one setting, over all homes."""

    rule: str
    settings: str
    homes: int
    months: float  # home-months
    asked: (
        int  # findings: how often the elder would have been asked, or the desk, where nobody is asked first
    )
    raised: int  # of those, alarms that nothing had ended while the elder was asked
    hints: int
    per_month: float | None  # raised per home-month
    asked_per_month: float | None
    cannot_tell: float  # share of the time
    off: float
    cuts: int
    median_h: float | None  # hours from the last movement to the alarm, the asking included
    p90_h: float | None
    not_noticed: int  # cuts after which nothing was raised within 48 h
    said: dict[str, int]  # what the rule said instead, and of how many cuts

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def tries_of(rule: Rule[Any], own: dict[str, Any], asked: Mapping[str, Sequence[str]]) -> list[Try]:
    """Every combination of the values asked for, on top of a home's own settings; ConfigError."""
    keys = [key for key in asked if key in rule.settings.model_fields]
    base = {key: value for key, value in own.items() if key in rule.settings.model_fields}
    combinations = list(product(*(asked[key] for key in keys)))
    if len(combinations) > MAX_TRIES:
        raise ConfigError(f"{len(combinations)} settings of rule {rule.name}: at most {MAX_TRIES} in one run")
    made = []
    for values in combinations:
        changed = dict(zip(keys, values, strict=True))
        label = " ".join(f"{key}={value}" for key, value in changed.items())
        made.append(Try(rule, check(rule, base | changed), label))
    return made


def rows(done: Sequence[tuple[Recording, Sequence[Outcome]]], ask_ms: int) -> list[Row]:
    """One row for each rule and setting, in the order of the tries."""
    found: dict[tuple[str, str], list[tuple[Recording, Outcome]]] = {}
    for recording, outcomes in done:
        for outcome in outcomes:
            key = (outcome.attempt.rule.id, outcome.attempt.label)
            found.setdefault(key, []).append((recording, outcome))
    return [_row(rule, label, pairs, ask_ms) for (rule, label), pairs in found.items()]


def alarms(outcome: Outcome, ask_ms: int) -> list[int]:
    """When alarms would have been raised."""
    wait_ms = ask_ms if outcome.attempt.rule.asks else 0
    return [one.at_ms + wait_ms for one in outcome.findings if one.outlasts(wait_ms)]


def _row(rule: str, label: str, pairs: Sequence[tuple[Recording, Outcome]], ask_ms: int) -> Row:
    months = sum(recording.days for recording, _ in pairs) / MONTH_DAYS
    asked = sum(len(outcome.findings) for _, outcome in pairs)
    raised = sum(len(alarms(outcome, ask_ms)) for _, outcome in pairs)
    spans: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for _, outcome in pairs:
        spans.update(outcome.spans)
        said.update(outcome.said)
    whole = spans.total() or 1
    wait_ms = ask_ms if pairs[0][1].attempt.rule.asks else 0
    waits = sorted((ms + wait_ms) / 3_600_000 for _, outcome in pairs for ms in outcome.noticed_ms)
    return Row(
        rule, label, len(pairs), round(months, 2), asked, raised,
        sum(outcome.hints for _, outcome in pairs),
        round(raised / months, 2) if months else None,
        round(asked / months, 2) if months else None,
        round(spans["cannot_tell"] / whole, 4), round(spans["off"] / whole, 4),
        len(waits), quantile(waits, 0.5), quantile(waits, 0.9), sum(map(math.isinf, waits)),
        dict(said.most_common()),
    )  # fmt: skip


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Of values in order (nearest rank); None: there is none, or it is infinite."""
    if not ordered:
        return None
    found = ordered[max(0, math.ceil(share * len(ordered)) - 1)]
    return None if math.isinf(found) else round(found, 2)


def parse_settings(pairs: Iterable[str]) -> dict[str, list[str]]:
    """key=value or key=value,value,.. as a person writes them; ConfigError."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        key, equals, values = pair.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise ConfigError(f"--set {pair!r}: write key=value, or key=value,value to compare some")
        found.setdefault(key.strip(), []).extend(
            value.strip() for value in values.split(",") if value.strip()
        )
    return found
