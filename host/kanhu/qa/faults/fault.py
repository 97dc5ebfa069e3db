"""One fault from its begin to its end, and the list of those that are not over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Protocol, Self

from kanhu.errors import KanhuError

Begin = Callable[[], AbstractContextManager[object]]


class OpenSpan(Protocol):
    """What a recorder gives for a fault that has begun."""

    def end(self) -> None: ...


class Recorder(Protocol):
    """Who is told of a fault (kanhu.qa.record.Recorder)."""

    def span(self, name: str, begin: float | None = None, detail: str = "") -> OpenSpan: ...


class FaultTrouble(KanhuError):
    """A fault that could not be made or lifted; one sentence."""


class Fault:
    """`with fault: ...`, or begin() and end(); it can begin again after its end. end() more than once is one
    end. A fault that does not begin has not begun: nothing of it stays."""

    def __init__(self, name: str, detail: str, make: Begin, recorder: Recorder, open_: list[Fault]) -> None:
        self.name = name
        self.detail = detail
        self._make, self._recorder, self._open = make, recorder, open_
        self._entered: ExitStack | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"{self.name}({self.detail})"

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def begun(self) -> bool:
        """Whether it is there now."""
        return self._entered is not None

    def begin(self) -> None:
        """It is there when this returns; NeedsCapability, FaultTrouble."""
        with self._lock:
            if self._entered:
                raise FaultTrouble(f"{self.name} is there already: take another one, they add up")
            with contextlib.ExitStack() as stack:
                span = self._recorder.span(self.name, detail=self.detail)
                stack.callback(span.end)
                stack.enter_context(self._make())
                self._entered = stack.pop_all()
            self._open.append(self)

    def end(self) -> None:
        """It is over when this returns; whoever was hit by it may still need a moment."""
        with self._lock:
            stack, self._entered = self._entered, None
            if stack is None:
                return
            with contextlib.suppress(ValueError):
                self._open.remove(self)
            stack.close()


def end_all(open_: list[Fault]) -> list[str]:
    """End what is not over, the latest first; what went wrong with that, in words."""
    troubles = []
    for fault in reversed(list(open_)):
        try:
            fault.end()
        except Exception as error:  # the next one has to be lifted all the same
            troubles.append(f"{fault.name} was not lifted: {type(error).__name__}: {error}")
    return troubles
