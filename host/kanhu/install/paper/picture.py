"""A picture of one page, as a printer would dot it."""

from __future__ import annotations

from PIL import Image, ImageDraw

from .fonts import STROKE, is_wide, outline
from .shapes import WHITE, Box, Page, Text

DPI = 300
MM_PER_INCH = 25.4


def picture(page: Page, dpi: int = DPI) -> Image.Image:
    """The page; PaperError where no font has its text."""
    scale = dpi / MM_PER_INCH
    image = Image.new("RGB", (round(page.width * scale), round(page.height * scale)), WHITE)
    draw = ImageDraw.Draw(image)
    wide = any(isinstance(shape, Text) and is_wide(shape.text) for shape in page.shapes)
    for shape in page.shapes:
        if isinstance(shape, Text):
            _text(draw, shape, scale, wide)
        elif isinstance(shape, Box):
            _box(draw, shape, scale)
        else:
            for row, modules in enumerate(shape.rows):
                for column, dark in enumerate(modules):
                    if dark:
                        draw.rectangle(
                            _dots(shape.x, shape.y, shape.module, column, row, scale), fill="#000000"
                        )
    return image


def _dots(x: float, y: float, side: float, column: int, row: int, scale: float) -> tuple[int, int, int, int]:
    left, right = (round((x + place * side) * scale) for place in (column, column + 1))
    top, bottom = (round((y + place * side) * scale) for place in (row, row + 1))
    return left, top, right - 1, bottom - 1


def _text(draw: ImageDraw.ImageDraw, shape: Text, scale: float, wide: bool) -> None:
    dots = max(1, round(shape.size * scale))
    font = outline(dots, wide)
    if shape.fit is not None and (width := font.getlength(shape.text)) > shape.fit * scale:
        dots = max(1, int(dots * shape.fit * scale / width))
        font = outline(dots, wide)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[shape.anchor]
    draw.text(
        (shape.x * scale, shape.y * scale), shape.text, shape.colour, font, anchor,
        stroke_width=dots * STROKE / 2 if shape.bold else 0,
    )  # fmt: skip


def _box(draw: ImageDraw.ImageDraw, shape: Box, scale: float) -> None:
    corners = (
        shape.x * scale, shape.y * scale, (shape.x + shape.width) * scale, (shape.y + shape.height) * scale
    )  # fmt: skip
    width = max(1, round(shape.line_width * scale)) if shape.line else 0
    draw.rounded_rectangle(corners, shape.radius * scale, shape.fill, shape.line, width)
