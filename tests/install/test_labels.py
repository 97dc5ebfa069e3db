"""Sheets of labels: what a camera reads, what a person reads, and what is refused."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import segno
from PIL import Image

import helpers_cli
from kanhu.install import code as codes
from kanhu.install import labels
from kanhu.install.paper import Code, Page, Text, fonts, pdf, picture
from kanhu.label import LabelError
from kanhu.registry import Registry

PUBLIC = "https://kanhu.example.org"
DPI = 300


def some(count: int, link: str = PUBLIC) -> list[labels.Label]:
    return [
        labels.Label(
            f"7m3k0xq2f{n % 10}", f"{link}/f/{n:022d}", codes.code(bytes([n] * 16)), labels.wires({})
        )
        for n in range(count)
    ]


def zbar(path: Path) -> list[str]:
    """What an independent reader finds in a picture."""
    done = subprocess.run(
        ["zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.split()


def dotted(path: Path, folder: Path, dpi: int = DPI) -> list[Path]:
    """The pages of a PDF as a printer would dot them."""
    subprocess.run(["pdftoppm", "-r", str(dpi), "-png", str(path), str(folder / "page")], check=True)
    return sorted(folder.glob("page*.png"))


def pdf_text(path: Path) -> str:
    return subprocess.run(
        ["pdftotext", "-layout", str(path), "-"], capture_output=True, text=True, check=True
    ).stdout


# The command


class Here:
    """A data_dir with a config file, a home and two hubs, one of them with a code."""

    def __init__(self, folder: Path, kanhu: helpers_cli.Kanhu) -> None:
        self.folder, self._kanhu = folder, kanhu
        (folder / "kanhu.toml").write_text(
            f'data_dir = "data"\n[web]\npublic_url = "{PUBLIC}"\n[family]\nenabled = true\n'
        )
        with closing(Registry.open(folder / "data")) as registry:
            self.home = registry.add_home()
            self.hub, _ = registry.add_hub(self.home)
            self.other, _ = registry.add_hub(registry.add_home())
            self.code = codes.code(registry.commission(self.hub))
            settings = {"buttons": [[1, 4, 5], [3, 14, None]], "pirs": [], "cancel": 6, "mains": 16}
            registry.set_settings(self.hub, settings)

    def label(self, *words: object) -> helpers_cli.Done:
        return self._kanhu("label", "sheet", *words, "--config", self.folder / "kanhu.toml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(tmp_path, helpers_cli.runner(monkeypatch, capsys))


def test_a_pdf_is_printed_read_back_and_says_everything(here: Here) -> None:
    out = here.folder / "labels.pdf"
    done = here.label("--all", "--out", out, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    links = [one["link"] for one in result["labels"]]
    assert {one["hub"] for one in result["labels"]} == {here.hub, here.other}
    (page,) = dotted(out, here.folder)
    assert sorted(zbar(page)) == sorted(links)
    text = pdf_text(out)
    assert here.hub in text
    assert here.code[:19] in text  # on two lines
    assert here.code[20:] in text
    assert result["without_code"] == [here.other]
    for words in (
        "按钮 Button 4+5, 14",
        "蜂鸣器 Buzzer 15",
        "取消键 Cancel 6",
        "市电 Mains 16",
        "扫码看平安",
    ):
        assert words in text, text


@pytest.mark.parametrize("name", ["labels.svg", "labels.PNG"])
def test_other_kinds_of_paper(here: Here, name: str) -> None:
    out = here.folder / name
    done = here.label(here.hub, "--out", out, "--paper", "letter", "--lang", "en", "--json")
    assert done.returncode == 0, done.stderr
    (one,) = json.loads(done.stdout)["labels"]
    if name.endswith("PNG"):
        assert zbar(out) == [one["link"]]
        with Image.open(out) as image:
            assert image.size == (round(215.9 / 25.4 * DPI), round(279.4 / 25.4 * DPI))
    else:
        root = ElementTree.fromstring(out.read_text(encoding="utf-8"))  # noqa: S314  # our own
        assert (root.get("width"), root.get("height")) == ("215.9mm", "279.4mm")
        texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
        assert here.hub in texts
        assert "Button 4+5, 14" in texts
        assert not re.search("[\u4e00-\u9fff]", "".join(filter(None, texts)))
        (path,) = root.iter("{http://www.w3.org/2000/svg}path")
        assert _modules(path.attrib["d"]) == _of(one["link"])


def _modules(drawn: str) -> set[tuple[int, int]]:
    return {
        (int(row), int(first) + at)
        for first, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", drawn)
        for at in range(int(length))
    }


def _of(link: str) -> set[tuple[int, int]]:
    made = segno.make(link, error="q", micro=False, boost_error=False)
    return {(y, x) for y, row in enumerate(made.matrix) for x, dark in enumerate(row) if dark}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "name hubs, or give --all"),
        (("--all", "--home", "HOME"), "name hubs, or give --all"),
        (("--home", "0000000000"), "not known"),
        (("0000000000",), "not known"),
        (("--all", "--out", "labels.txt"), "ends in .pdf, .svg, .png"),
        (("--all", "--paper", "a5"), "must be one of a4, letter"),
        (("--all", "--lang", "fr"), "must be one of zh, en, both"),
        (("--all", "--start", "25"), "places 1 to 24"),
        (("--all", "--out", "no/such/folder.pdf"), "name a place where you may write"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_sentence(here: Here, words: tuple[str, ...], why: str) -> None:
    done = here.label(*(here.home if word == "HOME" else word for word in words))
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_revoked_hub_has_no_label(here: Here) -> None:
    with closing(Registry.open(here.folder / "data")) as registry:
        registry.revoke_hub(here.other)
    out = here.folder / "labels.pdf"
    done = here.label("--all", "--out", out, "--json")
    assert [one["hub"] for one in json.loads(done.stdout)["labels"]] == [here.hub]
    assert "is revoked" in here.label(here.other).stderr
    done = here.label("--home", here.home, "--out", out, "--json")
    assert [one["hub"] for one in json.loads(done.stdout)["labels"]] == [here.hub]


def test_the_link_is_one_that_phones_reach(here: Here) -> None:
    (here.folder / "kanhu.toml").write_text('data_dir = "data"\n')
    done = here.label("--all")
    assert (done.returncode, "set [web] public_url" in done.stderr) == (2, True)
    out = here.folder / "lab.png"
    done = here.label(here.hub, "--lab", "--out", out, "--json")
    (one,) = json.loads(done.stdout)["labels"]
    assert one["link"].startswith("http://127.0.0.1")
    assert zbar(out) == [one["link"]]


# Sheets


@pytest.mark.parametrize(("paper", "places"), [("a4", 24), ("letter", 21)])
def test_every_place_of_a_sheet_is_read_by_two_readers(paper: str, places: int, tmp_path: Path) -> None:
    made = some(places + 1)
    pages = labels.pages(made, paper, "both")
    assert len(pages) == 2
    labels.proved(pages, made, paper)
    out = tmp_path / "labels.pdf"
    out.write_bytes(pdf(pages, "labels"))
    dots = [Image.open(page) for page in dotted(out, tmp_path)]
    for number, label in enumerate(made):
        page, place = divmod(number, places)
        left, top = (side / 25.4 * DPI for side in labels.SHEETS[paper].at(place))
        part = tmp_path / "part.png"
        dots[page].crop((int(left), int(top), int(left + 70 / 25.4 * DPI), int(top + 37 / 25.4 * DPI))).save(
            part
        )
        assert zbar(part) == [label.link]


def test_a_sheet_in_use_begins_at_its_first_free_place() -> None:
    made = some(3)
    pages = labels.pages(made, "a4", "en", 23)
    assert len(pages) == 2
    (first, _), (third,) = ([one for one in page.shapes if isinstance(one, Code)] for page in pages)
    assert (first.x, first.y) == (70 + labels.INSET_X, 0.5 + 7 * 37 + labels.INSET_Y)
    assert (third.x, third.y) == (labels.INSET_X, 0.5 + labels.INSET_Y)
    labels.proved(pages, made, "a4", 23)


@pytest.mark.parametrize("length", [25, 60, 120])
def test_modules_are_wide_enough_with_white_around_them(length: int) -> None:
    code = labels.qr("https://" + "k" * (length - 8))
    assert code.module >= labels.MODULE_MM
    beside = labels.WIDTH - labels.INSET_X - labels.CODE_MM
    assert beside > labels.QUIET * code.module
    assert labels.QUIET * code.module <= labels.INSET_X or code.module > 1  # one so short has few


def test_a_link_too_long_is_refused() -> None:
    with pytest.raises(LabelError, match="too long to be read"):
        labels.qr("https://" + "k" * 400)


def test_all_text_stays_on_its_label() -> None:
    full = {"buttons": [[1, 4, 5], [3, 14, 6]], "cancel": 7, "mains": 16, "network": "ppp"}
    label = labels.Label("7m3k0xq2fz", f"{PUBLIC}/f/{'x' * 22}", codes.code(bytes(16)), labels.wires(full))
    assert labels.wires(full)[-1].pins == "17/18"
    (page,) = labels.pages([label], "a4", "both")
    for one in page.shapes:
        assert one.x >= 3
        assert one.y <= 0.5 + labels.HEIGHT - 3
        if isinstance(one, Text) and one.fit is not None and one.anchor == "start":
            assert one.x + one.fit <= labels.WIDTH - labels.INSET_X + 0.01


# What is proved


def test_a_label_with_anothers_code_is_found_out() -> None:
    made = some(2)
    (page,) = labels.pages(made, "a4", "en")
    swapped = [labels.Label(made[0].hub, made[1].link, "", ()), made[1]]
    with pytest.raises(LabelError, match=f"hub {made[0].hub}: its code cannot be read back"):
        labels.proved([page], swapped, "a4")


def test_a_code_that_no_camera_reads_is_found_out() -> None:
    made = some(1)
    (page,) = labels.pages(made, "a4", "en")
    spoilt = Page(page.width, page.height)
    for one in page.shapes:
        if isinstance(one, Code):
            rows = [bytearray(row) for row in one.rows]
            rows[3][3] = 0
            for row in rows[8:30]:
                row[8:30] = bytes(22)
            spoilt.add(Code(one.x, one.y, one.side, tuple(map(bytes, rows))))
    with pytest.raises(LabelError, match="cannot be read back"):
        labels.proved([spoilt], made, "a4")


# Fonts


def test_the_pdf_holds_its_font_and_the_same_pages_make_the_same_bytes(tmp_path: Path) -> None:
    pages = labels.pages(some(2), "a4", "both")
    out = tmp_path / "labels.pdf"
    out.write_bytes(pdf(pages, "labels"))
    assert out.read_bytes() == pdf(labels.pages(some(2), "a4", "both"), "labels")
    listed = subprocess.run(["pdffonts", str(out)], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()[2:]]
    assert rows
    assert all("yes" in row[-6:-3] for row in rows), listed  # embedded


def test_without_a_font_a_picture_is_refused_and_a_pdf_leaves_it_to_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "TRUETYPE", ())
    monkeypatch.setattr(fonts, "OUTLINES", ())
    fonts._embedded.cache_clear()
    fonts.outline.cache_clear()
    try:
        page = Page(50, 20)
        page.add(Text(5, 10, 5, "看护 Kanhu"))
        with pytest.raises(fonts.PaperError, match="fonts-wqy-microhei"):
            picture(page)
        assert fonts.BY_READER.encode() in pdf([page], "x")
        assert fonts.face(["看护"]).note
        latin = Page(50, 20)
        latin.add(Text(5, 10, 5, "Kanhu"))
        assert picture(latin).getextrema() != ((255, 255),) * 3
        assert fonts.LATIN.encode() in pdf([latin], "x")
    finally:
        fonts._embedded.cache_clear()
        fonts.outline.cache_clear()


def test_a_damaged_font_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"not a font")
    monkeypatch.setattr(fonts, "TRUETYPE", (str(broken), *fonts.TRUETYPE))
    fonts._embedded.cache_clear()
    fonts.outline.cache_clear()
    try:
        assert fonts.face(["看护"]).name == fonts.EMBEDDED
        page = Page(50, 20)
        page.add(Text(5, 10, 5, "看护"))
        assert picture(page).getextrema() != ((255, 255),) * 3
    finally:
        fonts._embedded.cache_clear()
        fonts.outline.cache_clear()


def test_no_character_is_a_box() -> None:
    """Every character of every label has a glyph of its own in the font."""
    every: Any = {
        character
        for page in labels.pages(some(1), "a4", "both")
        for one in page.shapes
        if isinstance(one, Text)
        for character in one.text
    }
    font = fonts.outline(40, wide=True)
    missing = font.getmask("\U000e0080").getbbox(), bytes(font.getmask("\U000e0080"))
    for character in every - {" "}:
        assert (font.getmask(character).getbbox(), bytes(font.getmask(character))) != missing, character
