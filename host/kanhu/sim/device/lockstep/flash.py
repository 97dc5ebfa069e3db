# A NOR flash in a file with a littlefs volume on it, whose power goes inside a chosen operation.
import os

import vfs
import wire

_BLOCK = 4096  # bytes; the erase block of an ESP32's flash


class Flash:
    """Fails or loses its power when it is told to. Allocates nothing: the collector closes files, too."""

    def __init__(self, path, blocks, worn=None):
        """worn: file to which the number of each block that is erased is added, 2 bytes, little-endian."""
        self.blocks = blocks
        self.failing = False
        self.left = -1  # operations until the power goes, which tears that one; -1: it stays
        self.file = open(path, "r+b")  # noqa: SIM115  open as long as the hub runs
        self.ones = bytes(b"\xff" * _BLOCK)
        self.worn = open(worn, "ab") if worn else None  # noqa: SIM115  as above
        self.number = bytearray(2)

    def spend(self):
        """Whether the power lasts for one more operation."""
        if self.left < 0:
            return True
        self.left -= 1
        return self.left >= 0

    def readblocks(self, number, buffer, offset=0):
        self.file.seek(number * _BLOCK + offset)
        self.file.readinto(buffer)

    def writeblocks(self, number, buffer, offset=0):
        if self.failing:
            return -5
        self.file.seek(number * _BLOCK + offset)
        if not self.spend():
            self.file.write(buffer[: len(buffer) // 2])
            wire.die("cut")
        self.file.write(buffer)

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return _BLOCK
        if op == 6:
            if self.failing:
                return -5
            if self.worn:
                self.number[0], self.number[1] = arg & 255, arg >> 8
                self.worn.write(self.number)
            self.file.seek(arg * _BLOCK)
            if not self.spend():
                self.file.write(memoryview(self.ones)[: _BLOCK // 2])
                wire.die("cut")
            self.file.write(self.ones)
        return 0


def mount(flash, fresh):
    """The volume at /flash, made anew on a fresh flash."""
    if fresh:
        vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/flash")


def state(flash, what):
    """ "full": not a block is free. "failing": nothing can be written. "well": neither."""
    flash.failing = False
    if what == "full":
        for size in (_BLOCK, _BLOCK // 8):  # the second takes the block that appending to the first needed
            try:
                while True:  # closed each time: littlefs drops a file whose write failed
                    with open(f"/flash/ballast{size}", "ab") as file:
                        file.write(bytes(size))
            except OSError:
                pass
    else:
        for name in os.listdir("/flash"):
            if name.startswith("ballast"):
                os.remove("/flash/" + name)
    flash.failing = what == "failing"
