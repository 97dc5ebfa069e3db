"""An SVG of one page: shapes as they are, text in whatever font the reader has."""

from __future__ import annotations

from html import escape

from .fonts import STROKE, estimated
from .pdf import runs
from .shapes import Box, Code, Page, Text

FONT = "'WenQuanYi Micro Hei','Noto Sans CJK SC','PingFang SC','Microsoft YaHei',sans-serif"


def svg(page: Page) -> str:
    """The page in its real size."""
    size = f'width="{page.width:g}mm" height="{page.height:g}mm" viewBox="0 0 {page.width:g} {page.height:g}"'
    parts = [_text(one) if isinstance(one, Text) else _box(one) if isinstance(one, Box) else _code(one)
             for one in page.shapes]  # fmt: skip
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{FONT}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _text(shape: Text) -> str:
    size = shape.size
    if shape.fit is not None:
        size = min(size, shape.fit / max(estimated(shape.text), 0.1))
    bold = f' stroke="{shape.colour}" stroke-width="{size * STROKE:.3f}"' if shape.bold else ""
    return (
        f'<text x="{shape.x:.3f}" y="{shape.y:.3f}" font-size="{size:.3f}" text-anchor="{shape.anchor}" '
        f'fill="{shape.colour}"{bold} xml:space="preserve">{escape(shape.text)}</text>'
    )


def _box(shape: Box) -> str:
    line = f' stroke="{shape.line}" stroke-width="{shape.line_width:g}"' if shape.line else ""
    return (
        f'<rect x="{shape.x:.3f}" y="{shape.y:.3f}" width="{shape.width:.3f}" height="{shape.height:.3f}" '
        f'rx="{shape.radius:g}" fill="{shape.fill or "none"}"{line}/>'
    )


def _code(shape: Code) -> str:
    # In whole modules, scaled as one: no seam between two of them.
    path = "".join(
        f"M{first} {row}h{length}v1h-{length}z"
        for row, modules in enumerate(shape.rows)
        for first, length in runs(modules)
    )
    return (
        f'<path transform="translate({shape.x:.3f} {shape.y:.3f}) scale({shape.module:.6f})" '
        f'shape-rendering="crispEdges" d="{path}"/>'
    )
