"""A browser before a desk whose state the test sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from helpers_browser import Seat, chromium
from helpers_desk_stage import Stage


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def sit(browser: Browser, stage: Stage) -> Iterator[Callable[..., Seat]]:
    """sit(path="/desk", ...): a window at the stage; a page with an error of its own fails the test."""
    seats: list[Seat] = []

    def take(path: str = "/desk", size: dict[str, int] | None = None) -> Seat:
        seat = Seat(browser, stage.url, size, locale="en-GB", timezone_id="Asia/Shanghai")
        seats.append(seat)
        seat.page.goto(path)
        if path in ("/desk", "/desk/wall"):
            expect(seat.page.locator("#clock")).to_have_text(re.compile(r"\d+:\d\d:\d\d"))
        return seat

    yield take
    problems = [problem for seat in seats for problem in seat.problems]
    for seat in seats:
        seat.close()
    assert problems == []


def row_of(page: Page, name: str) -> Locator:
    return page.locator(f'[data-alarm="{name}"]')


def row(seat: Seat, name: str) -> Locator:
    return row_of(seat.page, name)
