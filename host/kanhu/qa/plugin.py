"""The suite's pytest plugin: options, markers, fixtures (docs/qa.md). hil_tests/conftest.py activates it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from kanhu.broker import EmbeddedBroker
from kanhu.errors import KanhuError
from kanhu.qa import cli_options, notes, promises
from kanhu.qa.board import Board
from kanhu.qa.capabilities import PRESS, NeedsCapability
from kanhu.qa.clock import StimulusTime
from kanhu.qa.faults.fixtures import fault as fault
from kanhu.qa.host import Platform
from kanhu.qa.hub import Hub
from kanhu.qa.measure import Measures
from kanhu.qa.record import Recorder
from kanhu.qa.report import hooks
from kanhu.qa.rig import Rig, RigTrouble, Target
from kanhu.sim.daemon import DaemonProcess

TIMEOUT_S = 900  # of a test, the bench's first flashing included
BREAKERS = frozenset({"fault", "broker", "daemon"})  # fixtures that break the way between hub and host
CONSOLE_TAIL = 6000  # characters of the console that a failure shows
PYSERIAL = ("setDaemon\\(\\)", "setName\\(\\)")  # names that its RFC 2217 client uses
RECORDER = pytest.StashKey[Recorder]()
RIG = pytest.StashKey[Rig]()


def pytest_addoption(parser: pytest.Parser) -> None:
    cli_options.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Before pytest-xdist reads how many workers are wanted."""
    cli_options.spread(config)
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    for line in cli_options.MARKERS:
        config.addinivalue_line("markers", line)
    for text in PYSERIAL:
        config.addinivalue_line("filterwarnings", f"ignore:{text} is deprecated:DeprecationWarning:serial")
    recorder = Recorder.start(config.getoption("--target"), config.getoption("--seed"))
    config.stash[RECORDER] = recorder
    path = config.rootpath / promises.LIST
    if path.exists():
        try:
            recorder.know_promises({one.id: one.text for one in promises.load(path).values()})
        except KanhuError as error:
            raise pytest.UsageError(str(error)) from None
    folder = cli_options.report_folder(config)
    if folder is not None and not config.option.collectonly:
        hooks.install(
            config,
            recorder,
            folder,
            history=config.getoption("--history"),
            quarantine=_quarantine(config),
        )


def _quarantine(config: pytest.Config) -> Path | None:
    given = config.getoption("--quarantine")
    usual = config.rootpath / "hil_tests" / "quarantine.toml"
    return Path(given) if given else usual if usual.exists() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building a bench takes longer than other tests may."""
    for item in items:
        if "bench" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


# What a bench cannot do skips a test, by name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with _named(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _named(item):
        return (yield)


@contextlib.contextmanager
def _named(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except NeedsCapability as missing:
        _without(item.config, str(missing))


def _without(config: pytest.Config, why: str) -> None:
    if config.getoption("--strict-needs"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the hub said."""
    report = yield
    rig = item.config.stash.get(RIG, None)
    if report.failed and rig is not None and "bench" in getattr(item, "fixturenames", ()):
        with contextlib.suppress(RigTrouble):
            report.sections += [
                (f"console of {hub.name}", hub.log()[-CONSOLE_TAIL:]) for hub in rig.hubs if hub.log()
            ]
    return report


# Fixtures


@pytest.fixture(scope="session")
def recorder(pytestconfig: pytest.Config) -> Recorder:
    """The record of this run (kanhu.qa.record)."""
    return pytestconfig.stash[RECORDER]


@pytest.fixture(scope="session")
def bench(
    pytestconfig: pytest.Config, recorder: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rig]:
    """Everything that stands on the bench, built once: boards flashed, hubs in their Wi-Fi and well."""
    options = cli_options.options(pytestconfig, tmp_path_factory.mktemp("bench"))
    with contextlib.ExitStack() as stack:
        try:
            rig = stack.enter_context(Rig(options, _target(options.target), recorder))
        except (KanhuError, TimeoutError) as error:
            pytest.fail(f"the bench: {error}", pytrace=False)
        pytestconfig.stash[RIG] = rig
        if not options.flash:
            recorder.note("the boards were taken as they were (--no-flash): nobody knows what is on them")
        yield rig
        del pytestconfig.stash[RIG]


