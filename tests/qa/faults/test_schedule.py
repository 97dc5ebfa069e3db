"""Schedules: drawn, written into a report, read again, carried out and judged."""

from __future__ import annotations

import ast
import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kanhu.qa import promises
from kanhu.qa.board import Board
from kanhu.qa.capabilities import NeedsCapability
from kanhu.qa.faults import judge, soak
from kanhu.qa.faults.deeds import NEEDS, NOT_HERE, Deeds, Press, possible
from kanhu.qa.faults.faults import Faults
from kanhu.qa.faults.judge import PROMISES, Broken, Watch, broken
from kanhu.qa.faults.schedule import draw, lane, read, rows, run, table
from kanhu.qa.model import Run, Test
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Rig
from kanhu.sim.faults import oracle
from kanhu.sim.faults.heard import Spell
from kanhu.sim.faults.plan import ACTIONS, BENCH_FAULTS, FAULTS, Plan, PlanError, Step

ROOT = Path(__file__).parents[3]
ALL = dict.fromkeys((*FAULTS, *BENCH_FAULTS), 1.0)
LIMIT_S = 60.0


def report(folder: Path, *plans: tuple[str, Plan | None]) -> Path:
    """run.json of tests that carried these out."""
    recorder = Recorder.start("sim")
    for name, plan in plans:
        with recorder.test(name):
            if plan:
                recorder.schedule(plan.seed, rows(plan))
    path = folder / "run.json"
    path.write_text(recorder.close().model_dump_json())
    return path


def plan(*steps: tuple[float, str, dict[str, Any]], seed: int = 2) -> Plan:
    return Plan(seed, tuple(Step(at_s, action, args) for at_s, action, args in steps))


# Drawn and read


@pytest.mark.parametrize("seed", [1, 609, 10**12])
def test_a_seed_and_a_report_give_the_same_schedule(seed: int, tmp_path: Path) -> None:
    drawn = draw(seed, 20.0, ALL)
    path = report(tmp_path, ("other", None), ("soak", drawn))
    assert read(path) == read(path, "soak") == drawn == draw(seed, 20.0, ALL)
    assert "motion" not in {step.action for step in drawn.steps}


def test_a_plan_of_json_lines_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "plan.jsonl"
    drawn = draw(5, 10.0, ALL)
    path.write_text(drawn.dumps())
    assert read(path) == drawn


def test_every_fault_of_a_bench_comes_up_within_many_seeds() -> None:
    seen = {step.action for seed in range(300) for step in draw(seed, 20.0, ALL).steps}
    assert seen >= set(ALL)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("{}", "is no report"),
        ('{"seed": 1}\n{"at_s": 0, "action": "earthquake"}\n', "no such action 'earthquake'"),
        (
            Run(id="1", started_utc="2026-01-01T00:00:00Z", target="sim").model_dump_json(),
            "holds no schedule",
        ),  # type: ignore[arg-type]
    ],
)
def test_what_holds_no_schedule_is_said(text: str | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlanError, match=why):
        read(path)


def test_a_test_without_a_schedule_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="no schedule of other"):
        read(report(tmp_path, ("other", None), ("soak", draw(1, 5.0, ALL))), "other")


# Carried out


def test_every_action_has_a_deed_and_every_need_a_name(fault: Faults) -> None:
    actions = set(ACTIONS) - set(NOT_HERE) - {"press"}
    assert all(callable(getattr(Deeds, name)) for name in actions)
    for name in actions:
        wanted = set(inspect.signature(getattr(Deeds, name)).parameters) - {"self"}
        assert wanted == set(ACTIONS[name].args), name
    assert set(NEEDS) <= set(ACTIONS)
    assert set(possible(fault)) <= set(ALL)


def test_a_bench_draws_only_what_it_can_do(fault: Faults, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.parts, "capabilities", frozenset())
    monkeypatch.setattr(type(rig.hub), "capabilities", frozenset({"press"}))
    left = set(possible(fault))
    assert {"daemon_kill", "broker_restart", "platform_down"} <= left
    assert not left & {"wifi_down", "hub_torn", "hub_power_cut", "link_cut", "air_storm", "registry_restored"}
    deeds = Deeds(fault, [rig.hub])
    with pytest.raises(NeedsCapability, match="this bench has no wifi"):
        run(plan((0.0, "wifi_down", {"hub": 0}), (0.1, "wifi_up", {"hub": 0})), fault, deeds)
    with pytest.raises(NeedsCapability, match="registry_restored"):
        deeds.prepare(plan((0.0, "registry_restored", {"for_s": 1.0})))


def test_steps_are_carried_out_when_they_are_due_beside_each_other(fault: Faults, rig: Rig) -> None:
    class Slow(Deeds):
        def link_stall(self, for_s: float) -> None:
            time.sleep(for_s)

        def daemon_kill(self, for_s: float) -> None:
            time.sleep(for_s)

        def platform_mute(self) -> None:
            fault.cut("city").begin()
            raise OSError("out of order")

    steps = plan(
        (0.0, "link_stall", {"for_s": 0.6}),
        (0.1, "daemon_kill", {"for_s": 0.3}),
        (0.2, "daemon_kill", {"for_s": 0.1}),
        (0.3, "platform_mute", {}),
        (0.4, "platform_unmute", {}),
    )
    done = run(steps, fault, Slow(fault, [rig.hub]))
    assert [one.begin_s for one in done] == sorted(one.begin_s for one in done)
    stall, first, second, mute, unmute = sorted(done, key=lambda one: one.step.at_s)
    assert first.begin_s < stall.end_s  # beside it
    assert second.begin_s >= first.end_s  # after it: there is one daemon
    assert mute.error == "OSError: out of order"
    assert not unmute.error
    assert fault.open == []
    assert "FAILED: OSError: out of order" in table(done)
    assert lane(steps.steps[1]) == lane(plan((0.0, "daemon_stop", {"for_s": 1.0})).steps[0])


