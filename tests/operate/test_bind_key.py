"""A sensor's bind key is given without leaving a trace, and never shown again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from kanhu.registry import Registry

KEY = "231d39c1d7cc1ab1aee224cd096db932"
MAC = "A4:C1:38:0B:5E:9D"


@pytest.fixture
def hub(tmp_path: Path) -> str:
    registry = Registry.open(tmp_path)
    made, _ = registry.add_hub(registry.add_home())
    registry.close()
    return made


def keys(folder: Path, hub: str) -> list[str]:
    registry = Registry.open(folder, "read")
    try:
        return [entry[4].hex() if entry[4:] else "" for entry in registry.device_table(hub)[1]]
    finally:
        registry.close()


def test_from_standard_input_a_file_or_the_line(
    kanhu: Kanhu, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.txt").write_text(KEY.upper() + "\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY + "\n"))
    for number, given in enumerate(("-", "@key.txt", KEY)):
        words = (hub, "call", f"A4:C1:38:0B:5E:{number:02X}", "--bind-key", given)
        done = kanhu("registry", "sensor", "add", *words, "--data-dir", ".")
        assert done.returncode == 0, done.stderr
        assert KEY not in (done.stdout + done.stderr).lower()
    assert keys(tmp_path, hub) == [KEY] * 3
    listed = kanhu("registry", "sensor", "list", hub, "--json", "--data-dir", ".").stdout
    assert [row["encrypted"] for row in json.loads(listed)] == [True] * 3
    assert KEY not in listed


def test_changed_and_forgotten(
    kanhu: Kanhu, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = json.loads(
        kanhu("registry", "sensor", "add", hub, "call", MAC, "--json", "--data-dir", ".").stdout
    )["index"]
    assert keys(tmp_path, hub) == [""]
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY))
    assert kanhu("registry", "sensor", "key", hub, index, "--data-dir", ".").returncode == 0
    assert keys(tmp_path, hub) == [KEY]
    assert kanhu("registry", "sensor", "key", hub, index, "--none", "--data-dir", ".").returncode == 0
    assert keys(tmp_path, hub) == [""]


@pytest.mark.parametrize("given", ["secret", KEY + "00", "@nothere.txt", "@."])
def test_a_wrong_one_is_one_line_that_does_not_repeat_it(
    kanhu: Kanhu, hub: str, tmp_path: Path, given: str
) -> None:
    done = kanhu("registry", "sensor", "add", hub, "call", MAC, "--bind-key", given, "--data-dir", ".")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert given.startswith("@") or given not in done.stderr
    assert keys(tmp_path, hub) == []
