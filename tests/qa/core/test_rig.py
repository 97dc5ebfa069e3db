"""A bench that breaks: what did not come back is named, and the next test finds one that was built anew."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kanhu.qa.capabilities import NeedsCapability
from kanhu.qa.hub import Hub
from kanhu.qa.model import BoardInfo
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Options, Parts, Rig, RigTrouble
from kanhu.qa.targets.kept import Kept


class Target:
    """Builds benches of nothing; `fails` of them cannot be built."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self.ended = 0
        self.fails = 0

    @contextlib.contextmanager
    def __call__(self, options: Options) -> Iterator[Parts]:
        assert options.folder.is_dir()
        self.folders.append(options.folder)
        if self.fails:
            self.fails -= 1
            raise RigTrouble("no board answers")
        hub: Any = SimpleNamespace(capabilities=frozenset({"press"}), mark=None)
        parts = Parts(hubs=[hub], host=cast(Any, None), installer=cast(Any, None))
        parts.capabilities = frozenset({"proxy"})
        parts.boards = [BoardInfo(name="hub", firmware_version=f"0.{len(self.folders)}.0")]
        try:
            yield parts
        finally:
            self.ended += 1


def test_it_is_built_anew_in_a_folder_of_its_own_and_the_record_knows(tmp_path: Path) -> None:
    target, recorder = Target(), Recorder.start("sim")
    with Rig(Options(folder=tmp_path), target, recorder) as rig:
        first = rig.hub
        assert rig.capabilities == {"press", "proxy"}
        (why,) = rig.missing({"press", "dns"})
        assert why.startswith("this bench has no dns")
        assert first.mark == recorder.mark
        rig.rebuild()
        assert rig.hub is not first
        assert (rig.rebuilt, target.ended) == (1, 1)
    assert target.ended == 2
    assert len(set(target.folders)) == 2
    (board,) = recorder.run.boards
    assert board.firmware_version == "0.2.0"


def test_one_that_cannot_be_built_again_says_so_until_it_can(tmp_path: Path) -> None:
    target = Target()
    with Rig(Options(folder=tmp_path), target) as rig:
        target.fails = 1
        with pytest.raises(RigTrouble, match="no board answers"):
            rig.rebuild()
        with pytest.raises(RigTrouble, match="could not be built again"):
            _ = rig.hub
        assert rig.settle() == ["the bench, which could not be built again"]
        rig.rebuild()
        assert rig.hub


def test_further_hubs_that_there_are_not(tmp_path: Path) -> None:
    with Rig(Options(folder=tmp_path), Target()) as rig:
        with pytest.raises(NeedsCapability, match=r"no 2 further hubs: add \[\[hub\]\]"):
            rig.more_hubs(2)


SUITE = '''
import types
import pytest
from contextlib import contextmanager

pytest_plugins = ["kanhu.qa.plugin"]


@pytest.fixture(scope="session")
def bench(pytestconfig, recorder):
    import threading, time
    from kanhu.qa import plugin
    from kanhu.qa.rig import Rig

    class Broken(Rig):
        """One whose hub does not come back once after the test that breaks it."""

        wrong = False
        stimulus = None
        hubs = property(lambda self: [self.own])

        def __init__(self):
            self.rebuilt, self.recorder = 0, recorder
            tally = types.SimpleNamespace(repeats=0)
            city = types.SimpleNamespace(lock=threading.Lock(), log=[], tally=tally)
            self.own_host = types.SimpleNamespace(
                city=city, observer=None, newest=lambda hub: 0, stored=lambda hub, kind, after: []
            )
            self._new()

        def _new(self):
            lines = [(time.monotonic() + 1000, "kanhu: lamp well")]
            self.own = types.SimpleNamespace(
                name="hub", hub_id="7q8k2m3x9a", serial=self.rebuilt, log=lambda after=0: "it said this",
                log_position=lambda: 0, lines=lambda: lines,
            )

        hub = property(lambda self: self.own)
        host = property(lambda self: self.own_host)

        def settle(self, timeout=1, *, heard=False):
            return ["the lamp does not say well: it showed ['fault']"] if self.wrong else []

        def rebuild(self):
            self.rebuilt += 1
            self.wrong = False
            self._new()

    pytestconfig.stash[plugin.RIG] = Broken()
    return pytestconfig.stash[plugin.RIG]
'''
TESTS = """
def test_breaks(bench, hub):
    bench.wrong = True

def test_goes_on(bench, hub):
    assert (bench.rebuilt, hub.serial) == (1, 1)

def test_breaks_before(bench):
    bench.wrong = True

def test_finds_it_so(bench, hub):
    assert (bench.rebuilt, hub.serial) == (2, 2)
"""


def test_the_test_that_left_it_so_fails_and_the_next_one_has_a_new_bench(pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("hil_tests")
    (folder / "conftest.py").write_text(SUITE, encoding="utf-8")
    (folder / "test_it.py").write_text(TESTS, encoding="utf-8")
    pytester.makeini("[pytest]\naddopts = -p no:schemathesis -p no:cacheprovider\n")
    result = pytester.runpytest_subprocess("hil_tests", "--report", "report")
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(
        ["*what the test did to the hub did not come back: the lamp does not say well*"]
    )
    found = json.loads((pytester.path / "report" / "run.json").read_text(encoding="utf-8"))
    assert [test["outcome"] for test in found["tests"]] == ["error", "passed", "passed", "passed"]
    assert found["tests"][0]["log"] == {"hub": "it said this"}
    assert found["tests"][0]["marks"][0]["name"] == "lamp well"
    assert found["notes"] == ["the bench was built again: the lamp does not say well: it showed ['fault']"]


def test_without_flashing_needs_a_run_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = Kept(tmp_path / "bench.toml")
    with pytest.raises(RigTrouble, match="leave --no-flash out once"):
        _ = kept.proxy_port
    assert kept.last_mac("hub") == ""
    data = tmp_path / "data"
    data.mkdir()
    (data / "registry.db").touch()
    hub = cast(Hub, SimpleNamespace(name="hub", mac="240ac40000a1"))
    kept.save(data, 18830, [hub])
    again = Kept(tmp_path / "bench.toml")
    assert (again.proxy_port, again.mac("hub")) == (18830, "240ac40000a1")
    assert (again.last_mac("hub"), again.last_mac("hub-2")) == ("240ac40000a1", "")
    with pytest.raises(RigTrouble, match=r"hub-2 of .* was never flashed"):
        again.mac("hub-2")
    again.restore(tmp_path / "new")
    assert (tmp_path / "new" / "registry.db").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "kanhu" / "qa").iterdir():
        assert path.stat().st_mode & 0o077 == 0
