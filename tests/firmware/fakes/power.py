"""A board's memory whose power can be cut before, inside and after each program, erase and NVS commit."""

import os

import vfs
from fake_board import Nvs

BLOCK = 512
BLOCKS = 256
# Inside: half of a program or erase; or a program with bits missing, an erase with bits left over.
WAYS = ("before", "half", "weak", "after")


class Cut(BaseException):
    """The power is gone: nothing that runs can notice."""


class Power:
    """Counts operations; with `left` of them to go, the next is cut in the given way."""

    def __init__(self):
        self.left = -1  # -1: never
        self.way = "before"
        self.dead = False
        self.operations = []  # (what, file) since clear()
        self.file = "folder"

    def clear(self):
        self.left = -1
        self.dead = False
        self.operations = []

    def spend(self, what, file=None):
        """How the operation that comes now ends: None whole, else a way."""
        self.operations.append((what, file or self.file))
        if self.left < 0:
            return None
        self.left -= 1
        if self.left >= 0:
            return None
        self.dead = True
        return self.way

    def check(self):
        if self.dead:
            raise Cut


class Flash:
    """NOR flash: programs clear bits, erases set them. Whatever comes after the cut fails."""

    def __init__(self, power):
        self.power = power
        self.data = bytearray(b"\xff" * (BLOCK * BLOCKS))
        self._view = memoryview(self.data)
        self._noise = 1

    def _random(self):
        self._noise = (self._noise * 1103515245 + 12345) & 0x7FFFFFFF
        return self._noise >> 16 & 255

    def readblocks(self, number, buffer, offset=0):
        at = number * BLOCK + offset
        buffer[:] = self._view[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        if self.power.dead:
            return -5
        at = number * BLOCK + offset
        way = self.power.spend("program")
        size = len(buffer)
        if way is None or way == "after":
            self._view[at : at + size] = buffer
        elif way == "half":
            size //= 2
            self._view[at : at + size] = buffer[:size]
        elif way == "weak":
            for i in range(size):
                self.data[at + i] = self.data[at + i] & (buffer[i] | self._random())
        return -5 if way else 0

    def ioctl(self, op, arg):
        if op == 4:
            return BLOCKS
        if op == 5:
            return BLOCK
        if op == 6:
            if self.power.dead:
                return -5
            at = arg * BLOCK
            way = self.power.spend("erase")
            if way is None or way == "after":
                self._view[at : at + BLOCK] = b"\xff" * BLOCK
            elif way == "half":
                self._view[at : at + BLOCK // 2] = b"\xff" * (BLOCK // 2)
            elif way == "weak":
                for i in range(BLOCK):
                    self.data[at + i] |= self._random()
            return -5 if way else 0
        return 0

    def format(self):
        vfs.VfsLfs2.mkfs(self)
        self.mount()
        os.mkdir("/flash/data")

    def mount(self):
        vfs.mount(vfs.VfsLfs2(self), "/flash")

    def umount(self):
        vfs.umount("/flash")


class CutNvs(Nvs):
    """Each commit is atomic, as ESP-IDF promises: cut inside, the old value or the new one stands."""

    def __init__(self, power, values):
        super().__init__(**values)
        self.power = power
        self.refusing = False

    def set_i32(self, key, value):
        self.power.check()
        if self.refusing:
            raise OSError(5)
        way = self.power.spend("commit", "NVS " + key)
        if way in (None, "weak", "after"):
            self.values[key] = value
        if way:
            raise Cut

    set_blob = set_i32


class Watched:
    """open() and os for a firmware module: notes which file is written, and stops what runs without power."""

    def __init__(self, power):
        self._power = power
        self.stat = os.stat
        self.statvfs = os.statvfs

    def _note(self, path):
        self._power.check()
        parts = path.replace("/flash/", "").replace(".tmp", "").split("/")
        self._power.file = parts[1] + ("/*" if len(parts) > 2 else "") if len(parts) > 1 else "folder"

    def open(self, path, mode):
        self._note(path)
        return open(path, mode)

    def rename(self, old, new):
        self._note(old)
        os.rename(old, new)

    def remove(self, path):
        self._note(path)
        os.remove(path)

    def mkdir(self, path):
        self._power.check()
        self._power.file = "folder"
        os.mkdir(path)

    def listdir(self, path):
        self._power.check()
        return os.listdir(path)
