"""The family's page: one sheet in their language, whatever is installed."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kanhu.care.rules.past import Device
from kanhu.config import Web
from kanhu.install.check import sheet
from kanhu.install.check.findings import Finding
from kanhu.install.check.signing import Installer
from kanhu.install.paper import Text, text_width
from kanhu.registry import Registry
from kanhu.registry.families import Families

LINK = "https://kanhu.example.org/f/AAAAAAAAAAAAAAAAAAAAAA"
DEVICES = (
    Device(1, "call", "bedroom", ""), Device(2, "motion", "hall", ""),
    Device(3, "call", "", "挂坠", radio=True), Device(4, "smoke", "kitchen", "", radio=True),
)  # fmt: skip
FINDINGS = (
    Finding("hub", "heard", "good", values={"seconds": 1}),
    Finding("press", "answered", "good", 1, {"at_ms": 1, "stored_ms": 200, "delivered_ms": 840}),
    Finding("sensor", "weak", "remark", 4, {"count": 4, "due": 30, "seconds": 60, "median_dbm": -91}),
)
SHEET = sheet.Sheet(
    "7m3k0xq2fz",
    "en",
    "22 November 2026",
    DEVICES,
    FINDINGS,
    "王师傅 Wang",
    ("+86 27 8888 1234",),
    LINK,
    True,
)


def printed(made: sheet.Sheet, folder: Path) -> str:
    """The text of the PDF, which has one page."""
    out = folder / "page.pdf"
    out.write_bytes(sheet.pdf_of(made))
    info = subprocess.run(["pdfinfo", str(out)], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Pages:\s+1$", info, re.MULTILINE), info
    assert "A4" in info
    return subprocess.run(
        ["pdftotext", "-layout", str(out), "-"], capture_output=True, text=True, check=True
    ).stdout


def test_in_english(tmp_path: Path) -> None:
    text = printed(SHEET, tmp_path)
    for words in (
        "When you need help, press the button.", "passed with remarks", "7m3k0xq2fz", "bedroom · Call button",
        "A person has your call", "Nobody has answered yet", "confirmed in 0.8 s", "Smoke alarm: weak signal",
        "王师傅 Wang", "+86 27 8888 1234", "22 November 2026", "press the cancel key",
    ):  # fmt: skip
        assert words in text, text


def test_in_chinese(tmp_path: Path) -> None:
    text = printed(replace(SHEET, lang="zh", at="2026年11月22日"), tmp_path)
    for words in (
        "需要帮助时，按一下按钮。",
        "合格（有备注）",
        "已有人受理",
        "0.8 秒",
        "2026年11月22日",
        "挂坠",
        "信号弱",
    ):
        assert words in text, text


def test_its_code_is_read_back(tmp_path: Path) -> None:
    printed(SHEET, tmp_path)
    subprocess.run(
        ["pdftoppm", "-r", "150", "-png", str(tmp_path / "page.pdf"), str(tmp_path / "dots")], check=True
    )
    (dots,) = tmp_path.glob("dots*.png")
    done = subprocess.run(["zbarimg", "-q", "--raw", str(dots)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == LINK


@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("count", [0, 1, 9, 33])
def test_it_stays_one_page_in_which_nothing_overlaps(lang: str, count: int, tmp_path: Path) -> None:
    devices = tuple(
        Device(n, "call" if n % 2 else "motion", "living room", f"a long name {n}")
        for n in range(1, count + 1)
    )
    bad = tuple(Finding("sensor", "silent", "failed", one.index) for one in devices)
    made = replace(SHEET, lang=lang, devices=devices, findings=bad, installer="", phones=())
    printed(made, tmp_path)
    lines = [one for one in sheet.page(made).shapes if isinstance(one, Text)]
    assert max(one.y for one in lines) < 290
    assert max(one.y for one in lines if one.y < 240) < 237  # what stands above is above
    spans: list[tuple[float, float, float, float]] = []
    for one in lines:
        width = min(text_width(one.text, one.size), one.fit or 1000)
        left = one.x - {"start": 0, "middle": width / 2, "end": width}[one.anchor]
        assert left >= 10
        assert left + width <= 210 - 10, one
        box = (left, one.y - one.size * 0.7, left + width, one.y)
        for other in spans:
            apart = box[0] >= other[2] or other[0] >= box[2] or box[1] >= other[3] or other[1] >= box[3]
            assert apart, one
        spans.append(box)


def test_only_a_home_with_a_cancel_key_is_told_of_it(tmp_path: Path) -> None:
    assert "cancel" not in printed(replace(SHEET, asks=False), tmp_path)


def test_the_lamps_patterns_are_the_firmwares() -> None:
    patterns = sheet.lamp_patterns()
    assert set(sheet.SHOWN) <= patterns.keys()
    assert all(set(pattern) <= set("#.") and len(pattern) <= sheet.STEPS for pattern in patterns.values())


def test_it_is_gathered_from_the_registry(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path)
    try:
        home = registry.add_home(phones=["+1 234", "+2 345", "+3 456", "+4 567"], time_zone="Asia/Shanghai")
        hub, _ = registry.add_hub(home)
        web = Web(public_url="https://kanhu.example.org")
        made = sheet.of(registry, web, hub, FINDINGS, Installer("inst7", "王师傅"), "zh")
        assert made.link == f"https://kanhu.example.org/f/{Families(registry).labelled(hub)}"
        assert made.phones == ("+1 234", "+2 345", "+3 456")
        assert (made.installer, made.asks) == ("王师傅", False)
        assert made.at.endswith("日")
        assert sheet.of(registry, Web(), hub, FINDINGS, None, "en").link == ""  # no telephone could open it
    finally:
        registry.close()
