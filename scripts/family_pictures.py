"""Make docs/images/family-*.png: the families' page on a phone, in both languages, with made-up people."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from helpers_browser import chromium  # noqa: E402  # the tests' own browser, home and phone
from helpers_family import PIN  # noqa: E402
from helpers_family_lived import Lived, say_at  # noqa: E402
from helpers_family_town import Phone, phone  # noqa: E402
from kanhu.web.family import words_entry as entry  # noqa: E402
from kanhu.web.family import words_home as at_home  # noqa: E402
from kanhu.web.family import words_sensors as sensors  # noqa: E402
from kanhu_protocol import kinds as k  # noqa: E402

NEW = (("A4C138770009", 1, -58), ("F04B48000009", 13, -74))  # address, role, dBm: a button and an oximeter


def enter(seat: Phone) -> None:
    """Past the PIN."""
    seat.open()
    seat.page.get_by_label(seat.say(entry.TEXT["pin"])).fill(PIN)
    seat.tap(entry.TEXT["enter"])
    seat.heading(at_home.TEXT["home_title"])


def say(lived: Lived, kind: int, **fields: Any) -> None:
    """The hub says something now."""
    lived.run(say_at(lived.place, int(time.time() * 1000), kind, **fields))


def add(lived: Lived, seat: Phone) -> None:
    """The hub listens, and has heard two that are new."""
    place = lived.place
    seat.open()
    seat.tap(at_home.TEXT["add_sensor"])
    seat.heading(sensors.TEXT["adding"])
    lived.run(place.confirm())
    seat.page.get_by_text(seat.say(sensors.TEXT["listening"])).wait_for()
    for new, role, rssi in NEW:
        address = bytes.fromhex(new)
        say(lived, k.SENSOR_HEARD, address=address, role=role, rssi=rssi, flags=k.UNVERIFIED)
    seat.page.locator("#heard a.card").nth(1).wait_for()


def walk(lived: Lived, seat: Phone) -> None:
    """One of two rooms has been walked through."""
    seat.open("walk")
    seat.tap(sensors.TEXT["walk_begin"])
    seat.page.locator(".dot").first.wait_for()
    say(lived, k.MOTION, device=lived.devices["motion"], rssi=-62)
    seat.page.locator(".dot.lit").first.wait_for()


def main(folder: Path) -> None:
    """What a family sees most."""
    with chromium() as browser, tempfile.TemporaryDirectory() as room, Lived(Path(room)) as lived:
        for language in ("zh", "en"):
            with phone(browser, lived.place.url, lived.place.token, language, scale=2) as seat:

                def picture(name: str, seat: Phone = seat, language: str = language) -> None:
                    seat.picture(folder / f"family-{name}-{language}.png")

                enter(seat)
                seat.page.locator(".state.well").wait_for(timeout=60_000)
                picture("home")
                say(lived, k.BATTERY_LOW, device=lived.devices["door"], battery=9, rssi=-81)
                for name, path in (
                    ("sensors", "sensors"),
                    ("readings", "readings?what=blood_pressure&span=week"),
                    ("modes", "modes"),
                ):
                    seat.page.goto(f"{seat.path()}/{path}")
                    picture(name)
                walk(lived, seat)
                picture("walk")
                seat.tap(sensors.TEXT["walk_done"])
                seat.heading(sensors.TEXT["sensors"])
                add(lived, seat)
                picture("add")
                seat.tap(sensors.TEXT["end_search"])
                seat.heading(sensors.TEXT["sensors"])
                lived.run(lived.place.confirm())
                say(lived, k.BATTERY_OK, device=lived.devices["door"], battery=98, rssi=-81)
                lived.run(lived.place.deliver())
    for path in folder.glob("family-*.png"):  # a third of the size, and nobody sees it
        with Image.open(path) as image:
            small = image.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
