"""What runs: the SHA-256 over every file on the flash, as the host computes it from what it has built."""

import binascii
import hashlib
import os

_DIR = 0x4000


def files(folder=""):
    """Paths of all files, sorted."""
    found = []
    for entry in os.ilistdir(folder or "/"):
        path = folder + "/" + entry[0]
        if entry[1] == _DIR:
            found += files(path)
        else:
            found.append(path)
    return sorted(found)


def digest():
    """Over path, 0, size in decimal, 0 and content of each, in hex."""
    sha = hashlib.sha256()
    buffer = bytearray(512)
    for path in files():
        sha.update(("%s\0%d\0" % (path, os.stat(path)[6])).encode())
        with open(path, "rb") as file:
            while True:
                got = file.readinto(buffer)
                if not got:
                    break
                sha.update(memoryview(buffer)[:got])
    return binascii.hexlify(sha.digest()).decode()
