"""The doctor's round at a bench: each line is moved and read, then supply, reset and radio are tried."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from kanhu.install import boards
from kanhu.install.flash import ports
from kanhu.install.flash.ports import Port
from kanhu.qa import locks, power
from kanhu.qa.bench_file import BenchFile, BenchFileError, Place
from kanhu.qa.board import BoardTrouble
from kanhu.qa.doctor import Finding, Seen, judge, pins
from kanhu.qa.doctor_hub import HubRepl
from kanhu.qa.lines import LINES, Line
from kanhu.qa.power import PowerTrouble, Supply
from kanhu.qa.radio import RadioTrouble
from kanhu.qa.scripts import Advertisement, Script
from kanhu.qa.stimulus import Stimulus, StimulusError, Written, build, flash
from kanhu.qa.targets.haste import hurried

ARRIVES_S = 2.0  # until a level that changes is seen at the other end of a wire; a real one takes µs
POLL_S = 0.05
CUT_S = 3.0  # without supply: capacitors of a board empty in 2
POWER_ON = 1  # machine.PWRON_RESET
HEARD_DBM = -85  # on one desk two boards hear each other far better
COPIES, EVERY_MS = 10, 200
Note = Callable[[str], None]


@dataclass
class Rounds:
    """Two boards with a table of wires between them."""

    stimulus: Stimulus
    hub: HubRepl
    chip: str
    supply: Supply
    lines: Mapping[str, Line]
    note: Note = lambda text: None

    def all(self) -> Iterator[Finding]:
        """Every finding, in the order in which things are tried."""
        yield from judge(self.lines, self.look())
        self.note("reset")
        yield self.reset()
        self.note("power")
        yield self.power()
        self.note("radio")
        yield self.radio()

    # Lines

    def look(self) -> Seen:
        """Move each line, and see what follows."""
        seen = Seen()
        candidates = pins(self.chip, self.lines.values())
        driving = [one for one in self.lines.values() if one.drives and one.hub_gpio is not None]
        for line in driving:
            self.stimulus.set(line.name, None)
        free = self.hub.levels(candidates)
        seen.low = frozenset(pin for pin, level in free.items() if not level)
        for line in driving:
            self.note(line.name)
            self.stimulus.set(line.name, 0)
            try:
                seen.reach[line.name] = self._follow(candidates, free)
            finally:
                self.stimulus.set(line.name, None)
            self._until(lambda: self.hub.levels(candidates) == free)
            if (
                line.kind == "push-pull"
                and line.hub_gpio is not None
                and line.hub_gpio in seen.reach[line.name]
            ):
                seen.high[line.name] = self._pulls_up(line.name, line.hub_gpio)
        self.hub.release(candidates)
        self._outputs(seen, candidates)
        self.stimulus.settle()
        return seen

    def _follow(self, candidates: tuple[int, ...], free: Mapping[int, int]) -> frozenset[int]:
        def changed() -> frozenset[int]:
            found = self.hub.levels(candidates)
            return frozenset(pin for pin, level in found.items() if level != free[pin])

        return changed() if self._until(lambda: bool(changed())) else frozenset()

    def _pulls_up(self, name: str, pin: int) -> bool:
        self.stimulus.set(name, 1)
        try:
            return self._until(lambda: self.hub.levels([pin], pull_up=False)[pin] == 1)
        finally:
            self.stimulus.set(name, None)

    def _outputs(self, seen: Seen, candidates: tuple[int, ...]) -> None:
        shown = {name: line for name, line in self.lines.items() if not line.drives}
        dark = self._levels()
        seen.stuck = frozenset(name for name in shown if dark.get(name))
        for name, line in shown.items():
            self.note(name)
            if line.hub_gpio is not None:
                seen.shown[name] = self._lit(line.hub_gpio, dark)
        for name in shown:
            if name in seen.stuck or any(name in found for found in seen.shown.values()):
                continue
            self.note(f"{name}: looking for its wire")
            for pin in candidates:
                if name in self._lit(pin, dark, quick=True):
                    seen.elsewhere[name] = pin
                    break

    def _lit(self, pin: int, dark: Mapping[str, int], quick: bool = False) -> frozenset[str]:
        def changed() -> frozenset[str]:
            found = self._levels()
            return frozenset(name for name, level in found.items() if level != dark.get(name))

        self.hub.drive(pin, 1)
        try:
            return (
                changed()
                if self._until(lambda: bool(changed()), ARRIVES_S / 8 if quick else None)
                else frozenset()
            )
        finally:
            self.hub.release([pin])
            self._until(lambda: self._levels() == dark)

    def _levels(self) -> dict[str, int]:
        return {str(name): int(level) for name, level in self.stimulus.ask("edges")["levels"].items()}

    @staticmethod
    def _until(true: Callable[[], bool], timeout: float | None = None) -> bool:
        end = time.monotonic() + (ARRIVES_S if timeout is None else timeout)
        while not true():
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)
        time.sleep(POLL_S)  # what else follows does so at once
        return True

    # Reset, supply, radio

    def reset(self) -> Finding:
        """The hub's EN, by its serial port."""
        started = self.hub.reset()
        if started is None:
            says = "the hub's port has no reset lines; use one with DTR and RTS, or press EN by hand"
        elif started:
            return Finding("reset", True, "the hub's port resets it")
        else:
            says = "RTS of the hub's port does not reach its EN; use a board or an adapter that wires it"
        return Finding("reset", False, says)

    def power(self) -> Finding:
        """The supply: off, silence, on, a start from power-on."""
        if self.supply.kind == "none":
            return Finding("power", True, "no supply switch: tests that cut the supply are skipped")
        try:
            try:
                self.supply.switch(False)
                time.sleep(CUT_S)
                silent = self.hub.silent()
            finally:
                self.supply.switch(True)
        except (PowerTrouble, StimulusError) as error:
            return Finding("power", False, str(error))
        if not silent:
            self.hub.back()
            self.hub.remembers()
            return Finding(
                "power",
                False,
                f"no supply switch: the hub runs on while {self.supply.kind} has cut it; put the switch into"
                " its only supply (docs/bench.md, supply)",
            )
        try:
            self.hub.back()
        except BoardTrouble as error:
            return Finding("power", False, f"the hub does not come back with its supply: {error}")
        ran_on = self.hub.remembers()
        if ran_on or self.hub.cause() != POWER_ON:
            return Finding(
                "power",
                False,
                "the hub was silent without supply and did not start from power-on; see that nothing feeds it"
                " through another cable",
            )
        return Finding("power", True, f"{self.supply.kind} cuts the hub's supply, and it comes back")

    def radio(self) -> Finding:
        """Advertisements of the stimulus at the hub's radio."""
        data = bytes((2, 1, 6, 13, 0xFF, 0xFF, 0xFF)) + os.urandom(10)  # manufacturer 0xFFFF: for tests
        try:
            self.hub.listen(data)
            script = Script(self.stimulus.radio.address, (Advertisement(data, COPIES, EVERY_MS),))
            self.stimulus.radio.play(script)
            heard = self.hub.heard()
        except (StimulusError, BoardTrouble, RadioTrouble) as error:
            return Finding("radio", False, str(error))
        if not heard:
            return Finding(
                "radio",
                False,
                "the hub hears nothing of the stimulus' radio; see to the antennas and bring them near",
            )
        loudest = max(heard)
        says = f"the hub hears {len(heard)} of {COPIES} advertisements, {loudest} dBm"
        if loudest < HEARD_DBM:
            return Finding("radio", False, f"{says}: too faint; bring the boards within 3 m of each other")
        return Finding("radio", True, says)


