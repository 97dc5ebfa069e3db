"""A street loses its power and an elder presses: one line on the desk, its homes behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect

from helpers_desk_town import desk_settings, log_in
from kanhu.sim.town import Town

STREET = "cn/42/01/06/03"
NOTE = "钥匙在邻居处"


def test_a_call_from_a_street_without_power(
    browser: Browser, make_town: Callable[..., Town], tmp_path: Path
) -> None:
    settings, url = desk_settings()
    names = tmp_path / "regions.toml"
    names.write_text(f'"{STREET}" = {{ en = "Zhongbei Road", zh = "中北路街道" }}\n', encoding="utf-8")
    settings["desk"]["region_names"] = str(names)
    town = make_town(daemon={"care": {"incidents": {"hubs": 2}}, **settings})
    town.start()
    homes = [town.add_home(f"home{n}", buttons={"bedroom": 4}, region=STREET) for n in range(2)]
    town.wait_ready(60)
    with log_in(browser, town, url, "lina", STREET) as seat:
        page = seat.page
        expect(page.locator(".bar")).to_contain_text("Zhongbei Road")
        for home in homes:
            town.bench.mains(False, home.hub)
        incident = page.locator("#incidents [data-incident]")
        expect(incident).to_contain_text("2 homes · 2 not back · Zhongbei Road", timeout=60_000)

        town.bench.press("home1/bedroom")
        alarm = page.locator(f'#waiting [data-alarm^="{homes[1].hub_id}/"]')
        expect(alarm).to_contain_text("Zhongbei Road · No mains power in many homes of Zhongbei Road")
        page.keyboard.press("a")
        expect(page.locator(".shared")).to_have_text(
            "Not only here: No mains power in many homes of Zhongbei Road"
        )

        # Who is met, and who is back.
        incident.get_by_role("button", name="Homes").click()
        members = incident.locator("tbody tr")
        expect(members.filter(has_text="not back")).to_have_count(2)
        assert {home.home for home in homes} == {
            row.locator("td").first.inner_text() for row in members.all()
        }
        town.bench.mains(True, homes[0].hub)
        expect(incident).to_contain_text("1 not back", timeout=30_000)
        incident.get_by_role("button", name="Look again").click()
        expect(members.filter(has_text="not back")).to_have_count(1)

        # What whoever comes next has to know stays with the home.
        page.keyboard.press("n")
        page.get_by_label("What whoever helps has to know").fill(NOTE)
        page.get_by_role("button", name="Keep it").click()
        expect(page.locator(".note")).to_have_text(NOTE)
