"""The desk's sound, in a browser of its own: where much was clicked, a new window may sound at once."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from helpers_browser import Seat
from helpers_desk_stage import CALL, OTHERS, SMOKE, Stage, alarm


def test_a_waiting_call_sounds_until_muted_and_a_new_one_ends_the_mute(
    stage: Stage, sit: Callable[..., Seat]
) -> None:
    stage.show(alarm(CALL, 5))
    desk = sit()
    page, sound = desk.page, desk.page.locator("#sound")
    expect(sound).to_have_text("Sound is blocked: click to allow")  # no click or key yet on this page
    sound.click()
    expect(sound).to_have_attribute("data-playing", "waiting")
    page.keyboard.press("m")
    expect(sound).to_have_attribute("data-state", "muted")
    expect(sound).to_have_text(re.compile(r"Muted for [12]:\d\d: click to undo"))
    expect(sound).to_have_attribute("data-playing", "")
    stage.show(alarm(CALL, 65), alarm(SMOKE, 1, kind="smoke"))
    expect(sound).to_have_attribute("data-playing", "urgent")
    expect(page.locator("#announce")).to_have_text("New: Smoke, cn/42/01/06/03")
    stage.show(alarm(CALL, 65, state="accepted", **OTHERS))
    expect(sound).to_have_attribute("data-playing", "")
