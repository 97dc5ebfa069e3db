"""Partition tables: the rules, and the binary form against a real image's own table."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_firmware import real_image
from kanhu.install import boards, partitions
from kanhu.install.partitions import Partition, PartitionError, check, decode, encode

MB = 1 << 20
TABLE = boards.load("esp32").partitions
REAL = real_image().read_bytes()[0x8000 - 0x1000 :][: partitions.TABLE_SIZE]


def test_a_real_table_is_read_and_written_bit_for_bit() -> None:
    table = decode(REAL)
    assert table == (
        Partition("nvs", 1, 0x02, 0x9000, 0x6000),
        Partition("phy_init", 1, 0x01, 0xF000, 0x1000),
        Partition("factory", 0, 0x00, 0x10000, 0x1F0000),
        Partition("vfs", 1, 0x81, 0x200000, 0x200000),
    )
    assert encode(table) == REAL
    check(table, 4 * MB)


def test_every_flipped_bit_of_rows_and_md5_is_found() -> None:
    rows = 32 * (len(decode(REAL)) + 1)
    for place in range(rows * 8):
        broken = bytearray(REAL)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(PartitionError):
            decode(bytes(broken))


def test_cut_and_empty() -> None:
    for data in (b"", REAL[:31], REAL[:128], b"\xff" * partitions.TABLE_SIZE):
        with pytest.raises(PartitionError):
            decode(data)


@given(st.binary(max_size=256))
def test_noise(data: bytes) -> None:
    with pytest.raises(PartitionError):
        decode(data)


def changed(name: str, /, **what: int | str) -> tuple[Partition, ...]:
    return tuple(replace(one, **what) if one.name == name else one for one in TABLE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (changed("vfs", offset=0x1FF000), "factory and vfs overlap at 0x1ff000"),
        (changed("nvs", size=0x7000), "nvs and phy_init overlap at 0xf000"),
        (changed("vfs", size=0x201000), "vfs ends at 0x401000, past the flash's end at 0x400000"),
        (changed("factory", offset=0x11000), "factory at 0x11000, 0x1f0000 long, is unaligned"),
        (changed("nvs", offset=0x9001), "unaligned"),
        (changed("nvs", size=0x5FFF), "unaligned"),
        (changed("nvs", size=0), "unaligned"),
        (changed("nvs", size=-0x1000), "unaligned"),
        (changed("nvs", offset=0x8000), "boot loader or the table"),
        (changed("nvs", offset=-0x1000), "boot loader or the table"),
        (changed("vfs", size=1 << 40), "past the flash's end"),
        (changed("vfs", type=2), "type that is not known"),
        (changed("vfs", subtype=256), "type that is not known"),
        (changed("vfs", name="../vfs"), "no partition's name"),
        (changed("vfs", name="v" * 16), "no partition's name"),
        (changed("vfs", name=""), "no partition's name"),
        (changed("vfs", name="nvs"), "stands twice"),
        (changed("vfs", name="files"), "needs a partition vfs"),
        (changed("factory", subtype=0x10), "needs a partition factory"),
        (TABLE[1:], "needs a partition nvs"),
        (TABLE * 40, "do not fit in a table"),
    ],
)
def test_refused(table: tuple[Partition, ...], says: str) -> None:
    with pytest.raises(PartitionError, match=re.escape(says)):
        check(table, 4 * MB)


@given(st.permutations(TABLE))
def test_any_order(table: list[Partition]) -> None:
    check(table, 4 * MB)
    assert decode(encode(table)) == tuple(table)


blocks = st.integers(0, 40)


@given(st.lists(st.tuples(blocks, blocks), max_size=6))
def test_what_passes_never_overlaps(places: list[tuple[int, int]]) -> None:
    """Against flash painted block by block."""
    table = [*TABLE[:3], Partition("vfs", 1, 0x81, 0x300000, 0x10000)]
    table += [
        Partition(f"more{n}", 1, 0x99, 0x200000 + at * 0x1000, size * 0x1000)
        for n, (at, size) in enumerate(places)
    ]
    painted = [block for one in table for block in range(one.offset // 0x1000, one.end // 0x1000)]
    sound = len(painted) == len(set(painted)) and all(size for _, size in places)
    try:
        check(table, 4 * MB)
    except PartitionError:
        assert not sound
    else:
        assert sound
