"""A desk on a town's daemon: its settings, and operators who log in through the page."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, expect

from helpers_browser import Seat
from helpers_e2e import wait_for
from kanhu.registry.operators import Operators
from kanhu.sim.town import Town

PASSWORD = "a long enough one"


def desk_settings() -> tuple[dict[str, Any], str]:
    """(section of the daemon's config, URL): a port of its own, which outlives the daemon."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return {"web": {"port": port}, "desk": {"enabled": True}}, f"http://127.0.0.1:{port}"


@contextmanager
def log_in(
    browser: Browser, town: Town, url: str, operator: str, region: str, role: str = "operator", name: str = ""
) -> Iterator[Seat]:
    """A new operator in front of the desk; an error of the page's own fails the test."""
    Operators(town.registry).add(operator, name, role, region, "en", PASSWORD)
    seat = Seat(browser, url, locale="en-GB")

    def let_in() -> bool:  # the daemon sees a new operator within a second or so
        seat.page.goto("/desk")
        seat.page.get_by_label("Operator").fill(operator)
        seat.page.get_by_label("Password").fill(PASSWORD)
        seat.page.keyboard.press("Enter")
        seat.page.wait_for_url(re.compile("/desk(/login)?$"))
        return seat.page.url.endswith("/desk")

    try:
        wait_for(let_in, 20, "the operator is not let in")
        expect(seat.page.locator("#link-state")).to_have_text("Connected")
        yield seat
    finally:
        seat.close()
    assert seat.problems == []
