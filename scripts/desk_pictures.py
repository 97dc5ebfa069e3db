"""Make docs/images/desk-*.png: the desk's pages in both languages, with made-up alarms and people."""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SMALL_WALL = {"width": 1280, "height": 720}  # the wall's own shape, as small a file as a page can bear
sys.path[:0] = [str(ROOT / "tests")]

from helpers_browser import Seat, chromium  # noqa: E402  # the tests' own browser and stage
from helpers_desk_stage import DISTRICTS, FALL, INCIDENT, MANY, STREET, Stage, all_sorts, members  # noqa: E402


def main(folder: Path) -> None:
    """Desk, panel and wall, as an operator sees them."""
    with chromium() as browser, Stage() as stage:
        stage.members = members(450)
        for language, locale, name in (("en", "en-GB", "Li Na"), ("zh", "zh-CN", "李娜")):
            stage.language = language
            stage.me = stage.me | {"name": name, "place": MANY["region_name"][language]}
            alarms = [alarm | {"region_name": STREET} for alarm in all_sorts()]
            stage.show(*alarms, incidents=[INCIDENT], districts=DISTRICTS)
            desk = Seat(browser, stage.url, locale=locale, timezone_id="Asia/Shanghai")
            desk.page.goto("/desk")
            desk.page.locator(f'[data-alarm="{FALL}"] .open-alarm').click()
            desk.page.locator(".history li").first.wait_for()
            desk.picture(folder / f"desk-{language}.png")
            if language == "en":
                desk.page.locator(".open-incident").click()
                desk.page.locator(".members tbody tr").first.wait_for()
                desk.page.locator(".incident").screenshot(path=folder / "desk-incident-en.png")
            wall = Seat(browser, stage.url, SMALL_WALL, locale=locale, timezone_id="Asia/Shanghai")
            wall.page.goto("/desk/wall")
            wall.page.locator(".district").first.wait_for()
            wall.picture(folder / f"desk-wall-{language}.png")
        stage.cut()
        desk.page.locator("#loss").wait_for()
        desk.picture(folder / "desk-lost-zh.png")
    for path in folder.glob("desk-*.png"):  # a third of the size, and nobody sees it
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
