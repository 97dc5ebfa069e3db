"""What every rule does first: is it on, does the mode let it speak, is the hub heard, what is covered."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from .coverage import MISSED_MS, Coverage, Sensor, cover
from .hours import DAY_MS, HOUR_MS
from .past import AWAY, HOSPITAL, SLEEP, VISITOR, Device, Past, Reading
from .values import Evidence, State, Verdict, Words
from .wording import ago_words, device_words, join, listing, time_words, why_words

NAMED = 3  # sensors named in one sentence


class RuleSettings(BaseModel):
    """What a person may set of any rule; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True


class MovementSettings(RuleSettings):
    """Of a rule that rests on movement."""

    # A sensor that saw nothing for so long may be blind, and nothing is said of the home: a week, since there
    # are rooms that nobody enters for days (docs/backtest.md). That it is doubted is said long before.
    proven_hours: int = Field(168, ge=12, le=336)
    ignore_rooms: tuple[str, ...] = ()  # rooms that nobody lives in: their sensors need not be relied on
    visit_hours: int = Field(4, ge=1, le=24)  # a visit whose end was forgotten ends by itself


S = TypeVar("S", bound=RuleSettings)
_OFF = {
    AWAY: Words("away until {}", "外出至{}"),
    HOSPITAL: Words("in hospital until {}", "住院至{}"),
    VISITOR: Words("somebody is there until {}", "有人陪伴至{}"),
    SLEEP: Words("asleep until {}", "休息至{}"),
}


