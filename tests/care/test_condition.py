"""A home is called well on fresh evidence for everything it rests on, and on nothing less."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu.care.condition import (
    BLINDING,
    PROOF_LIMIT_MS,
    RULES_LATE_MS,
    STATE_WORDS,
    STATES,
    AlarmFact,
    FaultFact,
    HubFacts,
    ProofFact,
    RuleFact,
    SensorFact,
    condition,
)
from kanhu.care.rules.past import AWAY, HOSPITAL, SLEEP, VISITOR, Mode
from kanhu.care.rules.values import Words
from kanhu_protocol import kinds as k
from kanhu_protocol import names

NOW = 1_790_000_000_000
MINUTE = 60_000
KITCHEN = Words("kitchen sensor", "厨房传感器")
QUIET = RuleFact("quiet", Words("movement 3 min ago", "3分钟前有活动"), NOW + MINUTE)
WELL = HubFacts(
    zone=ZoneInfo("Asia/Shanghai"),
    heard_ms=NOW - MINUTE,
    limit_ms=18 * MINUTE,
    read=True,
    sensors=(SensorFact(KITCHEN, True),),
    rules=(QUIET,),
    proof=ProofFact(NOW - 60 * MINUTE, 800, 0),
)


def test_well_says_when_the_path_was_proven() -> None:
    found = condition([WELL], NOW)
    assert found.state == "well"
    assert found.reasons[0].words == Words("proven 21:13, 0.8 s", "21:13 自检通过，0.8 秒")
    assert len(found.reasons) == 1


def test_a_home_without_sensors_is_well_for_calls_only() -> None:
    found = condition([replace(WELL, sensors=(), rules=())], NOW)
    assert found.state == "well"
    assert "calls only" in found.reasons[1].words.en
    unwatched = condition([replace(WELL, rules=())], NOW)
    assert "no rule watches" in unwatched.reasons[1].words.en


NOT_WELL = {
    "never heard": replace(WELL, heard_ms=None),
    "not heard lately": replace(WELL, heard_ms=NOW - 19 * MINUTE),
    "heard in the future": replace(WELL, heard_ms=NOW + 5 * MINUTE),
    "not read back": replace(WELL, read=False),
    "still arriving": replace(WELL, behind_ms=NOW - MINUTE),
    "no proof": replace(WELL, proof=None),
    "never proven": replace(WELL, proof=ProofFact(0, 0, 0)),
    "proof failed": replace(WELL, proof=ProofFact(NOW - MINUTE, 800, 2)),
    "proof too old": replace(WELL, proof=ProofFact(NOW - PROOF_LIMIT_MS - 1, 800, 0)),
    "proof in the future": replace(WELL, proof=ProofFact(NOW + 5 * MINUTE, 800, 0)),
    "a sensor is blind": replace(WELL, sensors=(*WELL.sensors, SensorFact(KITCHEN, False))),
    "a rule cannot tell": replace(WELL, rules=(QUIET, QUIET._replace(state="cannot_tell"))),
    "a rule was not looked at": replace(WELL, rules=(QUIET._replace(due_ms=NOW - RULES_LATE_MS - 1),)),
    "away": replace(WELL, mode=Mode(AWAY, NOW - MINUTE, NOW + MINUTE)),
    "in hospital": replace(WELL, mode=Mode(HOSPITAL, NOW - MINUTE, NOW + MINUTE)),
}


@pytest.mark.parametrize("why", NOT_WELL)
def test_what_is_not_known_cannot_be_told(why: str) -> None:
    found = condition([NOT_WELL[why]], NOW)
    assert found.state == "cannot_tell"
    assert found.reasons[0].words.en


@pytest.mark.parametrize("kind", sorted({*names.RESTORAL, k.SENSOR_DOUBTED}))
def test_a_fault_that_stands_is_never_well(kind: int) -> None:
    found = condition([replace(WELL, faults=(FaultFact(kind, NOW - MINUTE, KITCHEN),))], NOW)
    assert found.state == ("cannot_tell" if kind in BLINDING else "attention")
    assert found.reasons[0].words.en.startswith("kitchen sensor: ")
    assert found.reasons[0].words.zh.startswith("厨房传感器：")


@pytest.mark.parametrize("state", [k.PRE, k.OPEN, k.ACCEPTED, k.DISPATCHED, k.ON_SCENE, 99])
def test_an_alarm_needs_attention_whatever_else_is_not_known(state: int) -> None:
    hub = replace(WELL, heard_ms=None, alarms=(AlarmFact(k.CALL, state, NOW - MINUTE),))
    found = condition([WELL, hub], NOW)
    assert found.state == "attention"
    assert found.reasons[0].words.en.startswith("emergency call: ")
    assert found.reasons[0].since_ms == NOW - MINUTE
    assert any("never been heard" in reason.words.en for reason in found.reasons)


def test_what_a_rule_finds_needs_attention() -> None:
    for state in ("raise", "hint"):
        found = condition([replace(WELL, rules=(QUIET._replace(state=state, since_ms=5),))], NOW)
        assert (found.state, found.reasons[0].since_ms) == ("attention", 5)


def test_a_hint_does_not_hide_that_something_cannot_be_told() -> None:
    hub = replace(WELL, rules=(QUIET._replace(state="hint"),), sensors=(SensorFact(KITCHEN, False),))
    assert condition([hub], NOW).state == "cannot_tell"


def test_modes_in_which_somebody_is_there_are_said() -> None:
    for mode in (VISITOR, SLEEP):
        found = condition([replace(WELL, mode=Mode(mode, NOW, NOW + MINUTE))], NOW)
        assert found.state == "well"
        assert "until 09-21 22:14" in found.reasons[-1].words.en


def test_a_home_without_hubs() -> None:
    assert condition([], NOW).state == "cannot_tell"


# Whatever the facts

moments = st.one_of(st.none(), st.integers(NOW - 3 * PROOF_LIMIT_MS, NOW + PROOF_LIMIT_MS))
ms = st.integers(NOW - 3 * PROOF_LIMIT_MS, NOW + PROOF_LIMIT_MS)
words = st.just(Words("words", "话"))
kinds = st.sampled_from([*names.RESTORAL, k.SENSOR_DOUBTED, 126])
hubs = st.builds(
    HubFacts,
    heard_ms=moments,
    limit_ms=st.integers(0, 60 * MINUTE),
    read=st.booleans(),
    behind_ms=st.one_of(st.none(), ms),
    alarms=st.lists(st.builds(AlarmFact, st.integers(1, 41), st.integers(1, 9), ms), max_size=2).map(tuple),
    faults=st.lists(st.builds(FaultFact, kinds, ms, words), max_size=2).map(tuple),
    sensors=st.lists(st.builds(SensorFact, words, st.booleans()), max_size=2).map(tuple),
    rules=st.lists(
        st.builds(
            RuleFact, st.sampled_from(["quiet", "raise", "cannot_tell", "hint", "off"]), words, ms, moments
        ),
        max_size=3,
    ).map(tuple),
    mode=st.one_of(st.none(), st.builds(Mode, st.integers(1, 5), ms, ms)),
    proof=st.one_of(st.none(), st.builds(ProofFact, st.one_of(st.just(0), ms), st.integers(0, 60_000),
                                         st.sampled_from([0, 0, 1, 3]))),
)  # fmt: skip
# Near to well, so that well is reached and lost by one thing at a time.
near = st.builds(
    lambda base, other, names_of: replace(base, **{name: getattr(other, name) for name in names_of}),
    st.just(WELL),
    hubs,
    st.sets(
        st.sampled_from(
            ["heard_ms", "read", "behind_ms", "alarms", "faults", "sensors", "rules", "proof", "mode"]
        ),
        max_size=3,
    ),
)


def well_grounded(hub: HubFacts) -> bool:
    """What a person would ask for before saying "well"."""
    return (
        hub.heard_ms is not None
        and hub.heard_ms >= NOW - hub.limit_ms
        and hub.heard_ms <= NOW + MINUTE
        and hub.read
        and hub.behind_ms is None
        and not hub.alarms
        and not hub.faults
        and all(sensor.covered for sensor in hub.sensors)
        and all(rule.state in ("quiet", "off") and rule.due_ms >= NOW - RULES_LATE_MS for rule in hub.rules)
        and hub.proof is not None
        and hub.proof.fault == 0
        and NOW - PROOF_LIMIT_MS <= hub.proof.at_ms <= NOW + MINUTE
        and (hub.mode is None or hub.mode.mode not in (AWAY, HOSPITAL))
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(hubs, near), max_size=3))
def test_well_means_well_grounded_and_the_other_way_round(home: list[HubFacts]) -> None:
    found = condition(home, NOW)
    assert found.state in STATES
    assert found.state in STATE_WORDS
    assert (found.state == "well") == (bool(home) and all(map(well_grounded, home)))
    assert found.reasons
    for reason in found.reasons:
        assert reason.words.en
        assert reason.words.zh
    if any(hub.alarms for hub in home):
        assert found.state == "attention"


@settings(max_examples=200, deadline=None)
@given(near, st.lists(hubs, max_size=2))
def test_another_hub_never_makes_a_home_well(hub: HubFacts, others: list[HubFacts]) -> None:
    if condition([hub], NOW).state != "well":
        assert condition([hub, *others], NOW).state != "well"
