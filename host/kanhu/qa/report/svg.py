"""Plots as SVG text of a few kilobytes: colours come from the page's style sheet, so that they follow light,
dark and paper, and a reader without sight gets title and description. (matplotlib's SVG of the same plots is
three times the size, has fixed colours and no hints under the pointer, and every bench would need it.)"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from low to high."""
    if not high > low:
        return [low]
    raw = (high - low) / wanted
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def number(value: float) -> str:
    """Short: 0.25, 12, 3,400, 128k."""
    if abs(value) >= 10_000:
        return f"{value / 1000:,.4g}k" if abs(value) < 1e6 else f"{value / 1e6:.4g}M"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"


class Plot:
    """One pair of axes, x to the right and y upwards, in a picture that is as wide as its column."""

    def __init__(
        self,
        title: str,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        x_label: str,
        y_label: str = "",
        size: tuple[int, int] = (560, 210),
        left: int = 52,
        right: int = 14,
        bottom: int = 38,
        top: int = 12,
    ) -> None:
        self.title, self.x, self.y = title, _spread(x), _spread(y)
        self.width, self.height = size
        self.left, self.right, self.top, self.bottom = left, self.width - right, top, self.height - bottom
        self.parts: list[Markup] = []
        self._x_label, self._y_label = x_label, y_label

    def px(self, value: float) -> float:
        """Where a value stands from the left; what is outside stands at the rim."""
        low, high = self.x
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.left + share * (self.right - self.left), 1)

    def py(self, value: float) -> float:
        """Where a value stands from the top."""
        low, high = self.y
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(self.bottom - share * (self.bottom - self.top), 1)

    def add(self, form: str, *values: object) -> None:
        """A piece of SVG; values are escaped."""
        self.parts.append(Markup(form).format(*values))  # noqa: S704 - forms are this project's own

    def grid(self, y_values: Sequence[float] | None = None) -> None:
        """Axes with round numbers and their units."""
        for value in ticks(*self.y, 4) if y_values is None else y_values:
            at = self.py(value)
            self.add('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', self.left, self.right, at, at)
            self.add('<text x="{}" y="{}" text-anchor="end">{}</text>', self.left - 6, at + 4, number(value))
        self.x_axis()
        self.add(
            '<text class="unit" x="{}" y="{}" text-anchor="end">{}</text>',
            self.left - 6, self.top - 8, self._y_label,
        )  # fmt: skip

    def x_axis(self) -> None:
        """The numbers below and what they count."""
        self.add(
            '<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>',
            self.left, self.right, self.bottom, self.bottom,
        )  # fmt: skip
        for value in ticks(*self.x, 6):
            at = self.px(value)
            self.add(
                '<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>', at, at, self.bottom, self.bottom + 4
            )
            self.add(
                '<text x="{}" y="{}" text-anchor="middle">{}</text>', at, self.bottom + 16, number(value)
            )
        self.add(
            '<text class="unit" x="{}" y="{}" text-anchor="end">{}</text>',
            self.right, self.bottom + 31, self._x_label,
        )  # fmt: skip

    def line(self, points: Points, kind: str) -> None:
        """A curve through points that are in order."""
        path = " ".join(f"{self.px(x)},{self.py(y)}" for x, y in points)
        self.add('<polyline class="curve {}" points="{}"/>', kind, path)

    def rule(self, x: float, kind: str, said: str) -> None:
        """A line from top to bottom with a word at its head."""
        at = self.px(x)
        self.add(
            '<line class="rule {}" x1="{}" x2="{}" y1="{}" y2="{}"/>', kind, at, at, self.top, self.bottom
        )
        far = at > (self.left + self.right) / 2
        self.add(
            '<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>',
            kind, at, self.top - 4, "end" if far else "start", said,
        )  # fmt: skip

    def svg(self, description: str = "") -> Markup:
        """The picture."""
        return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            self.width, self.height, f"{self.title}. {description}".strip(), Markup("").join(self.parts)
        )


def tip(text: str) -> Markup:
    """What a pointer that rests on a mark is told."""
    return Markup("<title>{}</title>").format(escape(text))


def thin(points: Points, most: int = 600) -> list[tuple[float, float]]:
    """At most so many points: the first, the last, and of each stretch the lowest and the highest."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / (most // 2 - 1))
    kept: list[tuple[float, float]] = [points[0]]
    for begin in range(0, len(points), size):
        piece = points[begin : begin + size]
        ends = {min(piece, key=lambda one: one[1]), max(piece, key=lambda one: one[1])}
        kept += sorted(ends)
    return [*kept, points[-1]]


def _spread(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    return (low, high) if high > low else (low, low + 1.0)