class Look(Generic[S]):
    """One look of one rule at one home. `at` collects the moments at which it may say something else."""

    def __init__(self, rule: str, past: Past, settings: S, now_ms: int) -> None:
        self.rule = rule
        self.past = past
        self.settings = settings
        self.now_ms = now_ms
        self.floor_ms = 0  # nothing before this counts: a mode or a visit was there
        self._edges: list[int] = []

    def at(self, *moments: int) -> None:
        """The verdict may change at these."""
        self._edges.extend(moments)

    def say(
        self,
        state: State,
        words: Words,
        since_ms: int | None = None,
        room: str = "",
        device: int = 0,
        evidence: Collection[Evidence] = (),
        reading: Reading | None = None,
    ) -> Verdict:
        """The verdict."""
        later = [one for one in self._edges if one > self.now_ms]
        next_ms = min(later, default=self.now_ms + DAY_MS)
        return Verdict(self.rule, state, next_ms, words, since_ms, room, device, tuple(evidence), reading)

    def off(self, modes: Collection[int] = ()) -> Verdict | None:
        """`off` when the rule is not on, or one of these modes holds; VISITOR stands for open visits too."""
        if not self.settings.enabled:
            return self.say("off", Words("not switched on for this home", "本户未启用"))
        past, now_ms = self.past, self.now_ms
        for mode in past.modes(0, now_ms):
            if mode.until_ms > now_ms:
                self.at(mode.until_ms)
            if mode.mode in modes and mode.until_ms <= now_ms:
                self.floor_ms = max(self.floor_ms, mode.until_ms)
        if VISITOR in modes and isinstance(self.settings, MovementSettings):
            there = self._visited(self.settings.visit_hours * HOUR_MS)
            if there is not None:
                return there
        current = past.mode_at(now_ms)
        if current is None or current.mode not in modes:
            return None
        until, words = time_words(current.until_ms, now_ms, past.zone), _OFF[current.mode]
        return self.say(
            "off",
            Words(words.en.format(until.en), words.zh.format(until.zh)),
            current.from_ms,
            evidence=[Evidence(0, "mode", current.from_ms)],
        )

    def _visited(self, bound_ms: int) -> Verdict | None:
        for visit in self.past.visits(0, self.now_ms):
            bound = visit.from_ms + bound_ms
            until_ms = bound if visit.until_ms is None else min(bound, visit.until_ms)
            if until_ms <= self.now_ms:
                self.floor_ms = max(self.floor_ms, until_ms)
                continue
            self.at(until_ms)
            since = time_words(visit.from_ms, self.now_ms, self.past.zone)
            words = Words(f"a visitor has been there since {since.en}", f"自{since.zh}起有人探访")
            return self.say("off", words, visit.from_ms, evidence=[Evidence(0, "visit", visit.from_ms)])
        return None

    def unheard(self) -> Verdict | None:
        """`cannot_tell` when the hub is not heard."""
        coverage = cover(self.past, self.now_ms, ())
        self.at(coverage.next_ms)
        if coverage.hub_since_ms is not None:
            return None
        return self.cannot_tell(coverage)

    def cover(self, devices: Collection[Device] | None = None) -> Coverage:
        """Coverage by these devices, by default all movement sensors but those of ignored rooms."""
        proven_ms = 48 * HOUR_MS
        if isinstance(self.settings, MovementSettings):
            proven_ms = self.settings.proven_hours * HOUR_MS
            if devices is None:
                devices = [
                    one for one in self.past.of_role("motion") if one.room not in self.settings.ignore_rooms
                ]
        coverage = cover(self.past, self.now_ms, devices, proven_ms)
        self.at(coverage.next_ms)
        return coverage

    def cannot_tell(self, coverage: Coverage, more: Words | None = None) -> Verdict:
        """`cannot_tell` because of what is blind, or more."""
        now_ms, zone = self.now_ms, self.past.zone
        evidence = []
        if coverage.hub_since_ms is None:
            if coverage.hub_heard_ms is None:
                more = Words("the hub has not been heard yet", "网关尚未上线")
            else:
                evidence.append(Evidence(0, "heard", coverage.hub_heard_ms))
                since = time_words(coverage.hub_heard_ms, now_ms, zone)
                more = Words(f"the hub was last heard at {since.en}", f"网关最后在线时间：{since.zh}")
        elif more is None:
            more = listing(_blind(one) for one in coverage.blind[:NAMED])
            evidence = [Evidence(one.device.index, "fault", now_ms) for one in coverage.blind]
        return self.say(
            "cannot_tell", Words(f"cannot tell: {more.en}", f"无法判断：{more.zh}"), evidence=evidence
        )

    def hole(self, coverage: Coverage, since_ms: int, until_ms: int) -> Verdict:
        """`cannot_tell` because not everything was seen before since_ms, which matters till until_ms."""
        self.at(until_ms)
        since = time_words(since_ms, self.now_ms, self.past.zone)
        until = time_words(until_ms, self.now_ms, self.past.zone)
        return self.cannot_tell(
            coverage,
            Words(
                f"not everything was seen before {since.en}; it can be told again from {until.en}",
                f"{since.zh}之前的活动未能全部感应；{until.zh}后可恢复判断",
            ),
        )

    def unsure(self, coverage: Coverage, due_ms: int) -> Verdict | None:
        """`cannot_tell` until every sensor is known to have lived at due_ms: a radio sensor that has died is
        not called silent before it has missed its supervision time."""
        if coverage.sure_ms >= due_ms:
            return None
        boot_ms = self.past.last_boot(self.now_ms) or 0
        periods = [one.device.supervision_s * MISSED_MS for one in coverage.sensors if one.device.radio]
        self.at(*(due_ms + one for one in periods), *(boot_ms + one for one in periods))
        names = listing(device_words(one.device) for one in coverage.sensors if one.sure_ms < due_ms)
        due = time_words(due_ms, self.now_ms, self.past.zone)
        words = Words(
            f"waiting to hear that these still worked at {due.en}: {names.en}",
            f"正在确认以下设备在{due.zh}时仍正常：{names.zh}",
        )
        return self.cannot_tell(coverage, words)

    def on_watch(self, coverage: Coverage, device: int = 0) -> Words:
        """How fresh it is what a verdict rests on: the sensor that spoke last, or the hub for all of them."""
        now_ms = self.now_ms
        parts = []
        spoke = [one for one in coverage.sensors if one.device.index == device]
        spoke += sorted(coverage.sensors, key=lambda one: one.heard_ms or 0, reverse=True)
        if spoke and spoke[0].heard_ms is not None and now_ms - spoke[0].heard_ms < HOUR_MS:
            name, ago = device_words(spoke[0].device), ago_words(spoke[0].heard_ms, now_ms)
            parts.append(Words(f"{name.en} heard {ago.en}", f"{name.zh}{ago.zh}在线"))
        elif coverage.hub_heard_ms is not None:
            ago = ago_words(coverage.hub_heard_ms, now_ms)
            parts.append(Words(f"sensors in order, hub heard {ago.en}", f"传感器正常，网关{ago.zh}在线"))
        if coverage.weak:
            parts.append(listing(_blind(one) for one in coverage.weak[:NAMED]))
        return join(parts)


def _blind(sensor: Sensor) -> Words:
    name, why = device_words(sensor.device), why_words((sensor.why or sensor.weak)[0])
    return Words(f"{name.en}: {why.en}", f"{name.zh}{why.zh}")
