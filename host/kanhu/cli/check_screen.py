"""How a check is shown as it goes: at a terminal, in a pipe, or not at all."""

from __future__ import annotations

import re
import sys
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.status import Status
from rich.text import Text

from kanhu.care.rules.past import Device
from kanhu.cli.show import MAX_WIDTH
from kanhu.install.check import words
from kanhu.install.check.findings import Finding

MARKS = {
    "good": ("✓", "green"),
    "remark": ("!", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("-", "yellow"),
}


class Quiet:
    """Nothing is shown."""

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def now(self, text: str) -> None:
        """What is awaited at this moment."""

    def found(self, finding: Finding, device: Device | None) -> None:
        """A finding, as it comes."""

    def again(self, question: str) -> bool:
        """Nobody is asked."""
        return False


class Screen(Quiet):
    """Findings stay, one a line; what is awaited stands below them with its seconds."""

    def __init__(self, lang: words.Lang) -> None:
        self._lang = lang
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else MAX_WIDTH)
        self._status: Status | None = None
        self._said = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is awaited any more."""
        self._stop()

    def now(self, text: str) -> None:
        """In place of what stood there; in a pipe, each once."""
        if not self._console.is_terminal:
            plain = re.sub(r"\d+", "", text)  # the seconds that are left
            if plain != self._said:
                self._said = plain
                print(text, flush=True)
        elif self._status is None:
            self._status = self._console.status(Text(text, style="bold"))
            self._status.start()
        else:
            self._status.update(Text(text, style="bold"))

    def found(self, finding: Finding, device: Device | None) -> None:
        """One line, and what to try."""
        mark, colour = MARKS[finding.verdict]
        whose = f" {words.title(device, self._lang)}" if device is not None else ""
        line = Text.assemble(
            (f"{mark} ", colour), (words.pick(words.STEPS[finding.step], self._lang) + whose, "bold"),
            ": " + words.said(finding, self._lang),
        )  # fmt: skip
        self._console.print(line)
        cure = words.cure(finding, self._lang)
        if cure:
            self._console.print(Text(f"    {cure}", style=colour))

    def again(self, question: str) -> bool:
        """Ask, where somebody is there."""
        if not (sys.stdin.isatty() and self._console.is_terminal):
            return False
        self._stop()
        return typer.confirm(question, default=True)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
