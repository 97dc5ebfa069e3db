"""The families' page of a whole town: its daemon's settings, and phones that look at it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Response, expect

from helpers_browser import Seat
from kanhu.care.rules.values import Words
from kanhu.registry.families import Families
from kanhu.sim.town import Home, Town

PIN = "246813"
PHONE = {"width": 360, "height": 640}  # a cheap Android's, in CSS pixels
NARROWEST = 320  # CSS pixels, WCAG 1.4.10
LEAST_TARGET = 44  # CSS pixels high, WCAG 2.5.5
LOCALES = {"zh": "zh-CN", "en": "en-GB"}
ROOT_PX = 18  # family.css

# Everything a finger is meant for, and too low for one. A box in a label is as high as its label; a link
# in the middle of a sentence is as high as the line (WCAG 2.5.8 leaves that out, too).
_LOW = """least => [...document.querySelectorAll("a[href], button, input, select, summary")]
    .map(one => one.matches("input") && one.closest("label") || one)
    .filter(one => !one.matches("[type=hidden], .skip") && one.getClientRects().length)
    .filter(one => one.getBoundingClientRect().height < least)
    .map(one => `${one.outerHTML.slice(0, 120)}: ${one.getBoundingClientRect().height} px high`)"""


def family_settings() -> tuple[dict[str, Any], str]:
    """(sections of the daemon's config, URL): a port of its own, which outlives the daemon."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {"web": {"port": port}, "family": {"enabled": True}}, f"http://127.0.0.1:{port}"


def label_of(town: Town, home: Home) -> str:
    """The token of a hub's label."""
    return Families(town.registry).label(home.hub_id)


class Phone(Seat):
    """A cheap phone that opens one label's link; taps are counted, what it loads is kept."""

    def __init__(
        self, browser: Browser, url: str, token: str, language: str = "zh", *, scale: int = 1, **more: Any
    ) -> None:
        super().__init__(
            browser, url, PHONE, locale=LOCALES[language], has_touch=True, is_mobile=True,
            device_scale_factor=scale, **more,
        )  # fmt: skip
        self.url, self.token, self.language = url, token, language
        self.scripts = more.get("java_script_enabled", True)
        self.taps = 0
        self.responses: list[Response] = []
        self.page.on("response", self._came)

    def _came(self, response: Response) -> None:
        self.responses.append(response)

    def path(self, *parts: object) -> str:
        """Below the label's link."""
        return "/".join(("/f", self.token, *map(str, parts)))

    def open(self, *parts: object) -> int:
        """Type or scan an address; the status of the answer."""
        answer = self.page.goto(self.path(*parts))
        return answer.status if answer is not None else 0

    def say(self, words: Words) -> str:
        """In the language of this phone."""
        return words.zh if self.language == "zh" else words.en

    def control(self, words: Words | str) -> Locator:
        """The button or link of that name."""
        name = words if isinstance(words, str) else self.say(words)
        found = self.page.get_by_role("button", name=name, exact=True)
        return found.or_(self.page.get_by_role("link", name=name, exact=True)).first

    def tap(self, what: Words | str | Locator) -> None:
        """One touch of a finger."""
        control = what if isinstance(what, Locator) else self.control(what)
        control.tap()
        self.taps += 1

    def heading(self, words: Words | str) -> None:
        """Wait for the page of that name."""
        name = words if isinstance(words, str) else self.say(words)
        expect(self.page.locator("h1")).to_contain_text(name)

    def faults(self) -> list[str]:
        """What is wrong with the page: for axe, for a finger, in a narrow window, in large letters."""
        found = self.axe()
        found += self.page.evaluate(_LOW, LEAST_TARGET)
        if self.scrolls_sideways():
            found.append(f"{self.page.url}: scrolls sideways at {PHONE['width']} px")
        self.page.set_viewport_size(PHONE | {"width": NARROWEST})
        if self.scrolls_sideways():
            found.append(f"{self.page.url}: scrolls sideways at {NARROWEST} px")
        self.page.set_viewport_size(PHONE)
        resize = "px => { document.documentElement.style.fontSize = px ? `${px}px` : '' }"
        self.page.evaluate(resize, 2 * ROOT_PX)
        if self.scrolls_sideways():
            found.append(f"{self.page.url}: scrolls sideways with letters of twice the size")
        self.page.evaluate(resize, 0)
        return found

    def loaded(self) -> dict[str, int]:
        """Bytes of everything loaded since responses was last emptied, by URL; streams and pictures of data
        are left out."""
        return {
            one.url: one.request.sizes()["responseBodySize"]
            for one in self.responses
            if not one.url.startswith("data:")
            and not one.headers.get("content-type", "").startswith("text/event-stream")
            and one.status == 200
        }

    def elsewhere(self) -> list[str]:
        """What was asked of anybody but this server."""
        return [one.url for one in self.responses if not one.url.startswith((self.url + "/", "data:"))]


@contextmanager
def phone(browser: Browser, url: str, token: str, language: str = "zh", **more: Any) -> Iterator[Phone]:
    """A phone in somebody's hand; an error of the page's own, or a word to anybody else, fails the test."""
    found = Phone(browser, url, token, language, **more)
    try:
        yield found
    finally:
        found.close()
    assert found.problems == []
    assert found.elsewhere() == []


def digits(text: str) -> list[int]:
    """All numbers in a text."""
    return [int(one) for one in re.findall(r"\d+", text)]
