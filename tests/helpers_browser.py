"""Headless Chromium for tests of the pages: Debian's, with a Chinese font, no network but the loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

LAPTOP = {"width": 1366, "height": 768}
WALL = {"width": 1920, "height": 1080}
# As browsers on desks do, and headless ones by themselves do not: no sound before the first click or key.
AUTOPLAY = "--autoplay-policy=document-user-activation-required"
WAIT_MS = 15_000  # a busy machine; a test that measures time says so itself
expect.set_options(timeout=WAIT_MS)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# WCAG 2.2 A and AA, and axe's own best practices.
AXE_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; skips where none is installed (scripts/setup.sh test brings it)."""
    program = next((found for found in map(shutil.which, CHROMIUM) if found), None)
    if program is None:
        pytest.skip("no chromium here: scripts/setup.sh test installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio", AUTOPLAY],
        )
        try:
            yield browser
        finally:
            browser.close()


class Seat:
    """One operator's browser window; remembers everything that went wrong in the page."""

    def __init__(
        self, browser: Browser, url: str, size: dict[str, int] | None = None, **options: Any
    ) -> None:
        self.context: BrowserContext = browser.new_context(viewport=size or LAPTOP, base_url=url, **options)  # type: ignore[arg-type]
        self.context.set_default_timeout(WAIT_MS)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._said)

    def _said(self, message: Any) -> None:
        # What the network did is the page's to show; a refused script or style is ours to mend.
        if (
            message.type == "error"
            and "Failed to load resource" not in message.text
            and "net::" not in message.text
        ):
            self.problems.append(message.text)

    def close(self) -> None:
        """Put the window away."""
        self.context.close()

    def axe(self) -> list[str]:
        """What axe-core finds wrong with the page as it stands."""
        result = Axe().run(self.page, options=AXE_RULES)
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in result.response["violations"]
            for node in one["nodes"]
        ]

    def picture(self, path: Path) -> None:
        """A screenshot of what is in the window."""
        self.page.screenshot(path=path)

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
