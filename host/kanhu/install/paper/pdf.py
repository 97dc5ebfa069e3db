"""A PDF of pages, its font inside; the same pages make the same bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from .fonts import STROKE, Face, face
from .shapes import Box, Code, Page, Text

FILL_AND_STROKE: Final = 2  # text rendering mode (ISO 32000-1, 9.3.6)


def pdf(pages: Sequence[Page], title: str) -> bytes:
    """All pages, the first one's size being the paper's."""
    found = face(shape.text for page in pages for shape in page.shapes if isinstance(shape, Text))
    out = io.BytesIO()
    size = pages[0].width * mm, pages[0].height * mm
    # The stubs take it for a number.
    canvas = Canvas(out, pagesize=size, invariant=True, initialFontName=found.name)  # type: ignore[arg-type]
    canvas.setTitle(title)
    canvas.setCreator("kanhu")
    for page in pages:
        for shape in page.shapes:
            if isinstance(shape, Text):
                _text(canvas, page, shape, found)
            elif isinstance(shape, Box):
                _box(canvas, page, shape)
            else:
                _code(canvas, page, shape)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def text_width(text: str, size: float) -> float:
    """Of a line in the font that a PDF shows it in; as `size`."""
    return float(pdfmetrics.stringWidth(text, face((text,)).name, size))


def wrapped(text: str, size: float, width: float) -> list[str]:
    """Lines no wider than that: broken at spaces, in Chinese between any two characters."""
    lines, line = [], ""
    for word in _words(text):
        if line and text_width(line + word.rstrip(), size) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return [*lines, line.rstrip()]


def _words(text: str) -> list[str]:
    words: list[str] = []
    for character in text:
        # No line begins with a full stop or a closing bracket.
        if words and (
            character in "，。；：！？、）」" or not (_breaks(words[-1][-1]) or ord(character) >= 0x2E80)
        ):
            words[-1] += character
        else:
            words.append(character)
    return words


def _breaks(before: str) -> bool:
    return before == " " or ord(before) >= 0x2E80


def _text(canvas: Canvas, page: Page, shape: Text, found: Face) -> None:
    size = shape.size * mm
    width = pdfmetrics.stringWidth(shape.text, found.name, size)
    if shape.fit is not None and width > shape.fit * mm:
        size *= shape.fit * mm / width
        width = shape.fit * mm
    left = shape.x * mm - {"start": 0.0, "middle": width / 2, "end": width}[shape.anchor]
    colour = HexColor(shape.colour)
    canvas.saveState()  # a text object keeps its rendering mode for those after it
    canvas.setStrokeColor(colour)
    canvas.setLineWidth(size * STROKE)
    text = canvas.beginText(left, (page.height - shape.y) * mm)
    text.setFont(found.name, size)
    text.setFillColor(colour)
    if shape.bold:
        text.setTextRenderMode(FILL_AND_STROKE)
    text.textOut(shape.text)
    canvas.drawText(text)
    canvas.restoreState()


def _box(canvas: Canvas, page: Page, shape: Box) -> None:
    if shape.fill:
        canvas.setFillColor(HexColor(shape.fill))
    if shape.line:
        canvas.setStrokeColor(HexColor(shape.line))
        canvas.setLineWidth(shape.line_width * mm)
    canvas.roundRect(
        shape.x * mm, (page.height - shape.y - shape.height) * mm, shape.width * mm, shape.height * mm,
        shape.radius * mm, stroke=bool(shape.line), fill=bool(shape.fill),
    )  # fmt: skip


def _code(canvas: Canvas, page: Page, shape: Code) -> None:
    path = canvas.beginPath()
    side = shape.module
    for row, modules in enumerate(shape.rows):
        for first, length in runs(modules):
            top = page.height - shape.y - row * side
            path.rect((shape.x + first * side) * mm, (top - side) * mm, length * side * mm, side * mm)
    canvas.setFillColor(HexColor("#000000"))
    canvas.drawPath(path, stroke=0, fill=1)


def runs(modules: bytes) -> list[tuple[int, int]]:
    """Where dark modules stand beside each other: first, how many."""
    found: list[tuple[int, int]] = []
    for at, dark in enumerate(modules):
        if dark and found and sum(found[-1]) == at:
            found[-1] = found[-1][0], found[-1][1] + 1
        elif dark:
            found.append((at, 1))
    return found
