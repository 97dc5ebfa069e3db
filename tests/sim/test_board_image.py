"""What a simulated chip accepts to boot: exactly what its checksums say."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest

from helpers_board import chip_image
from helpers_firmware import loaded, real_image
from kanhu.sim.board.image import CHIPS, TABLE_AT, NoImage, check, check_image

APP_AT = 0x10000


@pytest.fixture(scope="module")
def flash() -> bytes:
    return chip_image(loaded("esp32"))


def refused(flash: bytes) -> str:
    with pytest.raises(NoImage) as told:
        check(flash, CHIPS["esp32"])
    return str(told.value)


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_a_built_bundle_boots_and_shows_its_partitions(chip: str) -> None:
    bundle = loaded(chip)
    where = {part.name: (part.offset, part.size) for part in bundle.partitions}
    layout = check(chip_image(bundle), CHIPS[chip])
    assert (layout.nvs, layout.vfs) == (where["nvs"], where["vfs"])


def test_the_published_image_boots_as_it_is() -> None:
    flash = b"\xff" * 0x1000 + real_image().read_bytes()
    layout = check(flash.ljust(4 << 20, b"\xff"), CHIPS["esp32"])
    assert layout.vfs == (0x200000, 0x200000)


def test_no_flipped_bit_in_the_application_passes(flash: bytes) -> None:
    app = flash[APP_AT : APP_AT + 0x1F0000]
    length = check_image(app, CHIPS["esp32"])
    dice = random.Random(1)
    for at in [*range(16), length - 1, length - 33, *(dice.randrange(length) for _ in range(25))]:
        bad = bytearray(app)
        bad[at] ^= 1 << dice.randrange(8)
        with pytest.raises(NoImage):
            check_image(bytes(bad), CHIPS["esp32"])


def test_a_chip_says_what_it_misses(flash: bytes) -> None:
    assert refused(b"\xff" * (4 << 20)) == "invalid header: 0xffffffff"
    assert "chip ID 0, expected 9" in refused_by("esp32s3", flash[0x1000:0x8000])
    no_app = flash[:APP_AT] + b"\xff" * 0x1F0000 + flash[APP_AT + 0x1F0000 :]
    assert "image at 0x10000 has invalid magic byte" in refused(no_app)
    short = flash[: APP_AT + 0x80000] + b"\xff" * (len(flash) - APP_AT - 0x80000)
    assert "Factory app partition is not bootable" in refused(short)
    assert "Failed to verify partition table" in refused(flash[:TABLE_AT] + b"\xff" * 4096 + flash[0x9000:])
    assert "exceeds flash chip size" in refused(flash[: 2 << 20])


def refused_by(chip: str, image: bytes) -> str:
    with pytest.raises(NoImage) as told:
        check_image(image, CHIPS[chip])
    return str(told.value)


def test_a_partition_table_is_checked(flash: bytes) -> None:
    bad = bytearray(flash)
    bad[TABLE_AT + 8] ^= 1
    assert "md5" in refused(bytes(bad))
    table = struct.pack("<2sBBII16sI", b"\xaa\x50", 1, 2, 0x9000, 0x6000, b"nvs", 0)
    table += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(table).digest()  # noqa: S324  the format's own
    only_data = flash[:TABLE_AT] + table.ljust(4096, b"\xff") + flash[TABLE_AT + 4096 :]
    assert "No bootable app" in refused(only_data)
