"""Faults on accelerated time: a sample of `make faults`, schedules that hypothesis invents, and proof that a
broken promise would be seen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kanhu.sim.faults.coverage import Coverage
from kanhu.sim.faults.plan import Plan, Step
from kanhu.sim.world import plans, schedule
from kanhu.sim.world.cli import Job, Totals, jobs, play
from kanhu.sim.world.host import SteppedWriter

SAMPLE = range(1, 49)  # seeds; `make faults` plays 1,000
OUTAGE_H = 3.0  # of the platform; 72 h in `make faults`
PER_TEST = 6


def held(verdict: schedule.Verdict) -> None:
    """Every promise, or the plan that broke one, for `python -m kanhu.sim.world --plan`."""
    assert not verdict.violations, "\n".join([*map(str, verdict.violations), verdict.plan.dumps()])


@pytest.mark.parametrize("first", SAMPLE[::PER_TEST])
def test_every_promise_holds_whatever_goes_wrong(first: int) -> None:
    totals = Totals()
    for seed in range(first, first + PER_TEST):
        job, verdict = play(Job(seed))
        totals.add(job, verdict)
        held(verdict)
    print(totals.report())
    assert totals.counts["heard"] >= PER_TEST
    assert totals.counts["repeats"], "nothing was said twice: these schedules prove little"


def test_a_long_outage_of_the_platform_loses_nothing() -> None:
    _, verdict = play(Job(1, OUTAGE_H))
    held(verdict)
    assert verdict.virtual_s > OUTAGE_H * 3600
    assert verdict.events > 60 * OUTAGE_H / 2  # an alarm that nobody takes is said again every minute


def test_a_seed_replays_to_the_last_step() -> None:
    first, second = (play(Job(9))[1] for _ in range(2))
    assert [line for line in first.trace if "data_dir" not in line] == [
        line for line in second.trace if "data_dir" not in line
    ]
    assert len(first.trace) > 50
    assert Plan.loads(first.plan.dumps()) == first.plan


def test_a_full_disk_takes_no_commit_and_costs_nothing() -> None:
    full = Plan(
        7,
        (
            Step(10.0, "host_disk_full"),
            Step(11.0, "press", {"hub": 0, "button": 0}),
            Step(40.0, "host_disk_free"),
        ),
    )
    verdict = schedule.run(full)
    held(verdict)
    assert verdict.heard == 1
    assert verdict.exercised["commits refused by a full disk"] > 1


def test_a_full_flash_of_a_hub_takes_no_more_events() -> None:
    with schedule.Session(7) as session:
        home = session.world.homes[0]
        session.wait(10.0)
        home.hub.set_flash("full")
        for number in range(8):
            session.do(Step(session.world.loop.time(), "motion", {"hub": 0}))
            session.do(Step(session.world.loop.time(), "press", {"hub": 0, "button": number % 2}))
            session.wait(5.0)
        assert not all(one.saved for one in home.recorded)
        assert all(one.saved for one in home.recorded if one.at_s < 10.0)


def test_the_named_run_has_every_fault_and_nearly_every_pair() -> None:
    todo = jobs(1, 1000, 2, 72.0)
    assert len(todo) == 1000
    assert todo[0].plan()[0].duration_s > 72 * 3600
    coverage = Coverage(plans.CALM_S)
    for job in todo[:200]:
        coverage.add(job.plan()[0])
    assert not coverage.unseen()


# What must be seen: each breaks one promise on purpose.


@contextlib.contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, *expected: str) -> Iterator[list[schedule.Verdict]]:
    """Play what is put into the list; the rules that must be among those broken."""
    verdicts: list[schedule.Verdict] = []
    monkeypatch.setattr(schedule, "DRAIN_MAX_S", 900.0)
    yield verdicts
    rules = {one.rule for verdict in verdicts for one in verdict.violations}
    assert rules & set(expected), rules


KILLED = Plan(
    7,
    (
        Step(5.0, "platform_mute"),
        Step(10.0, "press", {"hub": 0, "button": 0}),
        Step(14.0, "daemon_kill", {"for_s": 5.0}),
        Step(60.0, "platform_unmute"),
    ),
)


def test_a_receipt_before_the_disk_has_it_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def lie(writer: SteppedWriter, job: object) -> None:
        writer._timers.call_soon(job.settled, None)  # type: ignore[attr-defined]

    with broken(monkeypatch, "event lost", "P1 lost", "heard press lost", "not settled") as verdicts:
        with monkeypatch.context() as patch:
            patch.setattr(SteppedWriter, "submit", lie)
            verdicts.append(schedule.run(KILLED))


def test_a_press_counted_twice_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from kanhu.sim.world.world import Home

    class Forgetful(list[object]):
        def append(self, item: object) -> None:
            pass

    made = Home.__init__

    def forget(home: Home, *args: object) -> None:
        made(home, *args)  # type: ignore[arg-type]
        home.contacts = Forgetful()  # type: ignore[assignment]

    with broken(monkeypatch, "press twice") as verdicts:
        with monkeypatch.context() as patch:
            patch.setattr(Home, "__init__", forget)
            verdicts.append(schedule.run(KILLED))


# Schedules that hypothesis invents and, when one fails, makes small.


class Faults(RuleBasedStateMachine):
    """One home, and everything that can go wrong with it, in any order and overlap."""

    @initialize(seed=st.integers(0, 999))
    def begin(self, seed: int) -> None:
        self.steps: list[Step] = []
        self.standing: dict[str, Step] = {}
        self.stack = contextlib.ExitStack()
        self.session = self.stack.enter_context(schedule.Session(seed))
        self.seed = seed
        self.begin_s = self.session.world.loop.time()

    def now(self) -> float:
        return round(self.session.world.loop.time() - self.begin_s, 3)

    def do(self, action: str, **args: float) -> None:
        step = Step(self.now(), action, args)
        self.steps.append(step)
        self.session.do(step)

    def toggle(self, action: str, lift: str, **args: float) -> None:
        if action in self.standing:
            del self.standing[action]
            self.do(lift, **args)
        else:
            self.standing[action] = Step(0.0, lift, args)
            self.do(action, **args)

    @rule(seconds=st.sampled_from((0.05, 0.7, 3.0, 12.0, 40.0)))
    def wait(self, seconds: float) -> None:
        self.session.wait(seconds)

    @rule(button=st.integers(0, 1))
    def press(self, button: int) -> None:
        self.do("press", hub=0, button=button)
        self.session.wait(0.7)

    @rule()
    def motion(self) -> None:
        self.do("motion", hub=0)

    @rule(for_s=st.sampled_from((0.5, 8.0, 60.0)))
    def power(self, for_s: float) -> None:
        self.do("hub_power_cut", hub=0, for_s=for_s)

    @rule(for_s=st.sampled_from((0.2, 5.0, 90.0)))
    def kill(self, for_s: float) -> None:
        self.do("daemon_kill", for_s=for_s)

    @rule(for_s=st.sampled_from((0.5, 20.0)))
    def broker(self, for_s: float) -> None:
        self.do("broker_restart", for_s=for_s)

    @rule(for_s=st.sampled_from((2.0, 30.0)))
    def flap(self, for_s: float) -> None:
        self.do("link_flap", hub=0, for_s=for_s, times=3)

    @rule(for_s=st.sampled_from((4.0, 30.0)))
    def registry(self, for_s: float) -> None:
        self.do("registry_restored", for_s=for_s)

    @rule()
    def wifi(self) -> None:
        self.toggle("wifi_down", "wifi_up", hub=0)

    @rule()
    def platform(self) -> None:
        self.toggle("platform_down", "platform_up")

    @rule()
    def mute(self) -> None:
        self.toggle("platform_mute", "platform_unmute")

    @rule()
    def disk(self) -> None:
        self.toggle("host_disk_full", "host_disk_free")

    @rule()
    def flash(self) -> None:
        self.toggle("hub_flash_full", "hub_flash_free", hub=0)

    @rule(off_s=st.sampled_from((0.0, -86_400.0, 400.0)))
    def host_clock(self, off_s: float) -> None:
        self.do("host_clock_jump", off_s=off_s)

    @rule(off_s=st.sampled_from((0.0, -3_600.0, 3_600.0)))
    def hub_clock(self, off_s: float) -> None:
        self.do("hub_clock_jump", hub=0, off_s=off_s)

    def teardown(self) -> None:
        if not hasattr(self, "stack"):
            return
        with self.stack:
            for step in self.standing.values():
                self.do(step.action, **step.args)
            self.do("host_clock_jump", off_s=0.0)
            self.do("hub_clock_jump", hub=0, off_s=0.0)
            plan = Plan(self.seed, tuple(self.steps))
            self.session.wait(max(0.0, plan.duration_s - self.now()))
            held(self.session.verdict(plan))


TestFaults = Faults.TestCase
TestFaults.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
