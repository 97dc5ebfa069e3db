"""What a person sees while boards are flashed: a table with a bar for each, or a line for each step."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kanhu.install.flash.plan import Result
from kanhu.install.flash.work import Work

COLOURS = {
    "passed": "green", "unchanged": "green", "planned": "cyan", "refused": "yellow", "failed": "red",
    "aborted": "red", "missing": "yellow",
}  # fmt: skip
BAR = 20  # columns
REFRESH_HZ = 8.0


class Watch:
    """Shows works while a with block lasts; lines instead of a table where nobody looks at a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._works: Sequence[Work] = ()
        self._said: dict[str, str] = {}
        self._began = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self.render, console=self._console, refresh_per_second=REFRESH_HZ
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def begun(self, works: Sequence[Work]) -> None:
        """These are worked on from now on."""
        self._works = works

    def changed(self, work: Work) -> None:
        """A work is further."""
        if self._live:
            return
        stage = work.stage.split(" ")[0] if work.stage.startswith("writing") else work.stage
        if self._said.get(work.port.url) != stage:
            self._said[work.port.url] = stage
            text = f"{_name(work.result)}: {work.stage}"
            if work.result.sentence:
                text += f": {work.result.sentence}"
            self._console.print(Text(text), soft_wrap=True)

    def render(self) -> RenderableType:
        """The table as it is now."""
        return table([(work.result, work.stage, work.share) for work in self._works])


def table(rows: Sequence[tuple[Result, str, float]], expand: bool = True) -> Table:
    """Boards, how far they are, and what became of them."""
    made = Table(expand=expand)
    for heading in ("board", "chip", "hub"):
        made.add_column(heading, no_wrap=True)
    made.add_column("", width=BAR)
    made.add_column("what", ratio=1, overflow="fold")
    for result, stage, share in rows:
        colour = COLOURS.get(result.state, "")
        words = Text(result.state or stage, style=colour)
        if result.sentence and result.state not in ("passed", "unchanged"):
            words.append(f": {result.sentence}", style="")
        elif result.state:
            words.append(f" in {result.seconds:.0f} s", style="dim")
        made.add_row(
            Text(result.mac or result.serial or result.port),
            Text(result.chip),
            Text(result.hub),
            ProgressBar(100, 100 * share, width=BAR, finished_style="green") if share else Text(""),
            words,
        )
    return made


def summary(results: Sequence[Result], seconds: float) -> str:
    """One line: how many of each."""
    counts = Counter(result.state for result in results)
    words = ", ".join(f"{counts[state]} {state}" for state in COLOURS if counts[state])
    return f"{len(results)} board{'s' * (len(results) != 1)} in {seconds:.0f} s: {words}"


def _name(result: Result) -> str:
    mac = f"{result.mac} ({result.port})" if result.mac else result.port
    return f"{mac}, hub {result.hub}" if result.hub else mac