def examine(
    file: BenchFile, lines: Mapping[str, Line] = LINES, note: Note = lambda text: None
) -> list[Finding]:
    """Every finding of the bench of this file; both boards run again afterwards. KanhuError where a port is
    in use."""
    if file.stimulus is None:
        return [Finding("stimulus", False, "bench.toml has no [stimulus]: add it (docs/bench.md)")]
    place, simulated = file.hub[0], any(one.is_simulated for one in (file.hub[0], file.stimulus))
    with ExitStack() as stack:
        if simulated:
            stack.enter_context(hurried())
        at_hub = _found(stack, place, file.hub_name(0))
        at_stimulus = _found(stack, file.stimulus, "stimulus")
        note("stimulus")
        try:
            stimulus = stack.enter_context(Stimulus(at_stimulus.url))
        except StimulusError as error:
            how = "; kanhu bench flash does it" if "flash it" in str(error) else ""
            return [Finding("stimulus", False, f"{error}{how}")]
        said = stimulus.hello
        found = [Finding("stimulus", True, f"version {said.version if said else '?'}, MAC {stimulus.mac}")]
        try:
            stack.callback(_rest, stimulus)
            supply = power.of(file.power, stimulus)
            with contextlib.suppress(PowerTrouble):  # its own finding says it
                supply.switch(True)  # a run that was killed may have left it off
            note("hub")
            try:
                hub = stack.enter_context(HubRepl(at_hub, place.mac or ""))
            except BoardTrouble as error:
                raise BoardTrouble(f"{error}; a bare board gets its firmware by kanhu flash") from None
            if place.mac and (mac := hub.mac()) != place.mac:
                raise BoardTrouble(f"this is board {mac}, and bench.toml says {place.mac}: no pin was moved")
            found.append(Finding(file.hub_name(0), True, f"its REPL answers at {at_hub.url}"))
            chip = boards.load(place.board).chip.name
            found.extend(Rounds(stimulus, hub, chip, supply, lines, note).all())
        except BoardTrouble as error:
            found.append(Finding(file.hub_name(0), False, str(error)))
        except (StimulusError, PowerTrouble) as error:
            found.append(Finding("stimulus", False, str(error)))
        return found


def flash_stimulus(file: BenchFile, micropython: Path | None = None) -> Written:
    """Write the stimulus of this file and prove that it runs; KanhuError."""
    place = file.stimulus
    if place is None:
        raise BenchFileError(f"{file.path}: no [stimulus]: add it (docs/bench.md)")
    with ExitStack() as stack:
        if place.is_simulated:
            stack.enter_context(hurried())
        where = _found(stack, place, "stimulus")
        image = build(place.board, micropython)
        written = flash(where.url, image, mac=place.mac or "")
        with Stimulus(written.port.url) as answering:
            answering.prove(image)
    return written


def _rest(stimulus: Stimulus) -> None:
    with contextlib.suppress(StimulusError):
        stimulus.radio.stop()
        stimulus.settle()
        stimulus.reboot()


def _found(stack: ExitStack, place: Place, name: str) -> Port:
    """A board's port, ours alone."""
    (port,) = ports.discover([place.where])
    if place.port is None and port.url == place.where:
        raise BoardTrouble(
            f"no port has board {place.where}, or more than one has: plug {name} in, or put its port into"
            " bench.toml (a bridge such as CP210x or CH340 tells no MAC, and often no number of its own)"
        )
    for what in {port.url, place.mac or "", port.serial} - {""}:
        stack.enter_context(locks.held(name, what))
    return port