# Judged


def test_every_rule_of_the_oracle_breaks_a_promise_that_there_is() -> None:
    tree = ast.parse(inspect.getsource(oracle))
    rules = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Violation"
        and isinstance(node.args[0], ast.Constant)
    }
    assert rules - {"motion twice"} <= set(PROMISES)  # schedules of a bench move nobody
    assert set(PROMISES.values()) <= set(promises.load(ROOT / promises.LIST))


@pytest.fixture
def hub(rig: Rig) -> Iterator[Board]:
    board: Board = rig.hub
    board.wait_indicator("well", LIMIT_S)
    yield board
    assert rig.settle() == []


STEPS = plan(
    (0.0, "press", {"hub": 0, "button": 0}),
    (1.5, "link_stall", {"for_s": 1.0}),
    (2.0, "press", {"hub": 0, "button": 0}),
    (2.5, "daemon_kill", {"for_s": 0.5}),
    (3.0, "hub_power_cut", {"hub": 0, "for_s": 0.3}),
)


def test_a_schedule_in_which_every_promise_holds(fault: Faults, hub: Board, rig: Rig, tmp_path: Path) -> None:
    recorder = Recorder.start("sim")
    with recorder.test("soak"):
        outcome = soak.attempt(STEPS, rig, fault, recorder)
    assert outcome.broken == []
    assert outcome.errors == []
    assert outcome.presses == 2
    assert "every promise held" in outcome.sentence
    kept: Test = recorder.run.tests[0]
    assert kept.seed == STEPS.seed
    assert kept.schedule == [json.loads(line) for line in STEPS.dumps().splitlines()[1:]]
    assert {mark.name for mark in kept.marks} == {"press", "call at the platform"}
    assert kept.calls is not None
    assert kept.calls.pressed == kept.calls.arrived == 2
    assert set(kept.series) == {"heap free (B)", "outbox (events)"}


def test_a_call_that_never_came_breaks_its_promise(
    fault: Faults, hub: Board, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "CALM_S", 0.0)
    came = Watch._handed

    def without_calls(self: Watch) -> list[oracle.Arrival]:
        return [one for one in came(self) if one.name != "call"]

    monkeypatch.setattr(Watch, "_handed", without_calls)
    outcome = soak.attempt(plan((0.0, "press", {"hub": 0, "button": 0})), rig, fault, Recorder.start("sim"))
    assert {one.promise for one in outcome.broken} >= {"D-02", "D-05"}
    said = outcome.explain()
    assert "PROMISE BROKEN D-02: heard press lost: hub" in said
    assert "--seed 2" in said


def test_what_the_lamp_may_not_claim(fault: Faults, hub: Board, rig: Rig) -> None:
    watch = Watch(rig, fault, hub)
    now = time.monotonic()

    class Console:
        hub_id = hub.hub_id

        def lines(self) -> list[tuple[float, str]]:
            return [(now - 60, "kanhu: lamp accepted")] + [
                (now + place, f"kanhu: lamp {name}")
                for place, name in enumerate(("delivered", "accepted", "coming", "well"))
            ]

    watch._board = Console()  # type: ignore[assignment]
    assert [str(one) for one in broken(watch.shown(now + 100))] == [
        "PROMISE BROKEN L-01: delivered shown too soon: the platform had no call",
        "PROMISE BROKEN L-03: accepted without a person: the lamp showed accepted",
        "PROMISE BROKEN L-03: accepted without a person: the lamp showed coming",
    ]
    watch.answered = now + 0.5  # an operator is at work
    assert [one.rule for one in watch.shown(now + 100)] == ["delivered shown too soon"]


def test_only_a_press_at_which_the_supply_went_may_be_more_than_one(
    fault: Faults, hub: Board, rig: Rig
) -> None:
    watch = Watch(rig, fault, hub)
    fault.dark[hub.hub_id].append(Spell(100.0, 101.0))

    class Console:
        hub_id = hub.hub_id

        def lines(self) -> list[tuple[float, str]]:
            return [(1.0, "kanhu: lamp well"), (50.1, "kanhu: lamp heard"), (90.0, "kanhu: lamp well")]

    watch._board = Console()  # type: ignore[assignment]
    presses = [Press(50.0, hub.hub_id, "button"), Press(99.9, hub.hub_id, "button")]
    told = watch.pressed(presses)
    assert [one.at_s for one in told] == [50.0, 99.9, 99.9, 99.9]
    assert told[0].heard_s == 50.1
    fault.dark.clear()


def test_a_daemon_that_ends_by_itself_is_noticed(fault: Faults, hub: Board, rig: Rig) -> None:
    daemon = rig.host.town.daemon
    assert fault.look() == []
    daemon.kill()  # nobody's fault
    (words,) = fault.look()
    assert words
    daemon.start()
    assert broken([oracle.Violation("daemon ended by itself", words)])[0] == Broken(
        "O-01", "daemon ended by itself", words
    )
