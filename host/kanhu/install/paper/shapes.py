"""What stands on a page: millimetres from its upper left corner, colours as #rrggbb."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

BLACK, WHITE = "#000000", "#ffffff"


@dataclass(frozen=True, slots=True)
class Text:
    """One line; y is its baseline, size the height of an em; fit: it is made smaller rather than wider."""

    x: float
    y: float
    size: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    fit: float | None = None
    bold: bool = False
    colour: str = BLACK


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, filled or outlined."""

    x: float
    y: float
    width: float
    height: float
    fill: str | None = None
    line: str | None = None
    line_width: float = 0.25
    radius: float = 0.0


@dataclass(frozen=True, slots=True)
class Code:
    """A QR code's dark modules in a square of `side`; the white around it is the layout's to leave."""

    x: float
    y: float
    side: float
    rows: tuple[bytes, ...]  # 1 is dark

    @property
    def module(self) -> float:
        """The side of one."""
        return self.side / len(self.rows)


Shape = Text | Box | Code


@dataclass
class Page:
    """A sheet of paper, white."""

    width: float
    height: float
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Further shapes, each over those before it."""
        self.shapes += shapes


A4, LETTER = (210.0, 297.0), (215.9, 279.4)
SIZES = {"a4": A4, "letter": LETTER}
