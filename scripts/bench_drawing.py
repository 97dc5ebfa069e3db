"""Make what docs/bench.md shows of the wiring from firmware/stimulus/lines.py: drawing, table and parts.

python scripts/bench_drawing.py          # writes docs/images/bench.svg and the tables of docs/bench.md
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

from kanhu.qa.lines import LINES, Line

ROOT = Path(__file__).parent.parent
SVG, PAGE = ROOT / "docs/images/bench.svg", ROOT / "docs/bench.md"
WIDTH, ROW, TOP = 1080, 44, 190
LEFT, RIGHT = 330, 750  # edges of the two boards
COLOURS = {"open drain": "#b45309", "push-pull": "#1d4ed8", "input": "#15803d", "load switch": "#b91c1c"}
KINDS = {
    "open drain": "contact to ground",
    "push-pull": "driven level",
    "input": "read by the stimulus",
    "load switch": "supply",
}
BOARD = "ESP32 with a WROOM module"
PULL_UP = "10k"  # of the load switch's enable
NAMES = {"470": "470 Ω", "1k": "1 kΩ", "4.7k": "4.7 kΩ", "10k": "10 kΩ"}


def wires() -> list[Line]:
    """Lines that end at a pin of the hub, in the table's order."""
    return [line for line in LINES.values() if line.hub_gpio is not None]


def switch() -> Line:
    """The line of the load switch."""
    return next(line for line in LINES.values() if line.kind == "load switch")


def table() -> str:
    """Rows of docs/bench.md, one a line."""
    rows = ["| line | stimulus | in series | hub | what it is |", "|---|---|---|---|---|"]
    for line in LINES.values():
        to = "enable of the load switch" if line.hub_gpio is None else f"GPIO {line.hub_gpio}"
        rows.append(f"| `{line.name}` | GPIO {line.gpio} | {NAMES[line.resistor]} | {to} | {line.note} |")
    rows.append("| ground | GND | | GND | both boards, the load switch and the supply |")
    return "\n".join(rows)


def resistors() -> str:
    """The resistors of the parts list."""
    counts = Counter(line.resistor for line in LINES.values())
    counts[PULL_UP] += 1
    rows = [f"| {counts[value]} | resistor {NAMES[value]}, 1/4 W |" for value in NAMES if counts[value]]
    return "\n".join([*rows, f"| {len(LINES) + 6} | jumper wires |"])


def svg() -> str:
    """The drawing."""
    lines = wires()
    bottom = TOP + ROW * len(lines) + 30
    height = bottom + 252
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="15">',
        "<title>A bench: stimulus board, hub under test, and the wires between them</title>",
        '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" fill="context-stroke"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _box(330, 20, 420, 66, "Computer", "pytest hil_tests, kanhu bench doctor", "#f1f5f9"),
        _box(70, 136, LEFT - 70, bottom - 136, "Stimulus", BOARD, "#fef9c3"),
        _box(
            RIGHT,
            136,
            WIDTH - 70 - RIGHT,
            bottom - 136,
            "Hub under test",
            "ESP32 with a WROOM module",
            "#dcfce7",
        ),
        _path("M350 86V110H200V134", "#64748b", 3),
        _text(340, 106, "USB: console, 5 V", "#475569", "end"),
        _path("M730 86V110H880V134", "#64748b", 3),
        _text(740, 106, "USB: console, no 5 V", "#475569"),
    ]
    for index, line in enumerate(lines):
        out += _wire(line, TOP + 28 + ROW * index)
    out += _supply(bottom)
    return "\n".join([*out, "</svg>"]) + "\n"


def _wire(line: Line, y: int) -> list[str]:
    colour = COLOURS[line.kind]
    middle = (LEFT + RIGHT) // 2
    ends = "marker-end" if line.drives else "marker-start"
    return [
        f'<path d="M{LEFT + 4} {y}H{RIGHT - 4}" stroke="{colour}" stroke-width="2.5" fill="none" '
        f'{ends}="url(#to)"/>',
        f'<rect x="{middle - 42}" y="{y - 12}" width="84" height="24" rx="3" fill="#ffffff" '
        f'stroke="{colour}" stroke-width="2"/>',
        _text(middle, y + 5, NAMES[line.resistor], colour, "middle"),
        _text(LEFT - 14, y + 5, f"GPIO {line.gpio}", "#111827", "end", bold=True),
        _text(LEFT - 96, y + 5, line.name, colour, "end"),
        _text(RIGHT + 14, y + 5, f"GPIO {line.hub_gpio}", "#111827", bold=True),
        _text(RIGHT + 96, y + 5, _at_hub(line), colour),
    ]


