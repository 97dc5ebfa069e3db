"""`kanhu flash` as it is typed: what is refused before any board is touched, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from helpers_firmware import bundle, public_key, test_key
from helpers_flash import FakeBoard, fails, install, plan
from kanhu.install import signing
from kanhu.install.bundle import encode
from kanhu.install.flash import ports, session
from kanhu.registry import Registry
from kanhu.registry.boards import Boards


@pytest.fixture
def trust(tmp_path: Path) -> Path:
    path = tmp_path / "release.pub.pem"
    path.write_bytes(signing.public_pem(test_key().public_key()))
    return path


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeBoard:
    plan(tmp_path)
    made = FakeBoard("bench://one")
    install(monkeypatch, [made])
    return made


def flash(kanhu: Kanhu, trust: Path, *words: object) -> tuple[int, str]:
    done = kanhu("flash", *words, "--port", "bench://one", "--trust", trust, "--data-dir", trust.parent)
    return done.returncode, done.stdout + done.stderr


def test_a_board_and_its_report(kanhu: Kanhu, board: FakeBoard, trust: Path) -> None:
    code, said = flash(kanhu, trust, bundle("esp32"), "--report", trust.parent / "out.json")
    assert code == 0, said
    assert "1 board in" in said
    assert "1 passed" in said
    assert board.nvs["hub_id"].decode() in said
    assert board.nvs["release"] == public_key()
    assert json.loads((trust.parent / "out.json").read_text())["summary"] == {"passed": 1}
    assert board.nvs["key"].hex() not in said
    code, said = flash(kanhu, trust, "--resume")
    assert (code, "earlier in the session" in said) == (0, True), said


def test_a_refused_board_is_exit_1(kanhu: Kanhu, board: FakeBoard, trust: Path) -> None:
    code, said = flash(kanhu, trust, bundle("esp32s3"))
    assert code == 1
    assert "this board has an ESP32" in said


def test_resume_with_another_bundle_begins_anew(kanhu: Kanhu, board: FakeBoard, trust: Path) -> None:
    flash(kanhu, trust, bundle("esp32"))
    journal = session.Journal.read(trust.parent)
    journal.bundles = dict.fromkeys(journal.bundles, "0" * 64)
    journal.write()
    board.steps = []
    code, _ = flash(kanhu, trust, bundle("esp32"), "--resume")
    assert code == 0
    assert "run" in board.steps  # it was looked at


def spoil_bit(folder: Path) -> str:
    path = folder / "vfs.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return "vfs.bin"


def spoil_signature(folder: Path) -> str:
    path = folder / "manifest.sig"
    digit = path.read_text()[0]
    path.write_text(("0" if digit != "0" else "1") + path.read_text()[1:])
    return "sign"


def overlap(folder: Path) -> str:
    plain = json.loads((folder / "manifest.json").read_text())
    plain["partitions"][-1]["offset"] -= 0x1000
    data = encode(plain)
    (folder / "manifest.json").write_bytes(data)
    (folder / "manifest.sig").write_text(signing.sign(test_key(), signing.BUNDLE, data).hex() + "\n")
    return "overlap"


@pytest.mark.parametrize("spoil", [spoil_bit, spoil_signature, overlap])
def test_a_bad_bundle_touches_no_board(
    kanhu: Kanhu, board: FakeBoard, trust: Path, folder: Path, spoil: object
) -> None:
    words = spoil(folder)  # type: ignore[operator]
    code, said = flash(kanhu, trust, folder)
    assert code == 2
    assert words in said
    assert said.count("\n") == 1
    assert board.steps == []
    assert not (trust.parent / "registry.db").exists()


def test_somebody_elses_bundle_touches_no_board(kanhu: Kanhu, board: FakeBoard, tmp_path: Path) -> None:
    public = tmp_path / "other.pub.pem"
    signing.generate(tmp_path / "other.pem")
    code, said = flash(kanhu, public, bundle("esp32"))
    assert code == 2
    assert said.count("\n") == 1
    assert board.steps == []


def test_an_older_version_is_not_written(kanhu: Kanhu, board: FakeBoard, trust: Path) -> None:
    flash(kanhu, trust, bundle("esp32"))
    board.changes, board.steps = {"firmware": "7.1.0"}, []
    code, said = flash(kanhu, trust, bundle("esp32"))
    assert code == 1
    assert "7.1.0, which is newer than" in said
    assert "write" not in board.steps


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "name a bundle"),
        (("{bundle}", "{bundle}"), "both for esp32"),
        (("{bundle}", "--wifi", "home"), "--wifi and --broker together"),
        (("{bundle}", "--ca", "x.pem"), "--ca is for"),
        (("{bundle}", "--home", "7m3k0xq2fz"), "not known"),
        (("{bundle}", "--report", "x.pdf"), ".json, .csv or .xml"),
        (("{bundle}", "--ntp", "x"), "HOST:PORT"),
        (("--resume",), "no session to continue"),
        (("/nowhere",), "/nowhere"),
    ],
)
def test_what_is_asked_wrongly(
    kanhu: Kanhu, board: FakeBoard, trust: Path, words: tuple[str, ...], error: str
) -> None:
    code, said = flash(kanhu, trust, *(word.replace("{bundle}", str(bundle("esp32"))) for word in words))
    assert code == 2
    assert error in said
    assert board.steps == []


def test_who_is_trusted_has_to_be_said(kanhu: Kanhu, board: FakeBoard, tmp_path: Path) -> None:
    done = kanhu("flash", bundle("esp32"), "--port", "bench://one", "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "--trust" in done.stderr


def test_no_board_is_plugged_in(
    kanhu: Kanhu, trust: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ports, "discover", lambda wanted: [])
    monkeypatch.setattr(ports, "without_driver", list)
    done = kanhu("flash", bundle("esp32"), "--trust", trust, "--data-dir", tmp_path)
    assert done.returncode == 2
    assert "no board found" in done.stderr


def test_the_network_may_be_known_at_the_bench(
    kanhu: Kanhu, board: FakeBoard, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANHU_WIFI_PASSWORD", "a long password")
    code, said = flash(
        kanhu,
        trust,
        bundle("esp32"),
        "--wifi",
        "home",
        "--broker",
        "b.example:8883",
        "--ntp",
        "t.example:123",
    )
    assert code == 0, said
    from kanhu_protocol import cbor

    config = cbor.loads(board.nvs["config"])
    hub = board.nvs["hub_id"].decode()
    with_password = Registry.open(trust.parent)
    assert config["wifi"] == ["home", "a long password"]
    assert config["broker"] == ["b.example", 8883, hub, with_password.mqtt_password(hub)]
    assert config["ntp"] == ["t.example", 123]
    with_password.close()
    assert "a long password" not in said


def test_a_board_that_is_missing_from_the_session(
    kanhu: Kanhu, board: FakeBoard, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = FakeBoard("bench://two", mac="240ac4000002")
    other.before = fails("write", 99)
    install(monkeypatch, [board, other])
    code, said = flash(kanhu, trust, bundle("esp32"), "--port", "bench://two")
    assert code == 1
    assert "1 passed, 1 failed" in said
    code, said = flash(kanhu, trust, "--resume", "--report", trust.parent / "r.xml")
    assert code == 1
    assert "1 unchanged, 1 missing" in said
    assert 'errors="1"' in (trust.parent / "r.xml").read_text()
    registry = Registry.open(trust.parent)
    row = Boards(registry).of("240ac4000002")
    assert row is not None
    assert registry.keys(row.hub) == {}
    registry.close()


def test_the_udev_rule_is_printed(kanhu: Kanhu) -> None:
    done = kanhu("flash", "--udev-rules")
    assert done.returncode == 0
    assert done.stdout == (Path(__file__).parents[2] / "deploy" / "60-kanhu.rules").read_text()
