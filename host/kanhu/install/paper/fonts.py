"""The font of printed pages: one of this machine that has Chinese, so that nothing is ever a box."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import ImageFont
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFError, TTFont

from kanhu.errors import KanhuError

LATIN, EMBEDDED, BY_READER = "Helvetica", "KanhuText", "STSong-Light"
SAMPLE = "看护按钮"
STROKE = 0.035  # of an em: the outline that makes a letter bold
LATIN_EM, WIDE_EM, WIDE_FROM = 0.56, 1.0, 0x2E80  # widths where there is no font to ask

# TrueType outlines, which a PDF can hold: Debian and Ubuntu, Fedora, macOS, Windows.
TRUETYPE = (
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/wqy-microhei/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/wqy-zenhei/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/usr/share/fonts/google-droid-sans-fonts/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/STHeiti Light.ttc",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "C:/Windows/Fonts/simhei.ttf",
    "C:/Windows/Fonts/simsun.ttc",
)
# Others, which a picture can use.
OUTLINES = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "/System/Library/Fonts/Hiragino Sans GB.ttc",
)
NO_FONT = "no font with Chinese is here: install one (Debian, Ubuntu: fonts-wqy-microhei), or give --lang en"


class PaperError(KanhuError):
    """A page cannot be made so; one line that says what to do."""


class Face(NamedTuple):
    """A font as reportlab knows it; note: what a person has to know of it."""

    name: str
    note: str = ""


def is_wide(text: str) -> bool:
    """Whether there is Chinese, or anything else that Latin fonts do not have."""
    return any(ord(character) > 0xFF for character in text)


def face(texts: Iterable[str]) -> Face:
    """The font in which a PDF can show all of these."""
    if not is_wide("".join(texts)):
        return Face(LATIN)
    if _embedded():
        return Face(EMBEDDED)
    pdfmetrics.registerFont(UnicodeCIDFont(BY_READER))
    return Face(BY_READER, "the PDF holds no font of its own: the reader has to have one with Chinese")


@cache
def _embedded() -> bool:
    for path in TRUETYPE:
        if Path(path).exists():
            try:
                font = TTFont(EMBEDDED, path)
            except (TTFError, OSError):
                continue  # outlines of another kind, or damaged: the next one
            if all(ord(character) in font.face.charToGlyph for character in SAMPLE):
                pdfmetrics.registerFont(font)
                return True
    return False


@cache
def outline(dots: int, wide: bool) -> ImageFont.FreeTypeFont:
    """The font of pictures, an em being so many dots; PaperError."""
    for path in (*TRUETYPE, *OUTLINES):
        if Path(path).exists():
            try:
                return ImageFont.truetype(path, dots)
            except OSError:
                continue
    if wide:
        raise PaperError(NO_FONT)
    found = ImageFont.load_default(dots)
    if not isinstance(found, ImageFont.FreeTypeFont):
        raise PaperError("Pillow is without FreeType here: install its wheel")
    return found


def estimated(text: str) -> float:
    """The width of a line in em, near enough to keep it in its place."""
    return sum(WIDE_EM if ord(character) >= WIDE_FROM else LATIN_EM for character in text)
