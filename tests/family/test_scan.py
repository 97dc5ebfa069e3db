"""A key read out of a photograph, in a browser that can; desktop ones cannot, so the reading is played."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from helpers_browser import Seat, chromium
from helpers_family import Place, running

KEY = "231d39c1d7cc1ab1aee224cd096db932"
PLAYED = """
window.BarcodeDetector = class {
  async detect(picture) { return window.codes.map((rawValue) => ({ rawValue })); }
};
window.codes = [];
"""
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.mark.parametrize("can", [True, False])
async def test_a_key_is_read_from_a_photograph(tmp_path: Path, cheap_pins: None, can: bool) -> None:
    async with running(tmp_path) as place:
        index = place.registry.add_sensor(place.hub, "call", "A4:C1:38:77:00:01", bind_key=bytes.fromhex(KEY))
        await place.let_in()
        await asyncio.to_thread(look, place, index, can)
        if can:
            assert place.registry._bind_keys[place.hub][index] == bytes.fromhex(KEY[::-1])


def look(place: Place, index: int, can: bool) -> None:
    name = place.family.access.cookie
    value = place.client.cookies[name]
    with chromium() as browser:
        seat = Seat(browser, place.url, {"width": 360, "height": 640}, locale="en-GB")
        if can:
            seat.context.add_init_script(PLAYED)
        seat.context.add_cookies([{"name": name, "value": value, "url": place.url + place.path()}])
        page = seat.page
        page.goto(place.path("sensors", place.hub, index))
        page.get_by_role("button", name="New key").wait_for()
        button = page.get_by_text("Photograph its code")
        if not can:
            page.wait_for_load_state("networkidle")
            assert not button.is_visible()
            seat.close()
            return
        photograph = {"name": "code.png", "mimeType": "image/png", "buffer": PIXEL}
        page.locator("#scan input").set_input_files([photograph])  # nothing in it
        page.get_by_text("No code was found").wait_for()
        page.evaluate("window.codes = ['MAC:A4C138770001 KEY:" + KEY[::-1] + "']")
        page.locator("#scan input").set_input_files([photograph])
        page.wait_for_function("document.getElementById('secret').value.includes('KEY:')")
        assert not page.get_by_text("No code was found").is_visible()
        assert seat.axe() == []
        page.get_by_role("button", name="New key").click()
        page.wait_for_load_state("networkidle")
        assert seat.problems == []
        seat.close()
