"""Make docs/images/qa-report.png: the top of a report of a made-up run in which two tests fail."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from PIL import Image  # noqa: E402

from helpers_browser import Seat, chromium  # noqa: E402
from helpers_qa_record import example, past  # noqa: E402
from kanhu.qa.history import History  # noqa: E402
from kanhu.qa.report.page import render  # noqa: E402

SIZE = {"width": 1180, "height": 640}
COLOURS = 64  # of a picture of text: a quarter of the bytes


def main(target: Path) -> None:
    """Write the picture."""
    run = example()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = Path(folder) / "report.html"
        page.write_text(render(run, History(past(run))), "utf-8")
        seat = Seat(browser, "http://127.0.0.1/", SIZE, color_scheme="light")
        seat.page.goto(page.as_uri())
        shot = seat.page.screenshot()
        seat.close()
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images/qa-report.png")
