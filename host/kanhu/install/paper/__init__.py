"""Pages to print: shapes in millimetres, and what makes a PDF, an SVG or a picture of them."""

from .fonts import PaperError
from .pdf import pdf, text_width, wrapped
from .picture import picture
from .shapes import Box, Code, Page, Shape, Text
from .svg import svg

__all__ = [
    "Box", "Code", "Page", "PaperError", "Shape", "Text", "pdf", "picture", "svg", "text_width", "wrapped",
]  # fmt: skip
