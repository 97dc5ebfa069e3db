"""Requests to the stimulus and their answers, its events, and what it says beside them."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kanhu.qa.stimulus_port import LinePort, StimulusError
from kanhu.sim.console import Log

OPEN_S = 20.0  # until the port is open
ANSWER_S = 20.0  # a simulated board on a busy computer may be that late
LINES_KEPT = 5000
SAID = 200  # characters of its log in an error

Heard = Callable[[Any, float], None]


@dataclass(frozen=True)
class Answer:
    """The answer's "ok"; when the request went out and the answer came, monotonic s."""

    ok: Any
    sent: float
    received: float


@dataclass
class _Wait:
    done: threading.Event = field(default_factory=threading.Event)
    received: float = 0.0
    message: dict[str, Any] = field(default_factory=dict)


class Dialog:
    """on_open() and heard functions are called in the reading thread, and must be quick."""

    def __init__(self, url: str, on_open: Callable[[], None]) -> None:
        self.port = LinePort(url, on_open, self._on_line)
        self.log = Log()  # what is no line of the protocol
        self.refusals: list[str] = []  # of lines that the board could not read
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Wait] = {}
        self._lines: deque[tuple[float, str]] = deque(maxlen=LINES_KEPT)
        self._heard: dict[str, list[Heard]] = {}

    def listen(self, event: str, heard: Heard) -> None:
        """Call heard(value, monotonic s) for each event of that name."""
        with self._lock:
            self._heard[event] = [*self._heard.get(event, ()), heard]

    def lines(self) -> list[tuple[float, str]]:
        """(monotonic s, line) of the newest lines both ways."""
        with self._lock:
            return list(self._lines)

    def wait_open(self) -> None:
        """Return once the port is open; StimulusError says why it is not."""
        if not self.port.opened.wait(OPEN_S):
            why = self.port.trouble or f"{self.port.url}: is not open: open the stimulus first"
            raise StimulusError(why)

    def ask(self, do: str, fields: dict[str, Any], timeout: float = ANSWER_S) -> Answer:
        """The answer; StimulusError: the board says what is wrong, or nothing came in timeout s."""
        self.wait_open()
        wait = _Wait()
        with self._lock:
            number = next(self._numbers)
            self._waiting[number] = wait
            refused = len(self.refusals)
            line = json.dumps({"n": number, "do": do, **fields}, separators=(",", ":"))
            sent = time.monotonic()
            self._lines.append((sent, "> " + line))
        try:
            self.port.write(line.encode() + b"\n")
            if not wait.done.wait(timeout):
                raise StimulusError(self._silent(do, timeout, refused))
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if "error" in wait.message:
            raise StimulusError(f"{self.port.url}: {do}: {wait.message['error']}")
        if "ok" not in wait.message:
            raise StimulusError(f"{self.port.url}: no answer of a stimulus: {wait.message}; flash it again")
        return Answer(wait.message["ok"], sent, wait.received)

    def said(self) -> str:
        """The end of its log, for an error."""
        said = self.log.text()[-SAID:].strip()
        return f"it said {said!r}" if said else "it said nothing"

    def _silent(self, do: str, timeout: float, refused: int) -> str:
        url = self.port.url
        if len(self.refusals) > refused:
            return f"{url}: a request was damaged on the way ({self.refusals[-1]}): use a shorter cable"
        why = self.port.trouble or "see that it is the stimulus's port and that the board is flashed"
        return f"{url}: the stimulus did not answer {do!r} in {timeout:.0f} s: {why}; {self.said()}"

    def _on_line(self, now: float, line: bytes) -> None:
        message: Any = None
        if line.startswith(b"{"):
            with contextlib.suppress(ValueError):
                message = json.loads(line)
        with self._lock:
            self._lines.append((now, "< " + line.decode(errors="replace")))
            heard = self._heard
        if not isinstance(message, dict):
            self.log.append(line + b"\n")
        elif "n" in message:
            self._on_answer(message, now)
        elif "stimulus" in message:
            for function in heard.get("stimulus", ()):
                function(message, now)
        else:
            for name, value in message.items():
                for function in heard.get(name, ()):
                    function(value, now)

    def _on_answer(self, message: dict[str, Any], now: float) -> None:
        number = message["n"]
        with self._lock:
            wait = self._waiting.get(number) if isinstance(number, int) else None
            if number is None:
                self.refusals.append(str(message.get("error")))
        if wait:
            wait.received, wait.message = now, message
            wait.done.set()