def _target(name: str) -> Target:
    if name == "usb":
        from kanhu.qa.targets import usb as boards
    else:
        from kanhu.qa.targets import sim as boards  # type: ignore[no-redef]  # needs the extra kanhu[sim]
    return boards.bench


@pytest.fixture(autouse=True)
def _needs(request: pytest.FixtureRequest) -> None:
    config = request.config
    wanted = {name for mark in request.node.iter_markers("needs") for name in mark.args}
    spared = config.getoption("--target") == "usb" and not config.getoption("--destructive")
    if spared and request.node.get_closest_marker("destructive"):
        pytest.skip("it wears a real board out: say --destructive")
    if wanted:
        rig = cast(Rig, request.getfixturevalue("bench"))
        try:
            missing = rig.missing(wanted)
        except KanhuError as error:  # a name that there is not
            pytest.fail(f"@pytest.mark.needs: {error}", pytrace=False)
        if missing:
            _without(config, "; ".join(missing))


@pytest.fixture
def hub(bench: Rig, recorder: Recorder, request: pytest.FixtureRequest) -> Iterator[Hub]:
    """The hub under test that all tests share: well when it is given, and well again afterwards."""
    if left := bench.settle():
        bench.rebuild()
        recorder.note(f"the bench was built again: {'; '.join(left)}")
        if left := bench.settle():
            pytest.fail(f"the hub is not well though it was flashed anew: {'; '.join(left)}", pytrace=False)
    own, platform = bench.hub, Platform(bench.host)
    said = own.log_position()
    account = notes.Account(bench.host, own.hub_id)
    yield own
    left = bench.settle(heard=not BREAKERS.isdisjoint(request.fixturenames))
    notes.take(recorder, own, platform, said, bench.stimulus)
    lost = [] if left else account.close(recorder)
    if lost:
        pytest.fail(f"calls that are stored and never reached the platform: {', '.join(lost)}", pytrace=False)
    if left:
        bench.rebuild()
        pytest.fail(f"what the test did to the hub did not come back: {'; '.join(left)}", pytrace=False)


@pytest.fixture
def hubs(bench: Rig, recorder: Recorder) -> Iterator[Callable[..., list[Board]]]:
    """hubs(n, **options): further hubs, well; options as Town.add_home has them, on simulated boards only."""
    made: list[tuple[Board, int]] = []

    def more(count: int, **options: Any) -> list[Board]:
        found = bench.more_hubs(count, **options)
        made.extend((one, one.log_position()) for one in found)
        return found

    yield more
    for board, said in made:
        recorder.attach_log(board.name, board.log(said))
    bench.put_away([board for board, _ in made])


@pytest.fixture
def stimulus(bench: Rig, hub: Hub) -> Any:
    """The second board (kanhu.qa.stimulus.Stimulus)."""
    if bench.stimulus is None:
        raise NeedsCapability(PRESS)
    return bench.stimulus


@pytest.fixture
def clock(stimulus: Any) -> StimulusTime:
    """The stimulus' ticks as monotonic time: clock.at(ticks_us), clock.error."""
    return StimulusTime(stimulus)


@pytest.fixture
def platform(bench: Rig, hub: Hub) -> Platform:
    """The city's side from now on; its operator accepts only when told."""
    return Platform(bench.host)


@pytest.fixture
def broker(bench: Rig, hub: Hub) -> EmbeddedBroker:
    """The broker behind the proxy: stop, kill, start."""
    return bench.host.town.broker


@pytest.fixture
def daemon(bench: Rig, hub: Hub) -> DaemonProcess:
    """The host's daemon: stop, kill, start."""
    return bench.host.town.daemon


@pytest.fixture
def measure(recorder: Recorder) -> Measures:
    """measure(name, value, unit, limit): into the record, and a failure when it breaks its limit."""
    return Measures(recorder)
