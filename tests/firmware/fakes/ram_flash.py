"""A littlefs volume in RAM whose power can be cut at any erase or program, with the last program torn."""

import os

import vfs

BLOCK = 512


class Cut(BaseException):
    """The power is gone."""


class RamFlash:
    """NOR semantics; with `left` operations to go, the one after them is torn. Allocates nothing."""

    def __init__(self, blocks=128):
        self.blocks = blocks
        self.data = bytearray(b"\xff" * (BLOCK * blocks))
        self.left = -1  # operations until the cut; -1: never
        self.operations = 0
        self.dead = False
        self.failing = False

    def readblocks(self, number, buffer, offset=0):
        at = number * BLOCK + offset
        for i in range(len(buffer)):
            buffer[i] = self.data[at + i]

    def _spend(self):
        self.operations += 1
        if self.left < 0:
            return True
        self.left -= 1
        return self.left >= 0

    def writeblocks(self, number, buffer, offset=0):
        if self.dead or self.failing:
            return -5
        whole = self._spend()
        at = number * BLOCK + offset
        for i in range(len(buffer) if whole else len(buffer) // 2):
            self.data[at + i] = buffer[i]
        if not whole:
            self.dead = True
            return -5

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return BLOCK
        if op == 6:
            if self.dead or self.failing:
                return -5
            if not self._spend():
                self.dead = True
                return -5
            at = arg * BLOCK
            for i in range(BLOCK):
                self.data[at + i] = 255
        return 0


def make(flash):
    vfs.VfsLfs2.mkfs(flash)


def mount(flash, path="/flash"):
    vfs.mount(vfs.VfsLfs2(flash), path)
    if "data" not in os.listdir(path):
        os.mkdir(path + "/data")


def umount(path="/flash"):
    vfs.umount(path)
