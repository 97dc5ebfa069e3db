"""Every page of a home that is lived in, in a phone's browser: for everybody, small, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from helpers_browser import chromium
from helpers_family import PIN
from helpers_family_lived import Lived
from helpers_family_town import Phone, phone
from kanhu.web.family import words_entry as entry
from kanhu.web.family import words_home as at_home
from kanhu.web.family.words import HTML_LANG

FIRST_VIEW = 100_000  # bytes of HTML, style, script and icon
STYLE = 16_000
PAGES = (
    "", "/sensors", "/readings", "/more", "/log", "/modes", "/settings", "/data", "/data/erase", "/add",
    "/walk", "/readings?what=blood_pressure&span=day", "/readings?what=blood_pressure&span=week",
    "/readings?what=temperature&span=month", "/no/such/page",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    with Lived(tmp_path_factory.mktemp("lived")) as found:
        yield found


def enter(seat: Phone) -> None:
    """Past the PIN."""
    seat.open()
    seat.heading(entry.TEXT["enter_title"])
    seat.page.get_by_label(seat.say(entry.TEXT["pin"])).fill(PIN)
    seat.tap(entry.TEXT["enter"])
    seat.heading(at_home.TEXT["home_title"])


def pages(lived: Lived) -> list[str]:
    """All that are worth a look."""
    place = lived.place
    one = place.path("sensors", place.hub)
    return [
        *(place.path() + path for path in PAGES),
        *(f"{one}/{index}" for index in lived.devices.values()),
        f"{one}/{lived.devices['pendant']}/unpair",
    ]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_page_is_for_everybody_and_small(browser: Browser, lived: Lived, language: str) -> None:
    with phone(browser, lived.place.url, lived.place.token, language) as seat:
        seat.open()
        assert seat.faults() == []
        loaded = seat.loaded()
        seat.responses.clear()
        enter(seat)
        loaded |= seat.loaded()
        for path in pages(lived):
            seat.responses.clear()
            seat.page.goto(path)
            loaded |= seat.loaded()
            assert seat.faults() == [], path
            assert seat.page.locator("html").get_attribute("lang") == HTML_LANG[seat.language]
    static = {url: size for url, size in loaded.items() if "/f/static/" in url}
    assert {url.rpartition("/")[2] for url in static} >= {"family.css", "live.js", "0.svg"}
    assert next(size for url, size in static.items() if url.endswith(".css")) < STYLE
    for url in loaded.keys() - static.keys():
        assert loaded[url] + sum(static.values()) < FIRST_VIEW, url


def test_without_scripts_every_page_is_whole(browser: Browser, lived: Lived) -> None:
    with (
        phone(browser, lived.place.url, lived.place.token, "en") as with_scripts,
        phone(browser, lived.place.url, lived.place.token, "en", java_script_enabled=False) as without,
    ):
        enter(with_scripts)
        enter(without)
        for path in pages(lived):
            for seat in (with_scripts, without):
                seat.page.goto(path)
            assert controls(without) == controls(with_scripts), path


def controls(seat: Phone) -> list[str]:
    """What can be tapped or filled, by name."""
    found = seat.page.locator("main").locator("a, button, input:not([type=hidden]), select, summary")
    return [text.strip() for text in found.all_inner_texts()]
