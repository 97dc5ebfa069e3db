"""A bench with everything on it: hubs, what touches them, and the host behind them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kanhu.errors import KanhuError
from kanhu.qa import capabilities as c
from kanhu.qa.board import Board
from kanhu.qa.host import Host, Platform, wait_for
from kanhu.qa.hub import Hub
from kanhu.qa.installing import Installer
from kanhu.qa.model import BoardInfo
from kanhu.qa.record import Recorder

if TYPE_CHECKING:
    from kanhu.sim.bench import Bench

WELL_S = 90.0  # from anything to a lamp that says well, on a busy computer
POLL_S = 0.1
ACCEPT_EVERY_S = 5.0  # an alarm may be raised while another one is closed


class RigTrouble(KanhuError):
    """The bench is not as a test may expect it; says what did not come back."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    target: Literal["sim", "usb"] = "sim"
    folder: Path = Path("build/qa")
    bench_file: Path | None = None
    micropython: Path | None = None
    flash: bool = True
    seed: int | None = None


@dataclass
class Parts:
    """What a target puts on the bench; gone when its context ends."""

    hubs: list[Hub]
    host: Host
    installer: Installer
    stimulus: Any = None  # kanhu.qa.stimulus.Stimulus
    sim: Bench | None = None
    capabilities: frozenset[str] = frozenset()  # beside those of its first hub
    boards: list[BoardInfo] = field(default_factory=list)
    more: Callable[..., list[Board]] | None = None  # (count, **options): further hubs
    away: Callable[[Board], None] = lambda board: None  # one of those is needed no longer


Target = Callable[[Options], AbstractContextManager[Parts]]


