"""Small files that survive a power cut. littlefs commits a file when it is closed, a rename at once."""

import os
from binascii import crc32


def read(path):
    """The bytes last given to replace(); None when absent, unreadable, torn or corrupt."""
    try:
        return load(path)
    except OSError:
        return None


def load(path):
    """As read(), but OSError when the file cannot be read."""
    with open(path, "rb") as file:
        raw = file.read()
    end = len(raw) - 4
    if end < 0 or crc32(raw[:end]) != int.from_bytes(raw[end:], "little"):
        return None
    return raw[:end]


def replace(path, data):
    """Put data and its CRC-32 in place of a file: after a power cut it holds the old or the new; OSError."""
    with open(path + ".tmp", "wb") as file:
        file.write(data + crc32(data).to_bytes(4, "little"))
    os.rename(path + ".tmp", path)


def append(path, data):
    """One write, then close, so that littlefs commits all of it or nothing; OSError."""
    with open(path, "ab") as file:
        file.write(data)


def remove(path):
    """Remove a file; it may be gone already."""
    try:
        os.remove(path)
    except OSError:
        pass


def make(folder):
    """Make a folder; it may be there already."""
    try:
        os.mkdir(folder)
    except OSError:
        pass


def names(folder):
    """Sorted hexadecimal file names in a folder, made when absent; anything else in it is removed."""
    make(folder)
    found = []
    try:
        listing = os.listdir(folder)
    except OSError:
        return found
    for name in listing:
        try:
            int(name, 16)
            found.append(name)
        except ValueError:
            remove(folder + "/" + name)
    found.sort()
    return found


def free(folder):
    """Bytes free on the file system that holds the folder."""
    stat = os.statvfs(folder)
    return stat[1] * stat[4]