def _at_hub(line: Line) -> str:
    return f"{line.name} (device {line.device})" if line.device else line.name


def _supply(bottom: int) -> list[str]:
    """Load switch in the hub's 5 V, and the ground of all."""
    line = switch()
    colour = COLOURS[line.kind]
    y, ground = bottom + 56, bottom + 176
    return [
        _box(450, y - 8, 220, 84, "Load switch", "5 V, 1 A", "#fee2e2"),
        _box(70, y - 8, 200, 84, "5 V supply, 1 A", "or a USB socket's 5 V", "#f1f5f9"),
        _path(f"M270 {y + 58}H450", colour, 3, 'marker-end="url(#to)"'),
        _text(285, y + 50, "5 V in", "#475569"),
        _path(f"M670 {y + 58}H880V{bottom + 4}", colour, 3, 'marker-end="url(#to)"'),
        _text(684, y + 50, "out", "#475569"),
        _text(892, y + 20, "5V pin", "#111827", bold=True),
        _path(f"M300 {bottom}V{y + 14}H446", colour, 2.5, 'marker-end="url(#to)"'),
        f'<rect x="342" y="{y + 2}" width="84" height="24" rx="3" fill="#ffffff" stroke="{colour}" '
        'stroke-width="2"/>',
        _text(384, y + 19, NAMES[line.resistor], colour, "middle"),
        _text(462, y + 19, "EN", "#475569"),
        _text(288, bottom + 26, f"GPIO {line.gpio}  {line.name}", "#111827", "end", bold=True),
        _text(540, y - 20, f"{NAMES[PULL_UP]} from EN to the stimulus's 3V3", colour, "middle"),
        _path(f"M100 {ground}H{WIDTH - 88}", "#111827", 4),
        _text(
            WIDTH // 2,
            ground + 28,
            "GND: both boards, load switch and supply",
            "#111827",
            "middle",
            bold=True,
        ),
        _path(f"M170 {y + 76}V{ground}", "#111827", 2.5),
        _path(f"M560 {y + 76}V{ground}", "#111827", 2.5),
        _path(f"M88 {bottom}V{bottom + 30}H50V{ground}H100", "#111827", 2.5),
        _path(f"M{WIDTH - 88} {bottom}V{ground}", "#111827", 2.5),
        *_legend(ground + 34),
    ]


def _legend(y: int) -> list[str]:
    out, x = [], 100
    for kind, words in KINDS.items():
        out.append(_path(f"M{x} {y + 12}H{x + 34}", COLOURS[kind], 3))
        out.append(_text(x + 42, y + 17, words, "#475569"))
        x += 90 + 8 * len(words)
    return out


def _box(x: int, y: int, width: int, height: int, name: str, about: str, fill: str) -> str:
    middle = x + width // 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}" stroke="#334155" '
        f'stroke-width="2"/>'
        + _text(middle, y + 26, name, "#111827", "middle", bold=True, size=18)
        + _text(middle, y + 47, about, "#475569", "middle")
    )


def _path(way: str, colour: str, width: float, more: str = "") -> str:
    found = f'<path d="{way}" stroke="{colour}" stroke-width="{width}" fill="none" {more}'
    return found.rstrip() + "/>"


def _text(
    x: int, y: int, words: str, colour: str, anchor: str = "start", *, bold: bool = False, size: int = 15
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}" font-size="{size}"{weight}>'
        f"{escape(words)}</text>"
    )


def filled(page: str) -> str:
    """The page with its tables as they are now."""
    for name, text in (("wires", table()), ("resistors", resistors())):
        page = _between(page, f"<!-- {name} -->", f"<!-- end of {name} -->", text)
    return page


def _between(page: str, begin: str, end: str, text: str) -> str:
    before, _, rest = page.partition(f"{begin}\n")
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{PAGE}: no {begin} ... {end}")
    return f"{before}{begin}\n{text}\n{found}{after}"


def main() -> None:
    """Write both."""
    SVG.write_text(svg(), encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