class Rig:
    """`with Rig(options, target) as rig`; rebuild() makes all of it anew."""

    def __init__(self, options: Options, target: Target, recorder: Recorder | None = None) -> None:
        self.options = options
        self.recorder = recorder
        self.rebuilt = 0
        self._target = target
        self._stack = contextlib.ExitStack()
        self._parts: Parts | None = None

    def __enter__(self) -> Rig:
        self._build()
        return self

    def __exit__(self, *error: Any) -> None:
        self._parts = None
        self._stack.close()

    def rebuild(self) -> None:
        """Everything off the bench and on it again, flashed anew."""
        self._parts = None
        self._stack.close()
        self.rebuilt += 1
        self._build()

    def _build(self) -> None:
        folder = self.options.folder / f"bench-{self.rebuilt}"
        folder.mkdir(parents=True)
        parts = self._stack.enter_context(self._target(replace(self.options, folder=folder)))
        if self.recorder:
            for board in parts.boards:
                self.recorder.add_board(board)
            for hub in parts.hubs:
                hub.mark = self.recorder.mark
        self._parts = parts

    @property
    def parts(self) -> Parts:
        """What stands on the bench now; RigTrouble while nothing does."""
        if self._parts is None:
            raise RigTrouble("the bench could not be built again after a test had broken it; see there")
        return self._parts

    @property
    def target(self) -> str:
        """sim or usb."""
        return self.options.target

    @property
    def hubs(self) -> list[Hub]:
        """The boards under test, the shared one first."""
        return self.parts.hubs

    @property
    def hub(self) -> Hub:
        """The one that all tests share."""
        return self.parts.hubs[0]

    @property
    def stimulus(self) -> Any:
        """The second board (kanhu.qa.stimulus.Stimulus); None on a bench without one."""
        return self.parts.stimulus

    @property
    def host(self) -> Host:
        """Broker, daemon, registry, city and the proxy before them."""
        return self.parts.host

    @property
    def sim(self) -> Bench | None:
        """The simulated bench, for what only a simulation has; None on real boards."""
        return self.parts.sim

    @property
    def installer(self) -> Installer:
        """Makes bundles, flashes and provisions."""
        return self.parts.installer

    @property
    def capabilities(self) -> frozenset[str]:
        """What this bench can do now."""
        return self.parts.capabilities | self.hub.capabilities

    def missing(self, names: frozenset[str] | set[str]) -> list[str]:
        """Of these, why the bench has them not; KanhuError for an unknown name."""
        return [c.missing(name) for name in sorted(c.check(names) - self.capabilities)]

    def more_hubs(self, count: int, **options: Any) -> list[Board]:
        """Further hubs, well; NeedsCapability where there are none."""
        if self.parts.more is None:
            raise c.NeedsCapability(why=f"this bench has no {count} further hubs: add [[hub]] to bench.toml")
        return self.parts.more(count, **options)

    def put_away(self, boards: Sequence[Board]) -> None:
        """Further hubs are needed no longer."""
        for board in boards:
            self.parts.away(board)

    # Between tests

    def settle(self, timeout: float = WELL_S, *, heard: bool = False) -> list[str]:
        """Lift what a test left, have its alarms closed; what did not come back within the time.

        heard: the hub has to say something from now on: what is between it and the host was broken."""
        if self._parts is None:
            return ["the bench, which could not be built again"]
        found = [*self._lifted()]
        hub, host = self.hub, self.host
        before = host.newest(hub.hub_id)
        end = time.monotonic() + timeout
        for name, wait in (
            ("an alarm that is not closed", lambda left: self._closed(hub, left)),
            ("the lamp does not say well", lambda left: self._well(hub, left)),
            (
                "a hub that is heard",
                lambda left: host.wait_heard(hub.hub_id, before, left) if heard else None,
            ),
            ("events that have not arrived", lambda left: host.wait_settled(hub.hub_id, left)),
        ):
            try:
                wait(max(end - time.monotonic(), 1.0))
            except TimeoutError as error:
                found.append(f"{name}: {error}")
        return found

    def _lifted(self) -> Iterator[str]:
        hub, town = self.hub, self.host.town
        try:
            for line in (self.host.proxy, self.host.daemon_line, self.host.city_line):
                line.clear()
            self.host.city.mute(False)
            if not town.broker.running:
                town.broker.start()
            if not town.daemon.running:
                town.daemon.start()
            if not hub.powered:
                hub.power(True)
            if hub.hands:
                hub.hands.settle()
        except (KanhuError, OSError, TimeoutError) as error:
            yield f"{type(error).__name__}: {error}"

    def _closed(self, hub: Hub, timeout: float) -> None:
        end = time.monotonic() + timeout
        again = 0.0
        while names := self.host.open_alarms(hub.hub_id):
            if time.monotonic() > end:
                raise TimeoutError(", ".join(names))
            if time.monotonic() > again:
                city = self.host.city
                with city.lock:  # also one that a late press has opened again after it was closed
                    city.waiting = dict.fromkeys(names, time.monotonic())
                city.accept_all()
                again = time.monotonic() + ACCEPT_EVERY_S
            time.sleep(POLL_S)

    def _well(self, hub: Hub, timeout: float) -> None:
        if c.INDICATOR not in hub.capabilities:  # the ledger has to do
            return
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            try:
                hub.wait_indicator("well", min(max(left, 1.0), ACCEPT_EVERY_S))
                return
            except TimeoutError:
                if left <= 0:
                    raise
            self._closed(hub, max(left, 1.0))  # a call that was held up may have arrived only now


def prove(hub: Hub, platform: Platform, timeout: float = WELL_S) -> str:
    """The version that the hub's boot names at the platform: the one that was flashed, or RigTrouble."""

    def boots() -> list[str] | None:
        return [str(event.data.get("firmware")) for event in platform.events("boot", hub.hub_id)] or None

    try:
        said = wait_for(boots, timeout, lambda: f"no boot event of hub {hub.hub_id} in {timeout} s")
    except TimeoutError as error:
        raise RigTrouble(f"{error}; it said: ...{hub.log()[-1000:]}") from None
    if hub.flashed and said[-1] != hub.flashed.version:
        raise RigTrouble(f"hub {hub.hub_id} runs {said[-1]}, and {hub.flashed.version} was flashed")
    return said[-1]


def info(hub: Hub, version: str, simulated: bool) -> BoardInfo:
    """What the record says of a hub."""
    return BoardInfo(
        name=hub.name,
        chip=hub.chip,
        mac=hub.mac,
        port=hub.port,
        firmware_version=version,
        firmware_sha256=hub.flashed.program_sha256 if hub.flashed else "",
        micropython=hub.flashed.micropython if hub.flashed else "",
        flashed=hub.flashed is not None,
        simulated=simulated,
    )
