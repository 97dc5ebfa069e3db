"""The code on the label: every key comes back, and what was not read right is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.install.code import CHECKS, DIGITS, LENGTH, ProvisionError, code, key

keys = st.binary(min_size=16, max_size=16)


@given(keys)
def test_every_key_comes_back(secret: bytes) -> None:
    text = code(secret)
    assert key(text) == secret
    assert len(text.replace("-", "")) == LENGTH
    assert not set(text[:-1]) & set("ILOU")  # the check character may be U


@given(keys, st.randoms(use_true_random=False))
def test_people_write_it_their_way(secret: bytes, chance) -> None:  # type: ignore[no-untyped-def]
    written = ""
    for char in code(secret).replace("-", ""):
        char = chance.choice({"0": "0oO", "1": "1iIlL"}.get(char, char + char.lower()))
        written += char + chance.choice(["", "", "-", " ", "  ", "–", "\t"])
    assert key(f" {written}\n") == secret


@given(keys, st.integers(0, LENGTH - 1), st.sampled_from(CHECKS))
def test_one_wrong_character_is_noticed(secret: bytes, place: int, char: str) -> None:
    right = code(secret).replace("-", "")
    wrong = right[:place] + char + right[place + 1 :]
    if wrong == right:
        assert key(wrong) == secret
    else:
        with pytest.raises(ProvisionError, match=r"code: .*label again"):
            key(wrong)


@given(keys, st.integers(0, LENGTH - 3))
def test_two_exchanged_characters_are_noticed(secret: bytes, place: int) -> None:
    right = code(secret).replace("-", "")
    wrong = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    if wrong != right:
        with pytest.raises(ProvisionError, match="code: a character is wrong"):
            key(wrong)


@given(st.text(max_size=40))
def test_anything_else_is_a_sentence(text: str) -> None:
    said = ""
    try:
        assert len(key(text)) == 16
    except ProvisionError as error:
        said = str(error)
    assert not said or said.startswith("code: ")
    assert "\n" not in said


def test_length_and_alphabet() -> None:
    assert len(DIGITS) == 32
    assert len(CHECKS) == 37
    assert code(bytes(16)) == "0000-0000-0000-0000-0000-0000-000"
    for text in ("", "0", "0" * 26, "0" * 28):
        with pytest.raises(ProvisionError, match="27 belong there"):
            key(text)
    with pytest.raises(ValueError, match="16 bytes"):
        code(b"short")
