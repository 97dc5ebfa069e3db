"""Labels: which link is printed, which is refused, and `kanhu family` at the terminal."""

from __future__ import annotations

import json
import struct
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

import helpers_cli
from helpers_cli import Kanhu
from kanhu import label
from kanhu.config import Web
from kanhu.registry import Registry, operators
from kanhu.registry.families import TRIES, Families

PUBLIC = "https://kanhu.example.org"
TOKEN = "A" * 22


class Here:
    """A data_dir with a config file, a home and a hub."""

    def __init__(self, folder: Path, kanhu: Kanhu) -> None:
        self.folder = folder
        self.config = folder / "kanhu.toml"
        self._kanhu = kanhu
        with closing(Registry.open(folder / "data")) as registry:
            self.home = registry.add_home()
            self.hub, _ = registry.add_hub(self.home)
        self.configure(f'public_url = "{PUBLIC}"')

    def configure(self, web: str) -> None:
        self.config.write_text(f'data_dir = "data"\n[web]\n{web}\n[family]\nenabled = true\n')

    def registry(self) -> Registry:
        return Registry.open(self.folder / "data")

    def family(self, *words: object) -> helpers_cli.Done:
        return self._kanhu("family", *words, "--config", self.config)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    monkeypatch.setattr(operators, "BCRYPT_COST", 4)
    return Here(tmp_path, helpers_cli.runner(monkeypatch, capsys))


# Addresses


@pytest.mark.parametrize(
    "url",
    [
        PUBLIC, "https://kanhu.example.org:8443", "https://8.8.8.8", "https://[2400:3200::1]:8443",
        "https://xn--fiqs8s.example",
    ],
)  # fmt: skip
def test_an_address_that_phones_reach(url: str) -> None:
    assert label.link(Web(public_url=url), TOKEN) == f"{url}/f/{TOKEN}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8460", "http://localhost:8460", "https://localhost", "https://127.0.0.1:8460",
        "https://127.1", "https://10.0.0.7", "https://192.168.1.20:8443", "https://172.16.5.5",
        "https://169.254.1.1", "https://100.64.0.9", "https://0.0.0.0", "https://[::1]", "https://[fe80::1]",
        "https://[fd00::7]", "https://kanhu", "https://hub.local", "https://hub.localhost", "https://pc.lan.",
        "https://[::ffff:192.168.1.20]",
    ],
)  # fmt: skip
def test_an_address_that_they_do_not_reach_is_for_a_lab_only(url: str) -> None:
    web = Web(public_url=url)
    with pytest.raises(label.LabelError, match=r"set \[web\] public_url") as refused:
        label.link(web, TOKEN)
    assert TOKEN not in str(refused.value)
    assert label.link(web, TOKEN, lab=True) == f"{url}/f/{TOKEN}"


def test_without_a_public_address_it_is_this_machine() -> None:
    with pytest.raises(label.LabelError, match="plain http"):
        label.link(Web(), TOKEN)
    assert label.link(Web(port=8465), TOKEN, lab=True) == f"http://127.0.0.1:8465/f/{TOKEN}"
    assert label.link(Web(host="::1"), TOKEN, lab=True) == f"http://[::1]:8460/f/{TOKEN}"
    with pytest.raises(label.LabelError, match="another one at each start"):
        label.link(Web(port=0), TOKEN, lab=True)


# Pictures


def test_a_printed_label_says_what_it_is_for() -> None:
    root = ElementTree.fromstring(label.svg(f"{PUBLIC}/f/{TOKEN}", "7m3k0xq2fz"))  # noqa: S314  # our own
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["扫码查看平安状况", "Scan to see that all is well", "Kanhu · 看护 · 7m3k0xq2fz"]
    (path,) = root.iter("{http://www.w3.org/2000/svg}path")
    assert len(path.attrib["d"]) > 1000


