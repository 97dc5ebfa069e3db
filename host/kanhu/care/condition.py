"""How a home is: well, attention or cannot_tell, with reasons. The one place that says so.

Well is said only on fresh evidence for every single thing it rests on; what is not known is cannot_tell,
never well. Whoever shows a status, on a page, in a metric or at a terminal, shows this."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal, NamedTuple

from kanhu.platform.words import EVENTS
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .rules.past import AWAY, HOME, HOSPITAL, Mode
from .rules.values import State as RuleState
from .rules.values import Words

State = Literal["well", "attention", "cannot_tell"]
STATES: tuple[State, ...] = ("well", "attention", "cannot_tell")
STATE_WORDS: dict[State, Words] = {
    "well": Words("well", "平安"),
    "attention": Words("needs attention", "需要关注"),
    "cannot_tell": Words("cannot tell", "无法判断"),
}
PROOF_LIMIT_MS = 26 * 3_600_000  # a test call a day, and two hours for one that came late
RULES_LATE_MS = 120_000  # ours: a rule that is due is looked at within seconds
CLOCK_SLACK_MS = 60_000  # evidence from further in the future: the host's clock was set back
# Faults under which a home cannot be judged: what should speak may not be able to.
BLINDING = frozenset(
    (
        k.SENSOR_SILENT, k.TAMPER, k.CLOCK_FAULT, k.STORAGE_FULL, k.IDENTITY_FAULT, k.LINE_FAULT,
        k.CONTACT_STUCK, k.HUB_SILENT, k.SENSOR_DOUBTED, k.PATH_FAULT, k.SENSOR_UNPROVEN,
    )
)  # fmt: skip


class Reason(NamedTuple):
    """Why, in words a family understands, and since when (UTC ms) where that is known."""

    words: Words
    since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """How a home is at a moment, and why; the weightiest reason first."""

    state: State
    reasons: tuple[Reason, ...]
    at_ms: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        reasons = [{**one.words._asdict(), "since_ms": one.since_ms} for one in self.reasons]
        return {"state": self.state, "reasons": reasons, "at_ms": self.at_ms}


class AlarmFact(NamedTuple):
    """An alarm that is not closed."""

    kind: int
    state: int
    since_ms: int


class FaultFact(NamedTuple):
    """A technical fault that stands. what: the device as people call it; empty for the hub."""

    kind: int
    since_ms: int
    what: Words = Words("", "")


class SensorFact(NamedTuple):
    """A sensor of movement, and whether its silence means that nobody moves."""

    what: Words
    covered: bool
    why: Words = Words("", "")
    since_ms: int | None = None


class RuleFact(NamedTuple):
    """What a rule that is on said last. due_ms: when it has to be looked at again."""

    state: RuleState
    words: Words
    due_ms: int
    since_ms: int | None = None


class ProofFact(NamedTuple):
    """The newest test call that came through all receipts (at_ms 0: none has). fault: of the last one, 0 or
    names.DETAILS[PATH_FAULT]."""

    at_ms: int
    span_ms: int
    fault: int


@dataclass(frozen=True, slots=True)
class HubFacts:
    """Everything that is known of one hub of a home at a moment; times are UTC in ms."""

    zone: tzinfo = UTC
    heard_ms: int | None = None  # newest sign of life; None: never
    limit_ms: int = 0  # longest silence when well
    read: bool = False  # whether its past has been read since the daemon started
    behind_ms: int | None = None  # since when what it has seen is still arriving; None: all has come
    alarms: tuple[AlarmFact, ...] = ()
    faults: tuple[FaultFact, ...] = ()
    sensors: tuple[SensorFact, ...] = ()
    rules: tuple[RuleFact, ...] = ()
    mode: Mode | None = None
    proof: ProofFact | None = None


def condition(hubs: Sequence[HubFacts], now_ms: int) -> Condition:
    """How a home with these hubs is; a home without any cannot be told."""
    attention: list[Reason] = []
    blind: list[Reason] = []
    for hub in hubs:
        attention += _alarms(hub)
        blind += _blind(hub, now_ms)
    alarmed = bool(attention)
    for hub in hubs:
        attention += _notices(hub)
    if not hubs:
        blind.append(Reason(Words("no hub belongs to this home", "该住户没有主机")))
    if alarmed or (attention and not blind):
        return Condition("attention", (*attention, *blind), now_ms)
    if blind:
        return Condition("cannot_tell", (*blind, *attention), now_ms)
    return Condition("well", tuple(reason for hub in hubs for reason in _well(hub)), now_ms)


def unknown(why: Words, now_ms: int) -> Condition:
    """Of a home that nobody looks at."""
    return Condition("cannot_tell", (Reason(why),), now_ms)


def _alarms(hub: HubFacts) -> Iterator[Reason]:
    for alarm in sorted(hub.alarms, key=lambda one: one.since_ms):
        en, zh = _event(alarm.kind)
        state_en, state_zh = _ALARM_STATES.get(alarm.state, ("not closed", "未结束"))
        yield Reason(Words(f"{en}: {state_en}", f"{zh}：{state_zh}"), alarm.since_ms)
    for rule in hub.rules:
        if rule.state == "raise":
            yield Reason(rule.words, rule.since_ms)


_ALARM_STATES = {
    k.PRE: ("the elder is being asked", "正在询问老人"),
    k.OPEN: ("nobody has answered yet", "尚无人受理"),
    k.ACCEPTED: ("a person has taken it", "已有人受理"),
    k.DISPATCHED: ("a person is on the way", "工作人员正在赶来"),
    k.ON_SCENE: ("a person is there", "工作人员已到现场"),
}


def _blind(hub: HubFacts, now_ms: int) -> Iterator[Reason]:
    yield from _unheard(hub, now_ms)
    if not hub.read:
        yield Reason(Words("what is known of this home is still being read", "正在读取该住户的记录"))
    if hub.behind_ms is not None:
        yield Reason(
            Words(
                "the hub was away, and what it saved meanwhile is still arriving",
                "主机曾断线，其间的记录仍在补传",
            ),
            hub.behind_ms,
        )
    if hub.mode is not None and hub.mode.mode in (AWAY, HOSPITAL):
        yield _mode(hub, hub.mode)
    for fault in hub.faults:
        if fault.kind in BLINDING:
            yield _fault(fault)
    for sensor in hub.sensors:
        if not sensor.covered:
            yield Reason(_named(sensor.what, sensor.why), sensor.since_ms)
    for rule in hub.rules:
        if rule.state == "cannot_tell":
            yield Reason(rule.words, rule.since_ms)
        elif now_ms > rule.due_ms + RULES_LATE_MS:
            yield Reason(Words("the rules have not been looked at in time", "规则未能按时评估"), rule.due_ms)
    yield from _unproven(hub.proof, now_ms)


def _unheard(hub: HubFacts, now_ms: int) -> Iterator[Reason]:
    if hub.heard_ms is None:
        yield Reason(Words("the hub has never been heard", "主机从未上线"))
    elif hub.heard_ms > now_ms + CLOCK_SLACK_MS:
        yield Reason(Words("the clock of the host has gone back", "服务器时钟回拨"))
    elif now_ms - hub.heard_ms > hub.limit_ms:
        yield Reason(Words("the hub is not heard", "主机失联"), hub.heard_ms)


def _unproven(proof: ProofFact | None, now_ms: int) -> Iterator[Reason]:
    if proof is None or not proof.at_ms:
        yield Reason(Words("no test call has come through yet", "尚无自动测试呼叫成功记录"))
    elif proof.fault:
        yield Reason(
            Words("the last test call did not come through", "最近一次自动测试呼叫未通过"), proof.at_ms
        )
    elif not now_ms - PROOF_LIMIT_MS <= proof.at_ms <= now_ms + CLOCK_SLACK_MS:
        yield Reason(Words("no test call for more than a day", "超过一天没有自动测试呼叫"), proof.at_ms)


def _notices(hub: HubFacts) -> Iterator[Reason]:
    for fault in hub.faults:
        if fault.kind not in BLINDING:
            yield _fault(fault)
    for rule in hub.rules:
        if rule.state == "hint":
            yield Reason(rule.words, rule.since_ms)


def _well(hub: HubFacts) -> Iterator[Reason]:
    if hub.proof is not None:
        moment = _local(hub.proof.at_ms, hub.zone, "%H:%M")
        span = f"{hub.proof.span_ms / 1000:.1f}"
        yield Reason(Words(f"proven {moment}, {span} s", f"{moment} 自检通过，{span} 秒"), hub.proof.at_ms)
    if not hub.sensors:
        yield Reason(Words("calls only: no sensor of movement here", "仅呼叫：未安装活动传感器"))
    elif all(rule.state == "off" for rule in hub.rules):
        yield Reason(Words("calls only: no rule watches this home now", "仅呼叫：当前无监护规则"))
    if hub.mode is not None and hub.mode.mode != HOME:
        yield _mode(hub, hub.mode)


def _mode(hub: HubFacts, mode: Mode) -> Reason:
    until = _local(mode.until_ms, hub.zone, "%m-%d %H:%M")
    en, zh = MODE_WORDS.get(mode.mode, (names.MODES.get(mode.mode, str(mode.mode)),) * 2)
    return Reason(Words(f"{en} until {until}", f"{zh}，至 {until}"), mode.from_ms)


MODE_WORDS = {
    AWAY: ("away, nobody is watched,", "外出，暂停看护"),
    HOSPITAL: ("in hospital, nobody is watched,", "住院，暂停看护"),
    4: ("a visitor is there", "有访客"),
    5: ("asleep", "睡眠"),
}


def _local(utc_ms: int, zone: tzinfo, form: str) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, zone).strftime(form)


def _fault(fault: FaultFact) -> Reason:
    return Reason(_named(fault.what, Words(*_event(fault.kind))), fault.since_ms)


def _named(what: Words, words: Words) -> Words:
    return Words(f"{what.en}: {words.en}", f"{what.zh}：{words.zh}") if what.en else words


def _event(kind: int) -> tuple[str, str]:
    name = names.KINDS.get(kind, str(kind))
    return EVENTS.get(name, (name, name))
