"""Sheets of labels for hubs: what stands on each, where, and whether a camera reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import segno
import zxingcpp
from PIL import Image

from kanhu.care.rules.values import Words
from kanhu.label import LabelError
from kanhu.registry import checks

from .paper import Box, Code, Page, Text, picture
from .paper.picture import DPI, MM_PER_INCH
from .paper.shapes import SIZES

Lang = Literal["zh", "en", "both"]

WIDTH, HEIGHT = 70.0, 37.0  # mm: 3 x 8 on A4 is sold without margins
INSET_X, INSET_Y = 4.5, 4.0  # many printers leave the edge of a sheet white
CODE_MM = 26.0
MODULE_MM = 0.4  # the least that a telephone's camera reads from a hand's breadth
QUIET = 4  # modules around the code (ISO/IEC 18004)
LEVELS = ("q", "m", "l")  # a quarter of it may be scratched away, or less where the link is long
WIRES_MM = 7.9  # of lines
GREY, LINE = "#555555", "#bbbbbb"

SCAN = Words("Scan: is all well?", "扫码看平安")
CODE = Words("Set-up code", "配网码")
WIRES = Words("Wiring (GPIO)", "接线脚位")
BRAND = Words("Kanhu", "看护")
PINS = {
    "buttons": Words("Button", "按钮"), "pirs": Words("PIR", "人体感应"), "lamp": Words("Lamp", "灯"),
    "buzzer": Words("Buzzer", "蜂鸣器"), "mains": Words("Mains", "市电"), "cancel": Words("Cancel", "取消键"),
}  # fmt: skip
MODEM = Words("Modem TX/RX", "模块")


class Wire(NamedTuple):
    """What is on which pins of a hub: 4, or 4+5 with the pin of a supervised line."""

    what: Words
    pins: str


@dataclass(frozen=True, slots=True)
class Label:
    """What one label says; code: the hub's commissioning code in groups, or empty."""

    hub: str
    link: str
    code: str
    wires: tuple[Wire, ...]


class Sheet(NamedTuple):
    """Where labels stand on a sheet of paper."""

    width: float
    height: float
    columns: int
    rows: int

    @property
    def places(self) -> int:
        """How many."""
        return self.columns * self.rows

    def at(self, place: int) -> tuple[float, float]:
        """The upper left corner of one, mm."""
        row, column = divmod(place, self.columns)
        left = (self.width - self.columns * WIDTH) / 2
        top = (self.height - self.rows * HEIGHT) / 2
        return left + column * WIDTH, top + row * HEIGHT


SHEETS = {
    name: Sheet(width, height, int(width // WIDTH), int(height // HEIGHT))
    for name, (width, height) in SIZES.items()
}


def wires(settings: dict[str, Any]) -> tuple[Wire, ...]:
    """What a hub's settings say of its pins; without a word of them, the defaults."""
    found = []
    for key, words in PINS.items():
        if key in checks.DEFAULT_WIRED:
            rows = settings.get(key, checks.DEFAULT_WIRED[key])
            pins = ", ".join("+".join(str(pin) for pin in row[1:] if pin is not None) for row in rows)
        else:
            pin = settings.get(key, checks.DEFAULT_PINS[key])
            pins = "" if pin is None else str(pin)
        if pins:
            found.append(Wire(words, pins))
    if settings.get("network") == "ppp":
        _, sends, receives, _ = settings.get("modem", checks.DEFAULT_MODEM)
        found.append(Wire(MODEM, f"{sends}/{receives}"))
    return tuple(found)


def qr(link: str) -> Code:
    """The code of a link, without the white around it; LabelError where its modules would be too small."""
    for level in LEVELS:
        made = segno.make(link, error=level, micro=False, boost_error=False)
        rows = tuple(bytes(row) for row in made.matrix)
        if CODE_MM / len(rows) >= MODULE_MM:
            return Code(0, 0, CODE_MM, rows)
    raise LabelError(
        f"label: a link of {len(link)} characters is too long to be read; shorten [web] public_url"
    )


def pages(labels: Sequence[Label], paper: str, lang: Lang, start: int = 1) -> list[Page]:
    """The sheets of these labels, from place `start` of the first one on."""
    sheet = SHEETS[paper]
    if not 1 <= start <= sheet.places:
        raise LabelError(f"--start {start}: a sheet of {paper} has places 1 to {sheet.places}")
    made: list[Page] = []
    for number, label in enumerate(labels, start - 1):
        place = number % sheet.places
        if place == 0 or not made:
            made.append(Page(sheet.width, sheet.height))
        _draw(made[-1], label, *sheet.at(place), lang)
    return made


def proved(made: Sequence[Page], labels: Sequence[Label], paper: str, start: int = 1) -> list[Image.Image]:
    """Pictures of the sheets, on which each label's code was read and is its own; LabelError."""
    sheet = SHEETS[paper]
    pictures = [picture(page) for page in made]
    for number, label in enumerate(labels, start - 1):
        page, place = divmod(number, sheet.places)
        left, top = sheet.at(place)
        scale = DPI / MM_PER_INCH
        part = pictures[page].crop(
            (int(left * scale), int(top * scale), int((left + WIDTH) * scale), int((top + HEIGHT) * scale))
        )
        read = [
            one.text
            for one in zxingcpp.read_barcodes(part, zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
        ]
        if read != [label.link]:
            raise LabelError(f"label of hub {label.hub}: its code cannot be read back; nothing was written")
    return pictures


def say(words: Words, lang: Lang, between: str = " ") -> str:
    """In one language, or in both."""
    return {"zh": words.zh, "en": words.en}.get(lang, f"{words.zh}{between}{words.en}")


def _draw(page: Page, label: Label, left: float, top: float, lang: Lang) -> None:
    x, y = left + INSET_X, top + INSET_Y
    code = qr(label.link)
    page.add(
        Code(x, y, code.side, code.rows),
        Text(x + CODE_MM / 2, y + 28.7, 2.4, say(SCAN, lang), "middle", CODE_MM + 2),
    )
    x += CODE_MM + QUIET * code.module + 0.6
    width = left + WIDTH - INSET_X - x
    page.add(
        Text(x, y + 2.8, 3.4, say(BRAND, lang), bold=True),
        Text(x, y + 7.7, 4.9, label.hub, fit=width, bold=True),
        Box(x, y + 9.3, width, 0.15, LINE),
    )
    wires_at = y + 11.7
    if label.code:
        page.add(Text(x, y + 11.7, 2.0, say(CODE, lang), colour=GREY))
        for number, line in enumerate(_halves(label.code)):
            page.add(Text(x, y + 14.5 + 3.0 * number, 2.8, line, fit=width))
        page.add(Box(x, y + 18.8, width, 0.15, LINE))
        wires_at = y + 21.2
    page.add(Text(x, wires_at, 2.0, say(WIRES, lang), colour=GREY))
    rows = -(-len(label.wires) // 2)
    apart = min(2.5, WIRES_MM / max(rows, 1))
    for number, wire in enumerate(label.wires):
        column, row = divmod(number, rows)
        page.add(
            Text(
                x + column * (width / 2 + 0.5), wires_at + apart * (row + 1), min(2.15, 0.93 * apart),
                f"{say(wire.what, lang)} {wire.pins}", fit=width / 2 - 0.5,
            )
        )  # fmt: skip


def _halves(code: str) -> list[str]:
    groups = code.split("-")
    half = -(-len(groups) // 2)
    return [line for line in ("-".join(groups[:half]), "-".join(groups[half:])) if line]