def test_the_code_alone_is_a_picture() -> None:
    picture = label.png(f"{PUBLIC}/f/{TOKEN}")
    assert picture.startswith(b"\x89PNG\r\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert width == height > 500


def test_a_code_can_be_read_from_the_terminal() -> None:
    rows = label.terminal(f"{PUBLIC}/f/{TOKEN}").splitlines()
    assert len({len(row) for row in rows}) == 1
    assert len(rows[0]) <= 60  # a terminal has 80 columns
    assert set("".join(rows)) <= set(" █▀▄")


# The command


def test_the_link_in_the_terminal_and_in_files(here: Here) -> None:
    done = here.family("label", here.hub)
    assert (done.returncode, done.stderr) == (0, "")
    address, code = done.stdout.split("\n", 1)
    with closing(here.registry()) as registry:
        assert address == f"{PUBLIC}/f/{Families(registry).labelled(here.hub)}"
    assert "█" in code
    for name in ("label.svg", "label.PNG"):
        out = here.folder / name
        done = here.family("label", here.hub, "--out", out, "--json")
        assert json.loads(done.stdout) == {"hub": here.hub, "link": address, "file": str(out)}
        assert out.stat().st_size > 500


def test_a_label_for_localhost_is_refused_and_makes_nothing(here: Here) -> None:
    here.configure("port = 8465")
    done = here.family("label", here.hub)
    assert done.returncode == 2
    assert "public_url" in done.stderr
    assert done.stderr.count("\n") == 1
    with closing(here.registry()) as registry:
        assert Families(registry).labelled(here.hub) is None
    done = here.family("label", here.hub, "--lab")
    assert done.returncode == 0
    assert done.stdout.startswith("http://127.0.0.1:8465/f/")


def test_whoever_prints_labels_for_a_page_that_is_off_is_told(here: Here) -> None:
    here.config.write_text(f'data_dir = "data"\n[web]\npublic_url = "{PUBLIC}"\n')
    done = here.family("label", here.hub)
    assert done.returncode == 0
    assert "[family] enabled = true" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("label", "0000000000"), "not known"),
        (("label", "HUB", "--out", "label.pdf"), ".svg or .png"),
        (("label", "HUB", "--out", "label"), ".svg or .png"),
        (("label", "HUB", "--out", "/nowhere/label.svg"), "No such file"),
        (("renew", "0000000000"), "not known"),
        (("reset", "0000000000"), "not known"),
    ],
)
def test_what_is_wrong_is_one_line(here: Here, words: tuple[str, ...], why: str) -> None:
    done = here.family(*(here.hub if word == "HUB" else word for word in words))
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_life_at_the_terminal(here: Here) -> None:
    row = json.loads(here.family("list", "--json").stdout)[0]
    assert (row["label"], row["claimed"], row["locked_until"]) == ("", "", "")
    link = here.family("label", here.hub).stdout.split("\n")[0]
    daemon = here.registry()
    families = Families(daemon)
    families.claim(here.home, "139246")
    for _ in range(TRIES):
        families.attempt(here.home)
    row = json.loads(here.family("list", "--json").stdout)[0]
    assert (row["hub"], row["home"]) == (here.hub, here.home)
    assert row["label"]
    assert row["claimed"]
    assert row["locked_until"]
    assert "139246" not in here.family("list").stdout
    assert here.family("reset", here.home).returncode == 0
    assert daemon.refresh()
    assert families.of(here.home) is None
    assert "no family" in here.family("reset", here.home).stdout
    assert here.family("renew", here.hub).returncode == 0
    assert daemon.refresh()
    assert families.hub_of(link.rpartition("/")[2]) is None
    assert here.family("label", here.hub).stdout.split("\n")[0] != link
    daemon.revoke_hub(here.hub)
    assert "no hubs" in here.family("list").stdout
    assert "revoked" in here.family("label", here.hub).stderr
    daemon.close()


def test_a_folder_will_do_instead_of_a_config_file(here: Here) -> None:
    words = ("--data-dir", here.folder / "data", "--config", here.folder / "none.toml")
    assert here._kanhu("family", "list", *words).returncode == 0
    assert here._kanhu("family", "label", here.hub, "--lab", *words).returncode == 0
    assert "no registry" in here._kanhu("family", "list", "--data-dir", here.folder / "x").stderr
    assert "kanhu.example.toml" in here._kanhu("family", "list", "--config", here.folder / "none.toml").stderr
