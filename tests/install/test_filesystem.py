"""The file system image: MicroPython itself mounts it, and the flash around it does not matter."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_firmware import loaded
from helpers_micropython import run_micropython
from kanhu.install import filesystem
from kanhu.install.filesystem import BLOCK, FilesystemError

SIZE = 2 << 20  # bytes of the vfs partition of a 4 MB board
MOUNT = """
import hashlib, os, sys, vfs

class Flash:  # as esp32.Partition shows itself to VfsLfs2
    def __init__(self, file, size):
        self.file, self.blocks = file, size // 4096
    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buffer)
    def writeblocks(self, block, buffer, offset=0):
        self.file.seek(block * 4096 + offset)
        old = self.file.read(len(buffer))
        for a, b in zip(old, buffer):
            assert a & b == b, "programs a bit that was not erased"
        self.file.seek(block * 4096 + offset)
        self.file.write(buffer)
    def ioctl(self, op, argument):
        if op == 4:
            return self.blocks
        if op == 5:
            return 4096
        if op == 6:
            self.file.seek(argument * 4096)
            self.file.write(b"\\xff" * 4096)
        return 0

def walk(folder):
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name
        if kind == 0x4000:
            walk(path)
        else:
            with open(path, "rb") as file:
                print(path[6:], hashlib.sha256(file.read()).digest().hex())

vfs.mount(Flash(open(sys.argv[1], "r+b"), int(sys.argv[2])), "/flash")
walk("/flash")
if sys.argv[3] == "write":
    size, _, total, free = os.statvfs("/flash")[:4]
    os.mkdir("/flash/b")
    for n in range(150):  # an update's worth, again and again
        with open("/flash/b/%d" % (n % 20), "wb") as file:
            file.write(bytes([n]) * 9000)
    for n in range(20):
        with open("/flash/b/%d" % n, "rb") as file:
            data = file.read()
        assert data == bytes([data[0]]) * 9000 and data[0] % 20 == n
    walk("/flash/a")
    walk("/flash/safe")
    print("total", size * total)
"""


def mounted(path: Path, size: int, action: str = "read") -> list[str]:
    return run_micropython(MOUNT, path, size, action, heap="1m").splitlines()


def digests(files: dict[str, bytes]) -> set[str]:
    from hashlib import sha256

    return {f"{path} {sha256(data).hexdigest()}" for path, data in files.items()}


@pytest.mark.parametrize("board", ["esp32", "esp32-s3"])
def test_micropython_mounts_and_fills_it(tmp_path: Path, board: str) -> None:
    """The board's own image, on flash that was never erased."""
    made = loaded(board)
    image, size = made.region("vfs").data(), made.partition("vfs").size
    flash = tmp_path / "flash"
    flash.write_bytes(image + random.Random(1).randbytes(size - len(image)))
    files = filesystem.read(image, size)
    lines = mounted(flash, size, "write")
    assert set(lines[: len(files)]) == digests(files)
    assert lines[-1] == f"total {size}"
    assert len(image) < size // 2


def test_an_older_volume_behind_it_is_not_seen(tmp_path: Path) -> None:
    """Every block holds a valid piece of the volume before, of a higher revision."""
    old = {f"/a/kanhu_hub/{n}.mpy": bytes([n]) * 3000 for n in range(40)} | {"/safe/x": b"old"}
    before = bytearray(SIZE)
    before[: len(filesystem.make(old, SIZE))] = filesystem.make(old, SIZE)
    flash = tmp_path / "flash"
    flash.write_bytes(before)
    mounted(flash, SIZE, "write")  # wears it in
    used = flash.read_bytes()
    new = {"/boot.py": b"new", "/a/kanhu_hub/0.mpy": b"new" * 2000, "/safe/kanhu_hub/0.mpy": b"x"}
    image = filesystem.make(new, SIZE)
    flash.write_bytes(image + used[len(image) :])
    lines = mounted(flash, SIZE)
    assert set(lines) == digests(new)


def test_an_older_folder_in_every_free_block_is_not_taken_for_a_new_one() -> None:
    """littlefs leaves half of a new folder's pair of blocks as it was, and believes the newer half."""
    worn = bytearray(b"\xff" * SIZE)
    volume = filesystem.unmounted(worn, SIZE // BLOCK)
    volume.format()
    volume.mount()
    volume.mkdir("/a")
    for n in range(400):
        with volume.open(f"/a/{n % 3}", "wb") as file:
            file.write(bytes([n % 256]) * 20)
    volume.unmount()
    used = [bytes(worn[at : at + BLOCK]) for at in range(2 * BLOCK, SIZE, BLOCK)]
    revisions = {int.from_bytes(block[:4], "little"): block for block in used}
    newest = max(revision for revision in revisions if revision != 0xFFFFFFFF)
    lost = 0
    for k in range(60):
        files = {f"/d{i}/x{j}": bytes([i + j]) * (40 * j) for i in range(k % 7) for j in range(1 + k // 7)}
        image = filesystem.make(files, SIZE)
        assert filesystem.read(image + revisions[newest] * ((SIZE - len(image)) // BLOCK), SIZE) == files
        # The same, cut behind the last block that was written: this is what the rule is for.
        cut = image[: -(-len(image.rstrip(b"\xff")) // BLOCK) * BLOCK]
        try:
            lost += filesystem.read(cut + revisions[newest] * ((SIZE - len(cut)) // BLOCK), SIZE) != files
        except FilesystemError:
            lost += 1
    assert lost


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1, max_size=12)
paths = st.lists(names, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts) + ".mpy")


@settings(max_examples=25)
@given(st.dictionaries(paths, st.binary(max_size=9000), max_size=25), st.randoms(use_true_random=False))
def test_what_goes_in_comes_out(files: dict[str, bytes], chance: random.Random) -> None:
    image = filesystem.make(files, SIZE)
    assert filesystem.read(image, SIZE) == files
    assert len(image) % BLOCK == 0
    mixed = list(files.items())
    chance.shuffle(mixed)
    assert filesystem.make(dict(mixed), SIZE) == image


def test_full() -> None:
    size = 64 * BLOCK
    fits = {f"/{n}": bytes([n]) * BLOCK for n in range(50)}
    assert filesystem.read(filesystem.make(fits, size), size) == fits
    with pytest.raises(FilesystemError, match="65 files of 266240 bytes do not fit"):
        filesystem.make({f"/{n}": bytes([n]) * BLOCK for n in range(65)}, size)


def test_what_is_no_volume() -> None:
    for image in (b"", bytes(SIZE), b"\xff" * SIZE):
        with pytest.raises(FilesystemError, match="no file system"):
            filesystem.read(image, SIZE)
