"""NVS partitions: read and written as Espressif's own generator means them, and damage does not count."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import helpers_board
from kanhu.sim.board.nvs import PAGE, ChipNvs, build, parse
from kanhu.sim.nvs import NvsError

SIZE = helpers_board.NVS_SIZE
names = st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=15)
i32 = st.integers(-(2**31), 2**31 - 1)
blobs = st.binary(min_size=1, max_size=400) | st.integers(1, 6000).map(
    lambda n: bytes(n % 251 for n in range(n))
)
spaces = st.dictionaries(names, st.dictionaries(names, i32 | blobs, min_size=1, max_size=8), max_size=3)


def generated(values: dict[str, dict[str, int | bytes]]) -> bytes | None:
    entries = [(s, k, *helpers_board._typed(v)) for s, keys in values.items() for k, v in keys.items()]
    try:
        return helpers_board.nvs_of(entries)
    except Exception:
        return None  # full


@settings(max_examples=60, deadline=None)
@given(spaces)
def test_the_generator_is_understood_and_written_like(values: dict[str, dict[str, int | bytes]]) -> None:
    theirs = generated(values)
    try:
        ours = build(values, SIZE)
    except NvsError:
        ours = None
    if theirs is not None:
        assert parse(theirs).values == values
    if ours is not None:
        assert parse(ours).values == values
    # Where a page ends, the generator begins a new one earlier than the chip needs it.
    if ours is not None and theirs is not None and theirs[PAGE:] == b"\xff" * (SIZE - PAGE):
        assert ours == theirs


def test_strings_and_small_numbers_of_others_are_kept() -> None:
    entries = [
        ("nvs.net80211", "opmode", "u8", "1"),
        ("nvs.net80211", "ssid", "string", "home"),
        ("kanhu", "generation", "i32", "3"),
        ("kanhu", "big", "u64", "18446744073709551615"),
    ]
    theirs = helpers_board.nvs_of(entries)
    found = parse(theirs)
    assert found.values["kanhu"] == {"generation": 3}
    assert build(found.values, SIZE, found.others) != b"\xff" * SIZE
    again = parse(build(found.values, SIZE, found.others))
    assert again == found
    assert set(found.others["nvs.net80211"]) == {"opmode", "ssid"}


@given(st.integers(0, 63), st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_an_entry_with_a_flipped_bit_does_not_count(entry_byte: int, bit: int) -> None:
    data = bytearray(build({"kanhu": {"slot": 1, "starts": 2}}, SIZE))
    data[64 + 32 + entry_byte] ^= 1 << bit  # `slot`'s entry is the second, `starts` the third
    found = parse(bytes(data)).values.get("kanhu", {})
    assert found in ({"slot": 1}, {"starts": 2}, {})


def test_a_blob_without_one_of_its_parts_is_none() -> None:
    blob = bytes(range(256)) * 20  # over a page's end
    data = build({"kanhu": {"long": blob, "slot": 5}}, SIZE)
    assert parse(data).values["kanhu"]["long"] == blob
    torn = bytearray(data)
    torn[200] ^= 1
    assert parse(bytes(torn)).values["kanhu"] == {"slot": 5}


def test_pages_count_in_their_order_and_only_with_a_true_header() -> None:
    data = build({"kanhu": {"long": bytes(5000), "slot": 5}}, SIZE)
    swapped = data[PAGE : 2 * PAGE] + data[:PAGE] + data[2 * PAGE :]
    assert parse(swapped) == parse(data)
    damaged = bytearray(data)
    damaged[28] ^= 1
    assert "kanhu" not in parse(bytes(damaged)).values
    assert parse(b"\xff" * SIZE).values == parse(b"\0" * SIZE).values == {}


def test_a_chips_partition_keeps_what_is_committed(tmp_path) -> None:
    image = tmp_path / "chip"
    image.write_bytes(b"\xaa" * 4096 + helpers_board.nvs({"hub_id": b"abc"}) + b"\xaa" * 4096)
    nvs = ChipNvs(image, 4096, SIZE)
    nvs.set("kanhu", "boot", 7)
    assert nvs.get("kanhu", "boot", int) == 7
    assert parse(image.read_bytes()[4096:][:SIZE]).values == {"kanhu": {"hub_id": b"abc"}}
    nvs.commit("kanhu")
    whole = image.read_bytes()
    assert parse(whole[4096:][:SIZE]).values == {"kanhu": {"hub_id": b"abc", "boot": 7}}
    assert whole[:4096] == whole[-4096:] == b"\xaa" * 4096
    with pytest.raises(NvsError, match="NOT_ENOUGH_SPACE"):
        nvs.set("kanhu", "large", bytes(SIZE))
    assert ChipNvs(image, 4096, SIZE).stored == nvs.stored
