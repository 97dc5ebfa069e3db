"""A note on a person: kept with the home, handed out with what is held of it, and gone with it."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from kanhu import export
from kanhu.registry import Registry, RegistryError
from kanhu.registry.notes import MAX_NOTE, Notes

TEXT = "Schlüssel 钥匙在 501"


def test_a_note_stands_until_another_or_none_does(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry:
        home, other = registry.add_home("cn/42"), registry.add_home()
        notes = Notes(registry)
        assert notes.of(home) is None
        notes.put(home, "first", "li")
        notes.put(home, f" {TEXT}\n\tand  more ", "wang")
        found = notes.of(home)
        assert found is not None
        assert (found.text, found.by) == (f"{TEXT} and more", "wang")
        assert notes.of(other) is None
    with closing(Registry.open(tmp_path, "change")) as registry:
        assert Notes(registry).of(home) == found
        assert Notes(registry).put(home, "  ", "li") is None
        assert Notes(registry).of(home) is None


def test_what_cannot_be_a_note_changes_nothing(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry:
        home, notes = registry.add_home(), Notes(registry)
        kept = notes.put(home, "水" * MAX_NOTE, "li")
        for bad in ("x" * (MAX_NOTE + 1), "a\x1b[2J"):
            with pytest.raises(RegistryError, match="note: must be"):
                notes.put(home, bad, "li")
        with pytest.raises(RegistryError, match="not known"):
            notes.put("0000000000", "text", "li")
        assert notes.of(home) == kept


def test_a_note_is_handed_out_with_its_home_and_leaves_no_trace_of_a_forgotten_one(tmp_path: Path) -> None:
    with closing(Registry.open(tmp_path)) as registry:
        home, other = registry.add_home(), registry.add_home()
        notes = Notes(registry)
        notes.put(home, TEXT, "li")
        notes.put(other, "dog", "li")
        for one, text in ((home, TEXT), (other, "dog")):
            export.write(tmp_path, registry, one, tmp_path / f"{one}.json")
            said = json.loads((tmp_path / f"{one}.json").read_text(encoding="utf-8"))["home"]["note"]
            assert (said["text"], said["by"]) == (text, "li")
        registry.forget_home(home, discard=False)
        assert notes.of(home) is None
        assert (notes.of(other) or ("",))[0] == "dog"
    assert TEXT.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("registry.db*"))
    with closing(Registry.open(tmp_path)) as registry:
        registry.add_home(home_id=home)
        assert Notes(registry).of(home) is None
