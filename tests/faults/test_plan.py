"""Plans are drawn, printed, read and counted; nothing here runs one."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kanhu.sim.faults import coverage
from kanhu.sim.faults.plan import ACTIONS, FAULTS, PRESS_GAP_S, Plan, PlanError, Span, Step

SEEDS = st.integers(0, 2**63)


def crowded(seed: int) -> Plan:
    return Plan.draw(seed, 4.0, hubs=2, faults=(3, 20), press_every_s=0.4)


def plan(*steps: tuple[float, str, dict[str, float]]) -> Plan:
    return Plan(0, tuple(Step(at_s, action, args) for at_s, action, args in steps))


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_a_printed_plan_reads_as_the_same_and_a_seed_draws_the_same(seed: int) -> None:
    drawn = crowded(seed)
    assert Plan.loads(drawn.dumps()) == drawn == crowded(seed)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_every_fault_is_lifted_within_the_plan_and_none_overlaps_itself(seed: int) -> None:
    drawn = crowded(seed)
    assert [step.at_s for step in drawn.steps] == sorted(step.at_s for step in drawn.steps)
    spans = drawn.spans()
    assert all(0 <= span.begin <= span.end <= 4.001 for span in spans)
    starts = sum(ACTIONS[step.action].fault and step.args.get("off_s", 1) != 0 for step in drawn.steps)
    assert len(spans) == starts
    for one in spans:
        for other in spans:
            if one is not other and one[:2] == other[:2]:
                assert one.end < other.begin or other.end < one.begin


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_one_hub_is_not_pressed_faster_than_a_hand_can(seed: int) -> None:
    drawn = crowded(seed)
    for hub in range(drawn.hubs):
        times = [step.at_s for step in drawn.steps if step.action == "press" and step.target == hub]
        assert all(b - a >= PRESS_GAP_S - 0.0015 for a, b in itertools.pairwise(times))


def test_all_faults_and_all_pairs_come_up() -> None:
    seen = coverage.of((crowded(seed) for seed in range(300)), 1.0)
    assert all(seen.actions[name] for name in FAULTS)
    assert not seen.unseen()


def test_a_weight_of_nothing_never_comes_up() -> None:
    weights = {"daemon_kill": 1.0, "wifi_down": 0.0}
    seen = coverage.of((Plan.draw(seed, 4.0, weights, faults=(3, 5)) for seed in range(50)), 1.0)
    assert {name for name in FAULTS if seen.actions[name]} == {"daemon_kill"}
    with pytest.raises(PlanError, match="no such fault: flood"):
        Plan.draw(1, 4.0, {"flood": 1.0})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"at_s": 1, "action": "flood", "args": {}}', "no such action 'flood'"),
        ('{"at_s": 1, "action": "press", "args": {"hub": 0}}', "press takes hub, button"),
        (
            '{"at_s": 1, "action": "press", "args": {"hub": 0.5, "button": 0}}',
            "hub of press is a whole number",
        ),
        ('{"at_s": 1, "action": "press", "args": {"hub": true, "button": 0}}', "whole number"),
        ('{"at_s": -1, "action": "platform_up"}', "at_s -1"),
        ('{"at_s": NaN, "action": "platform_up"}', "at_s nan"),
        ('{"at_s": 1, "action": "daemon_kill", "args": {"for_s": -2}}', "for_s of daemon_kill is -2"),
        ('{"action": "platform_up"}', "at_s"),
        ("[1]", "line 2"),
        ("wifi down", "line 2"),
        ('{"at_s": 1, "action": "wifi_down", "args": {"hub": 0}}', "never lifted: wifi_down"),
        ('{"at_s": 1, "action": "host_clock_jump", "args": {"off_s": 9}}', "never lifted: host_clock_jump"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused_with_its_reason(line: str, why: str) -> None:
    with pytest.raises(PlanError, match=why):
        Plan.loads('{"seed": 1}\n' + line + "\n")


def test_spans_know_when_a_fault_ends() -> None:
    drawn = plan(
        (0.0, "platform_down", {}),
        (0.5, "wifi_down", {"hub": 1}),
        (1.0, "hub_power_cut", {"hub": 1, "for_s": 0.5}),
        (1.2, "wifi_up", {"hub": 1}),
        (1.3, "hub_clock_jump", {"hub": 0, "off_s": 30.0}),
        (1.4, "hub_clock_jump", {"hub": 0, "off_s": -30.0}),
        (1.5, "hub_clock_jump", {"hub": 0, "off_s": 0.0}),
        (2.0, "platform_up", {}),
    )
    assert drawn.spans() == [
        Span("platform_down", -1, 0.0, 2.0),
        Span("wifi_down", 1, 0.5, 1.2),
        Span("hub_power_cut", 1, 1.0, 1.5),
        Span("hub_clock_jump", 0, 1.3, 1.4),
        Span("hub_clock_jump", 0, 1.4, 1.5),
    ]
    assert drawn.hubs == 2
    assert drawn.duration_s == 2.0


def test_pairs_overlap_follow_or_are_too_far_apart() -> None:
    drawn = plan(
        (0.0, "daemon_kill", {"for_s": 1.0}),
        (0.9, "broker_restart", {"for_s": 0.2}),
        (2.0, "daemon_kill", {"for_s": 0.1}),
        (9.0, "platform_mute", {}),
        (9.1, "platform_unmute", {}),
        (0.2, "press", {"hub": 0, "button": 0}),
    )
    seen = coverage.of([drawn], 1.0)
    assert dict(seen.overlapped) == {("broker_restart", "daemon_kill"): 1}
    assert dict(seen.followed) == {("broker_restart", "daemon_kill"): 1, ("daemon_kill", "daemon_kill"): 1}
    assert seen.actions == {"daemon_kill": 2, "broker_restart": 1, "platform_mute": 1, "press": 1}
    assert ("platform_mute", "wifi_down") in seen.unseen()


def test_coverages_add_up_and_travel_as_json() -> None:
    halves = [coverage.of((crowded(seed) for seed in part), 1.0) for part in (range(5), range(5, 12))]
    whole = coverage.of((crowded(seed) for seed in range(12)), 1.0)
    read = coverage.Coverage.from_dict(json.loads(json.dumps(halves[0].as_dict())))
    read.merge(halves[1])
    assert read == whole
    table = whole.table()
    assert "12 schedules" in table
    assert all(name in table for name in FAULTS)
    with pytest.raises(ValueError, match="different windows"):
        whole.merge(coverage.Coverage(2.0))
