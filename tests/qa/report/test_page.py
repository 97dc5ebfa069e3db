"""The report in a browser: what a manager reads, what an engineer finds, in any light, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from helpers_browser import Seat, chromium
from helpers_qa_record import example, past
from kanhu.qa.history import History
from kanhu.qa.model import BoardInfo, Run, Test
from kanhu.qa.report.page import LOG_MAX, duration, render
from kanhu.qa.report.svg import thin, ticks

PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = example()
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(run, History(past(run))), "utf-8")
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One test of each outcome: axe looks at every mark of every plot."""
    run = example()
    history = History(past(run))
    run.tests = list({test.outcome: test for test in run.tests if test.suite != "soak"}.values())
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(run, history), "utf-8")
    return path


def _open(browser: Browser, path: Path, **options: Any) -> Seat:
    seat = Seat(browser, "http://127.0.0.1/", **options)
    asked: list[str] = []
    seat.page.on("request", lambda request: asked.append(request.url))
    seat.page.goto(path.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1  # nothing but itself
    return seat


@pytest.mark.parametrize(("scheme", "size"), [("light", None), ("dark", PHONE)])
def test_it_is_accessible_and_fits(browser: Browser, short: Path, scheme: str, size: Any) -> None:
    seat = _open(browser, short, color_scheme=scheme, size=size)
    seat.page.locator("#open-all").click()
    assert seat.axe() == []
    assert not seat.scrolls_sideways()
    assert seat.problems == []
    seat.close()


def test_the_top_says_it_all(browser: Browser, rich: Path) -> None:
    seat = _open(browser, rich)
    run = example()
    top = seat.page.locator("header.verdict")
    expect(top.locator("h1")).to_contain_text("Failed 未通过")
    expect(top).to_contain_text("2 of 24 tests that ran failed; promise L-02 broken.")
    hub = run.boards[0]
    said = (hub.firmware_sha256[:12], "MicroPython 1.28.0", hub.chip, hub.mac, "simulated")
    for one in (*said, "kanhu 0.1.0", run.git[:10], "--target sim"):
        expect(top).to_contain_text(one)
    tiles = seat.page.locator(".tiles")
    expect(tiles).to_contain_text("21 / 36")
    expect(tiles.locator(".bad")).to_contain_text("1 lost")
    expect(tiles.locator(".tile").nth(3)).to_contain_text(
        re.compile(r"press to platform.*p95.*p50.*max.*≤ 4 s", re.S)
    )
    honest = seat.page.locator(".honest")
    expect(honest).to_contain_text("No real board took part")
    for one in (top, tiles, honest):
        box = one.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 768  # of a laptop, without scrolling
    assert seat.page.title().startswith("Failed")
    seat.close()


def test_filters_search_and_links_find_tests(browser: Browser, rich: Path) -> None:
    seat = _open(browser, rich)
    page, shown = seat.page, seat.page.locator(".test:visible")
    total = len(example().tests)
    expect(shown).to_have_count(total)
    page.locator("#show-passed").uncheck()
    expect(shown).to_have_count(6)
    page.locator("#suite").select_option("smoke")
    expect(shown).to_have_count(1)
    page.locator("#show-passed").check()
    expect(shown).to_have_count(4)
    page.locator("#suite").select_option("")
    page.locator("#promise").select_option("D-03")
    expect(shown).to_have_count(1)
    page.locator("#promise").select_option("")
    page.locator("#search").fill("connection reset")
    expect(shown).to_have_count(1)
    expect(page.locator("#found")).to_have_text(f"1 / {total}")
    page.locator(
        "#promises a", has_text="test_ticks_wrap"
    ).click()  # hidden by the search, and shown all the same
    expect(page.locator(".test", has_text="test_ticks_wrap").locator(".body").first).to_be_visible()
    seat.close()


def test_a_log_shows_only_the_lines_one_looks_for(browser: Browser, rich: Path) -> None:
    seat = _open(browser, rich)
    log = seat.page.locator(".test.failed .log", has_text="hub ·")
    log.locator("summary").click()
    before = log.locator("pre").inner_text()
    log.locator(".grep").fill("PIR")
    lines = log.locator("pre").inner_text().splitlines()
    assert lines
    assert all("pir" in line for line in lines)
    assert "␛[33m" in lines[0]
    log.locator(".grep").fill("")
    assert log.locator("pre").inner_text() == before
    seat.close()


def test_a_failed_test_says_how_to_repeat_it(browser: Browser, rich: Path) -> None:
    seat = _open(browser, rich)
    test = seat.page.locator(".test.failed")
    expect(test.locator(".replay code")).to_have_text(
        "pytest hil_tests/release/test_release.py::test_a_heard_press_survives_a_power_cut"
        " --target sim --seed 4711"
    )
    expect(test.locator(".body")).to_contain_text("press 3 <b>was</b> called heard")  # text, no markup
    labels = test.locator("svg").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    assert any("2 faults" in one for one in labels)
    expect(test.locator("svg .fault")).to_have_count(2)
    other = seat.page.locator(".test", has_text="no_call_is_lost_during[cut]")
    assert "--replay run.json" in (other.locator(".replay code").text_content() or "")
    seat.close()


def test_without_scripts_everything_is_there(browser: Browser, rich: Path) -> None:
    seat = _open(browser, rich, java_script_enabled=False)
    page = seat.page
    expect(page.locator("#search")).to_be_hidden()
    expect(page.locator(".copy").first).to_be_hidden()
    page.locator("#show-passed").uncheck()  # by style alone
    expect(page.locator(".test.passed:visible")).to_have_count(0)
    page.locator(".test.skipped summary").first.click()
    expect(page.locator(".test.skipped .body").first).to_be_visible()
    page.locator("#only-zh").check()
    expect(page.locator("h1 .en")).to_be_hidden()
    expect(page.locator("h1 .zh")).to_be_visible()
    page.locator("#only-en").check()
    expect(page.locator("h1 .zh")).to_be_hidden()
    seat.close()


def test_it_prints(browser: Browser, rich: Path, tmp_path: Path) -> None:
    seat = _open(browser, rich, color_scheme="dark")
    pdf = seat.page.pdf(path=tmp_path / "report.pdf", format="A4")
    seat.page.emulate_media(media="print")
    expect(seat.page.locator("nav")).to_be_hidden()
    assert seat.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
    assert 3 <= pages <= 25
    seat.close()


def test_a_run_with_nothing_in_it(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render(Run(id="r", started_utc="2026-01-01T00:00:00Z", target="usb")), "utf-8")  # type: ignore[arg-type]
    seat = _open(browser, path)
    expect(seat.page.locator("h1")).to_contain_text("Nothing ran")
    expect(seat.page.locator(".honest")).to_contain_text("Real boards took part")
    assert seat.axe() == []
    assert seat.problems == []
    seat.close()


def test_what_boards_and_people_wrote_is_text(browser: Browser, tmp_path: Path) -> None:
    evil = "</script><script>document.title='x'</script><img src=x onerror=\"document.title='y'\">\x00\x1b[0m"
    run = example()
    run.notes = run.problems = [evil]
    run.promises = {"D-01": evil}
    run.boards = [BoardInfo(name=evil, chip=evil, mac=evil, port=evil, firmware_version=evil)]
    test = run.tests[0]
    test.message, test.details, test.title, test.log, test.sections = (
        evil,
        evil,
        evil,
        {evil: evil},
        {evil: evil},
    )
    test.schedule = [{"action": evil}]
    test.marks[0].name = (test.faults[:1] and evil) or evil
    test.series = {evil: [(0, 1), (1, 2)]}
    test.outcome = "failed"
    path = tmp_path / "report.html"
    path.write_text(render(run), "utf-8")
    seat = _open(browser, path)
    assert seat.page.title().startswith("Failed")
    assert seat.page.locator("img").count() == 0
    assert seat.problems == []
    seat.close()


def test_a_long_run_stays_a_page() -> None:
    run = example(broken=False)
    soak = run.tests[-1]
    soak.marks = soak.marks * 80
    soak.series["heap free (B)"] = [(float(n), 1e5 + n % 977) for n in range(60_000)]
    soak.log = {"hub": "a line of the console of a hub\n" * 200_000}
    soak.measures[0].samples = [0.5 + n % 100 / 100 for n in range(50_000)]
    soak.measures[0].value, soak.measures[0].passed = 1.0, True
    page = render(run)
    assert len(page) < 3 * LOG_MAX + 1_500_000
    assert "characters are left out here: run.json has them" in page


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "0.012 s"),
        (3.21, "3.2 s"),
        (42, "42 s"),
        (200, "3 min 20 s"),
        (59.7, "1 min 00 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_curves_are_thinned_without_losing_their_ends() -> None:
    points = [(float(n), float(n == 5000)) for n in range(10_000)]
    kept = thin(points)
    assert len(kept) <= 600
    assert max(value for _, value in kept) == 1
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert kept == sorted(kept)
    assert ticks(0, 4) == [0, 1, 2, 3, 4]
    assert ticks(5, 5) == [5]


def test_times_before_the_test_and_faults_that_stay_on_are_drawn() -> None:
    run = example()
    run.tests = [
        Test(
            id="a::b",
            duration_s=0,
            marks=[{"name": "early", "at_s": -3}],
            faults=[{"name": "cut", "begin_s": 1}],
        )
    ]  # type: ignore[list-item]
    assert "early" in render(run)
