"""Faults of one hub: its supply, its serial line, its flash."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import serial

from kanhu.qa.board import Board, BoardTrouble
from kanhu.qa.capabilities import EXEC, FLASH_FULL, LOG, POWER, POWER_POINT, NeedsCapability
from kanhu.qa.hub import Hub
from kanhu.sim.faults.heard import Spell
from kanhu_protocol import frame

from .fault import Begin, Fault, FaultTrouble, Recorder
from .stage import Stage, background

BAUD = 115_200
RANDOM_S = 3.0  # a cut at random comes within this
FLASH_OPERATIONS = 12  # of about so many is what one press makes a hub write
LOOK_S = 0.02
LAST_WORDS_S = 0.2  # until what a hub said before it went dark has been read
NOISE_EVERY_S = 0.2
CTRL = bytes(range(1, 6))  # Ctrl-A to Ctrl-E: a technician's keys, not noise (docs/qa-faults.md)
FRAME_KIND, FRAME_BYTES = 1, 40
FILLER = "/filler"
FILL = f"""
import os
for size in (1 << 16, 4096, 256, 16):
    data = bytes(min(size, 4096))
    try:
        while True:
            with open({FILLER!r}, "ab") as file:
                for _ in range(size // len(data)):
                    file.write(data)
    except OSError:
        pass
"""
EMPTY = f"""
import os
try:
    os.remove({FILLER!r})
except OSError:
    pass
"""
EXEC_S = 120.0
SPEAKS, UP_S = "kanhu: lamp ", 60.0
Toward = Literal["hub", "host"]


class PowerCut(Fault):
    """A hub's supply goes, at once or at a moment to come; end() gives it back."""

    def __init__(
        self,
        name: str,
        detail: str,
        make: Begin,
        recorder: Recorder,
        open_: list[Fault],
        gone: threading.Event,
    ) -> None:
        super().__init__(name, detail, make, recorder, open_)
        self._gone = gone

    def wait(self, timeout: float = 30.0) -> None:
        """Return once the hub is dark; TimeoutError."""
        if not self._gone.wait(timeout):
            raise TimeoutError(f"{self.name} ({self.detail}): the hub is still on after {timeout:g} s")


class HubFaults(Stage):
    """hub: the shared one unless another is named."""

    def power_cut(
        self,
        at: float | Literal["random", "flash"] = 0.0,
        hub: Board | None = None,
        *,
        within_s: float = RANDOM_S,
        operation: int | None = None,
    ) -> PowerCut:
        """The supply goes after so many seconds (0: at once), at random within within_s, or half-way through
        the hub's operation-th write to its flash from now on (simulation only); wait() for it. One that has
        not come about is called off by end()."""
        self._need(POWER)
        board = self._hub(hub)
        chance = random.Random(self._next_seed())  # noqa: S311  # so that it can be repeated
        gone = threading.Event()
        if at == "flash":
            bench = self._bench(POWER_POINT)
            number = operation or 1 + chance.randrange(FLASH_OPERATIONS)
            detail = f"inside flash operation {number}"

            def work(over: threading.Event) -> None:
                chip = self._simulated(bench, board)
                bench.cut_power_inside(number, chip)
                while chip.running and not over.wait(LOOK_S):
                    pass
                if chip.running:
                    bench.cut_power_inside(0, chip)
                if not chip.running:
                    self._cut(board, gone)
        else:
            after_s = round(chance.uniform(0, within_s), 3) if at == "random" else float(at)
            detail = f"after {after_s:g} s" + (", drawn" if at == "random" else "")

            def work(over: threading.Event) -> None:
                if not after_s or not over.wait(after_s):
                    self._cut(board, gone)

        @contextmanager
        def make() -> Iterator[None]:
            gone.clear()
            try:
                if at in ("random", "flash") or after_s:
                    with background(f"power cut of {board.name}", work):
                        yield
                else:
                    work(threading.Event())
                    yield
            finally:
                if gone.is_set():
                    board.power(True)

        name = f"{board.name}, {detail}"
        return PowerCut("power cut", name, make, self._recorder, self.open, gone)

    def _cut(self, board: Board, gone: threading.Event) -> None:
        begin = time.monotonic()
        board.power(False)
        time.sleep(LAST_WORDS_S)
        self.dark[board.hub_id].append(Spell(begin, time.monotonic()))
        gone.set()

    def brown_out(
        self,
        times: int = 5,
        hub: Board | None = None,
        *,
        on_s: tuple[float, float] = (0.05, 1.0),
        off_s: tuple[float, float] = (0.05, 0.3),
    ) -> Fault:
        """The supply goes and comes so many times, for moments drawn from these; on at the end. A real
        supply's voltage does not sag by it, it is off."""
        self._need(POWER)
        board = self._hub(hub)
        chance = random.Random(self._next_seed())  # noqa: S311

        def work(over: threading.Event) -> None:
            begin = time.monotonic()
            try:
                for _ in range(times):
                    board.power(False)
                    time.sleep(chance.uniform(*off_s))
                    board.power(True)
                    if over.wait(chance.uniform(*on_s)):
                        return
            finally:
                board.power(True)
                self.dark[board.hub_id].append(Spell(begin, time.monotonic()))

        return self._fault("brown-out", lambda: background("brown-out", work), f"{board.name}, {times} times")

    def serial_noise(
        self, bytes_s: float = 200, hub: Board | None = None, *, toward: Toward = "hub"
    ) -> Fault:
        """Random bytes on the hub's serial line, towards it or (simulation only) towards the host."""
        chance = random.Random(self._next_seed())  # noqa: S311
        each = max(1, round(bytes_s * NOISE_EVERY_S))
        sober = bytes(byte for byte in range(256) if byte not in CTRL)

        def draw() -> bytes:
            return bytes(chance.choices(sober, k=each))

        return self._babble("serial noise", draw, f"{bytes_s:g} bytes/s", self._hub(hub), toward)

    def half_frames(self, frames_s: float = 5, hub: Board | None = None, *, toward: Toward = "hub") -> Fault:
        """Frames that break off, on the hub's serial line."""
        chance = random.Random(self._next_seed())  # noqa: S311
        each = max(1, round(frames_s * NOISE_EVERY_S))

        def draw() -> bytes:
            found = b""
            for _ in range(each):
                whole: bytes = frame.encode(FRAME_KIND, chance.randbytes(FRAME_BYTES))
                part = whole[: chance.randrange(1, len(whole) - 1)]
                found += bytes(byte for byte in part if byte not in CTRL)
            return found

        return self._babble("half frames", draw, f"{frames_s:g} a second", self._hub(hub), toward)

    def _babble(
        self, name: str, draw: Callable[[], bytes], detail: str, board: Board, toward: Toward
    ) -> Fault:
        if toward == "host":
            write = self._to_host(board)
        elif LOG not in board.capabilities:
            raise NeedsCapability(why=f"{board.name} has no serial port that can be written to")
        else:
            write = self._to_hub(board)

        def work(over: threading.Event) -> None:
            written, why = 0, "it was over at once"
            while not over.wait(NOISE_EVERY_S):
                try:
                    write(draw())
                    written += 1
                except (BoardTrouble, serial.SerialException) as error:  # somebody else has the port now
                    why = str(error)
            if not written:
                raise FaultTrouble(f"{name}: nothing was written to {board.name}: {why}")

        return self._fault(
            name, lambda: background(name, work), f"{board.name}, towards the {toward}, {detail}"
        )

    def _to_hub(self, board: Board) -> Callable[[bytes], None]:
        if isinstance(board, Hub):
            return board.console.write

        def write(data: bytes) -> None:
            with (
                board.holding() as url,
                serial.serial_for_url(url, BAUD, timeout=0, write_timeout=1) as port,
            ):
                port.write(data)

        return write

    def _to_host(self, board: Board) -> Callable[[bytes], None]:
        if self.rig.sim is None:
            raise NeedsCapability(why="this bench has no noise on the way to the host: run --target sim")
        bench = self.rig.sim
        return lambda data: bench.line_noise(data, self._simulated(bench, board))

    def flash_full(self, hub: Board | None = None) -> Fault:
        """A file takes all the room on the hub's flash. On a real board by its prompt, so that it starts anew
        before and after; a simulated one goes on."""
        board = self._hub(hub)
        if FLASH_FULL not in board.capabilities and self.rig.sim is None:
            self._need(FLASH_FULL, EXEC)

        @contextmanager
        def make() -> Iterator[None]:
            self.full[board.hub_id].append(Spell(time.monotonic(), float("inf")))
            try:
                self._fill(board, True)
                yield
            finally:
                self._fill(board, False)
                spells = self.full[board.hub_id]
                spells[-1] = Spell(spells[-1].begin, time.monotonic())

        return self._fault("flash full", make, board.name)

    def _fill(self, board: Board, full: bool) -> None:
        if self.rig.sim is not None:
            chip = self._simulated(self.rig.sim, board)
            self.rig.sim.fill_flash(full, chip)
            self.rig.sim.run(chip._round(), EXEC_S)  # it has done so
        else:
            said = board.log_position()
            board.exec(FILL if full else EMPTY, EXEC_S)
            board.wait_log(SPEAKS, UP_S, said)  # it starts anew: nobody hears a press before
