"""Faults on real processes: a sample of `python -m kanhu.sim.faults`, and proof that it can fail."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import helpers_e2e
from kanhu.sim.faults import coverage
from kanhu.sim.faults.__main__ import WINDOW_S, draw, main
from kanhu.sim.faults.plan import FAULTS, Plan, Step
from kanhu.sim.faults.run import World, run

SAMPLE, SEED = 4, 834  # four plans in a row with every fault and 51 of the 78 pairs
LIMIT_S = 90.0
GIVE_UP_S = 2.0  # for what will never settle


def test_the_sample_has_every_fault() -> None:
    seen = coverage.of((draw(seed, True, 2) for seed in range(SEED, SEED + SAMPLE)), WINDOW_S)
    assert {name for name in FAULTS if seen.actions[name]} == set(FAULTS)


@pytest.mark.timeout(LIMIT_S + 10)
def test_a_sample_of_plans_holds_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kanhu.sim.faults", "--schedules", str(SAMPLE), "--seed", str(SEED)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    with capsys.disabled():
        print("\n" + "\n".join(done.stdout.splitlines()[: SAMPLE + 20]))
    assert done.returncode == 0, done.stdout[-30_000:] + done.stderr[-5_000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["seeds"] == list(range(SEED, SEED + SAMPLE))
    assert result["failed"] == []
    assert 0 < result["heard"] <= result["pressed"]
    assert result["repeats"] > 0  # below the SDK, or no fault has bitten


class Forgetful(World):
    """After a power cut its hubs hold what they held when they were new."""

    def _build(self) -> None:
        super()._build()
        self.new = {home.hub_id: self.image(home.hub_id).read_bytes() for home in self.homes}

    def image(self, hub_id: str) -> Path:
        return self.town.bench.folder / f"{hub_id}.flash"

    def hub_power_cut(self, hub: int, for_s: float) -> None:
        home = self.homes[hub]
        helpers_e2e.wait_for(lambda: self.noticed[hub], what="nothing was pressed")
        self.town.bench.cut_power(home.hub)
        self.image(home.hub_id).write_bytes(self.new[home.hub_id])
        self.town.bench.power(home.hub)


class Amnesiac(World):
    """After a kill its daemon finds the journal as it was at the beginning."""

    def _build(self) -> None:
        super()._build()
        self._copy(self.town.daemon.data_dir, self.town.folder / "old")

    @staticmethod
    def _copy(source: Path, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (target / name).unlink(missing_ok=True)
            if (source / name).exists():
                shutil.copyfile(source / name, target / name)

    def daemon_kill(self, for_s: float) -> None:
        helpers_e2e.wait_for(lambda: any(event.name == "call" for event in self.handed()), what="no call")
        self._stop_daemon()
        self._copy(self.town.folder / "old", self.town.daemon.data_dir)
        self._start_daemon()


def test_a_hub_that_forgets_a_heard_press_is_found_out(tmp_path: Path) -> None:
    steps = (
        Step(0.0, "broker_restart", {"for_s": 3.0}),  # nothing leaves the hub before it forgets
        Step(0.2, "press", {"hub": 0, "button": 0}),
        Step(1.2, "hub_power_cut", {"hub": 0, "for_s": 0.1}),
    )
    outcome = run(Plan(0, steps), tmp_path / "town", False, Forgetful, GIVE_UP_S)
    assert "heard press lost" in {one.rule for one in outcome.violations}, outcome
    assert outcome.counts["heard"] == 1
    assert "lamp heard" in outcome.log


def test_a_host_that_forgets_what_it_took_is_found_out(tmp_path: Path) -> None:
    steps = (
        Step(0.1, "press", {"hub": 0, "button": 0}),
        Step(1.2, "daemon_kill", {"for_s": 0.1}),
    )
    outcome = run(Plan(0, steps), tmp_path / "town", False, Amnesiac, GIVE_UP_S)
    assert "forgotten by the host" in {one.rule for one in outcome.violations}, outcome


def test_a_plan_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan").write_text('{"at_s": 1, "action": "flood"}\n')
    assert main(["--replay", str(tmp_path / "plan")]) == 2
    assert "no such action 'flood'" in capsys.readouterr().err
    assert main(["--replay", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err
