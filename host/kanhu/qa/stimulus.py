"""The bench's second board as the suite uses it: presses, moves, cuts the supply, reads lamp and buzzer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kanhu.qa.stimulus_clock import Clock, NoClock
from kanhu.qa.stimulus_dialog import ANSWER_S, Dialog
from kanhu.qa.stimulus_image import Image, Written, build, flash
from kanhu.qa.stimulus_port import StimulusError
from kanhu.qa.stimulus_sight import Edge, Sight
from kanhu.sim.lamp import Indication

if TYPE_CHECKING:
    from kanhu.qa.radio import Radio

__all__ = ["Clock", "Edge", "Hello", "Image", "Stimulus", "StimulusError", "Written", "build", "flash"]

PROTOCOL = 1
GREET_S = (3.0, 6.0)  # waits for an answer before the board is reset
BOOT_S = 40.0
KEEP_S = 5.0  # s between the pings that keep the clock, and the stimulus from letting go of all lines
LAST_S = 5.0  # for a board that may be gone
TRIPS = 8
POLL_S = 0.03
SEEN_MAX = 40  # patterns named in a failure
SUPPLY = "power"
REPL = ">>> "
HUB = "kanhu: "  # begins each line of a hub's log
STRANGE = ((HUB, 1), ("invalid header", 3), ("waiting for download", 1))  # not before a stimulus's start


@dataclass(frozen=True)
class Hello:
    """What a stimulus says of itself; tree: SHA-256 over the files that run (stimulus_image.tree)."""

    version: str
    tree: str
    mac: str
    cause: str


class Stimulus:
    """`with Stimulus(url) as s`. All methods from any thread; StimulusError. While it is open it keeps in
    touch with the board; a minute after it has gone, the board lets go of every line by itself."""

    def __init__(self, url: str, name: str = "stimulus") -> None:
        self.name = name
        self.hello: Hello | None = None
        self.starts = 0  # of the board, while this was open
        self.sight = Sight()
        self.dialog = Dialog(url, self._on_open)
        self.log = self.dialog.log
        self._started = threading.Condition()
        self._stop = threading.Event()
        self._stale = threading.Event()  # clock and levels are to be asked for anew
        self._keeper: threading.Thread | None = None
        self._radio: Radio | None = None
        self.dialog.listen("stimulus", self._on_start)
        self.dialog.listen("edge", self._on_edge)

    # Life

    def open(self) -> Self:
        """Find the board at its port, reset if it must be; StimulusError says what is there instead."""
        self.dialog.port.start()
        try:
            self._greet()
        except BaseException:
            self.dialog.port.stop()
            raise
        self._stop.clear()
        self._keeper = threading.Thread(target=self._keep, name=f"{self.name} keeper", daemon=True)
        self._keeper.start()
        return self

    def close(self) -> None:
        """Let go of lines and port."""
        if self._leave():
            with contextlib.suppress(StimulusError):
                self.ask("rest", timeout=LAST_S)
        self.dialog.port.stop()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> str:
        """Its console, as pyserial opens it."""
        return self.dialog.port.url

    @property
    def mac(self) -> str:
        """12 hexadecimal digits; "" before it was heard."""
        return self.hello.mac if self.hello else ""

    @contextlib.contextmanager
    def holding(self) -> Iterator[str]:
        """The port for esptool or mpremote, as a URL; after a minute the board lets go of all lines."""
        was_open = self._leave()
        try:
            with self.dialog.port.lent() as url:
                yield url
        finally:
            if was_open:
                self.open()

    def prove(self, image: Image) -> None:
        """StimulusError unless the board runs what this image was built from."""
        if self.hello is None or self.hello.tree != image.tree:
            runs = self.hello.tree[:12] if self.hello else "nothing"
            raise StimulusError(
                f"{self.port}: the stimulus runs {runs} and not {image.tree[:12]}: flash it again"
            )

    def reboot(self) -> None:
        """Restart the board; returns when it answers again."""
        before, mark = self.starts, self.log.position
        self.ask("reboot")
        if not self._wait_start(before, mark):
            raise StimulusError(f"{self.port}: no start in {BOOT_S:.0f} s: {self.dialog.said()}; reset it")
        self._greet()

    # Lines

    def press(self, line: str = "button", ms: int = 150, bounce: bool = False) -> int:
        """Close a contact for ms and open it again; its ticks_us at contact."""
        return int(self.ask("press", line=line, ms=ms, bounce=bounce, timeout=ms / 1000 + ANSWER_S))

    def set(self, line: str, level: int | None) -> int:
        """A level from now on, None: released; its ticks_us."""
        if line == SUPPLY:
            self.forget()
        return int(self.ask("set", line=line, level=level))

    def pulse(self, line: str, ms: int) -> int:
        """Away from rest for ms; returns when it begins; its ticks_us."""
        if line == SUPPLY:
            self.forget()
        return int(self.ask("pulse", line=line, ms=ms))

    def stick(self, line: str, on: bool, bounce: bool = False) -> int:
        """Hold a line away from rest, or let it go back; its ticks_us."""
        return int(self.ask("stick", line=line, on=on, bounce=bounce))

    def settle(self) -> None:
        """All lines at rest, and the hub with its supply."""
        self.ask("rest")

    # What it reads

    def edges(self, after: int = 0) -> list[Edge]:
        """Changes of lamp and buzzer so far, without the first `after`."""
        return self.sight.edges(after)

    def indication(self) -> Indication:
        """What lamp and buzzer show now."""
        return self.sight.indication()

    def indicator(self) -> str:
        """The pattern that they show; "" while none is known."""
        return self.indication().pattern or ""

    def wait_indicator(self, pattern: str, timeout: float = 10.0) -> float:
        """Monotonic s since when the pattern shows; TimeoutError says what it showed."""
        end = time.monotonic() + timeout
        seen: list[str | None] = []
        while True:
            shown = self.indication()
            if shown.pattern == pattern and shown.since is not None:
                return shown.since
            if seen[-1:] != [shown.pattern]:
                seen.append(shown.pattern)
            if time.monotonic() > end:
                raise TimeoutError(f"no {pattern!r} on the lamp in {timeout} s; it showed {seen[-SEEN_MAX:]}")
            time.sleep(POLL_S)

    def forget(self) -> None:
        """What lamp and buzzer showed before says nothing any more: the hub starts anew."""
        self.sight.dark()

    # Clock

    def clock(self) -> Clock:
        """What is known of its clock now, after a few round trips."""
        for _ in range(TRIPS):
            self.ping()
        return self.sight.clock()

    def when(self, ticks_us: int) -> tuple[float, float]:
        """(monotonic s, error bound in s) of its ticks_us of the last 8 min."""
        try:
            return self.sight.when(ticks_us)
        except NoClock:
            raise StimulusError(f"{self.port}: the stimulus was never asked: open it first") from None

    def ping(self) -> float:
        """One round trip, s."""
        answer = self.dialog.ask("ping", {})
        self.sight.trip(answer.sent, int(answer.ok), answer.received)
        return answer.received - answer.sent

    # Protocol

    def ask(self, do: str, *, timeout: float = ANSWER_S, **fields: Any) -> Any:
        """The answer's "ok"; StimulusError: its "error", or none came in timeout s."""
        return self.dialog.ask(do, fields, timeout).ok

    def status(self) -> dict[str, Any]:
        """What the board counted, its lines and its heap."""
        found = self.ask("status")
        if not isinstance(found, dict):
            raise StimulusError(f"{self.port}: no status of a stimulus: {str(found)[:80]}; flash it again")
        return found

    def listen(self, event: str, heard: Callable[[Any, float], None]) -> None:
        """Call heard(value, monotonic s) in the reading thread for each event of that name."""
        self.dialog.listen(event, heard)

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s, line) of the newest lines both ways, for a report."""
        return self.dialog.lines()

    @property
    def radio(self) -> Radio:
        """Its radio."""
        if self._radio is None:
            from kanhu.qa.radio import Radio

            self._radio = Radio(self.ask)
        return self._radio

    def _greet(self) -> None:
        """See that a stimulus is there, and take its clock and its levels."""
        self.dialog.wait_open()
        mark = self.log.position
        said = self._first_answer(mark)
        if said is None:
            before = self.starts
            self.dialog.port.pulse()
            if not self._wait_start(before, mark):
                raise StimulusError(f"{self.port}: {self._stranger(mark)}")
        else:
            self._meet(said)
        self._refresh()

    def _first_answer(self, mark: int) -> Any:
        """Who it is; None: the board has to be reset before it says so."""
        for timeout in GREET_S:
            try:
                return self.ask("hello", timeout=timeout)
            except StimulusError:
                if REPL in self.log.text(mark) or self._strange(mark):
                    break
        return None

    def _strange(self, mark: int) -> bool:
        said = self.log.text(mark)
        return any(said.count(word) >= count for word, count in STRANGE)

    def _stranger(self, mark: int) -> str:
        if HUB in self.log.text(mark):
            return "this is a hub and not the stimulus: exchange their ports in bench.toml"
        return f"no stimulus answers: flash it, or correct its port in bench.toml; {self.dialog.said()}"

    def _meet(self, said: Any) -> None:
        if not isinstance(said, dict) or said.get("stimulus") != PROTOCOL:
            raise StimulusError(
                f"{self.port}: the stimulus has firmware of another version ({str(said)[:80]}): flash it"
            )
        self.hello = Hello(*(str(said.get(name, "")) for name in ("version", "tree", "mac", "cause")))
        self.dialog.port.mac = self.hello.mac

    def _refresh(self) -> None:
        self._stale.clear()
        for _ in range(TRIPS):
            self.ping()
        found = self.ask("edges")
        self.sight.baseline(found["seen"], found["levels"])

    def _leave(self) -> bool:
        """End the keeper; whether there was one."""
        keeper, self._keeper = self._keeper, None
        if keeper:
            self._stop.set()
            self._stale.set()
            keeper.join()
        return keeper is not None

    def _keep(self) -> None:
        while not self._stop.is_set():
            stale = self._stale.wait(KEEP_S)
            if self._stop.is_set():
                return
            # Whoever asks a board that is away for something is told; here it is only tried again.
            with contextlib.suppress(StimulusError):
                if stale:
                    self._refresh()
                else:
                    self.ping()

    def _wait_start(self, before: int, mark: int) -> bool:
        """Whether it has started, unless its log since that position shows that something else has."""
        end = time.monotonic() + BOOT_S
        with self._started:
            while self.starts == before and time.monotonic() < end:
                self._started.wait(POLL_S)
                if self._strange(mark):
                    break
            return self.starts > before

    # In the reading thread

    def _on_open(self) -> None:
        self.sight.new_clock()
        self._stale.set()

    def _on_start(self, message: Any, now: float) -> None:
        self.sight.new_run()
        with self._started:
            with contextlib.suppress(StimulusError):
                self._meet(message)
            self.starts += 1
            self._started.notify_all()
        self._stale.set()

    def _on_edge(self, value: Any, now: float) -> None:
        try:
            if not self.sight.edge(value, now):
                self._stale.set()
        except ValueError:
            self.log.append(f"no edge: {value!r}\n".encode())
