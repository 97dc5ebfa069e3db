"""An application archive (docs/contracts.md, section 13): checked, and unpacked into a slot."""

import os
from hashlib import sha256

from micropython import const

from kanhu_hub import store
from kanhu_protocol import cbor

NOT_SIGNED, DAMAGED, NOT_NEWER, NO_ROOM, NOT_FOR_THIS = 1, 2, 3, 4, 7  # DETAIL of update.failed

_MAGIC = b"KFW1"
_FORMAT = const(1)
_MANIFEST_MAX = const(16384)  # bytes
_PATH_MAX = const(64)  # characters
_CONTEXT = b"kanhu application 1\n"
_PIECE = const(1024)  # bytes read, hashed or written between two pauses
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"


class Refused(Exception):
    """args[0]: DETAIL of update.failed."""


async def digest(path, pause):
    """SHA-256 of a file."""
    found = sha256()
    with open(path, "rb") as file:
        while True:
            piece = file.read(_PIECE)
            if not piece:
                return found.digest()
            found.update(piece)
            await pause()


async def check(path, order, keys, above, pause):
    """Rows of the files in the archive that an Order announced, and bytes before the first; Refused, OSError.
    keys: 32 bytes each; above: the number that the release must be above."""
    if os.stat(path)[6] != order.size or await digest(path, pause) != order.digest:
        raise Refused(DAMAGED)
    with open(path, "rb") as file:
        head = file.read(8)
        size = int.from_bytes(head[4:], "big")
        if head[:4] != _MAGIC or not 0 < size <= _MANIFEST_MAX:
            raise Refused(DAMAGED)
        manifest, signature = file.read(size), file.read(64)
    from kanhu_hub.ed25519 import verify

    signed = _CONTEXT + sha256(manifest).digest()
    for start in range(0, len(keys), 32):
        if await verify(keys[start : start + 32], signed, signature, pause):
            break
    else:
        raise Refused(NOT_SIGNED)
    return _rows(manifest, order, above), size + 72


def _rows(raw, order, above):
    from kanhu_hub.slots import number

    try:
        manifest = cbor.loads(raw, _MANIFEST_MAX)
        if manifest["format"] != _FORMAT:
            raise Refused(NOT_FOR_THIS)
        rows, version = manifest["files"], manifest["version"]
        if version != order.release or manifest["number"] != number(version):
            raise ValueError
        if manifest["number"] <= above:
            raise Refused(NOT_NEWER)
        last, left = "", order.size - len(raw) - 72
        files = {row[0] for row in rows}
        for path, size, found in rows:
            folders = [path[:at] for at in range(len(path)) if path[at] == "/"]
            if not _is_path(path) or path <= last or files.intersection(folders):
                raise ValueError
            if not 0 <= size <= left or len(found) != 32:
                raise ValueError
            last = path
            left -= size
        if left or not rows:
            raise ValueError
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Refused(DAMAGED)
    return rows


def _is_path(path):
    if not 0 < len(path) <= _PATH_MAX:
        return False
    for part in path.split("/"):
        if not part or part[0] in ".-" or not all(char in _NAME for char in part):
            return False
    return path.split("/")[0].split(".")[0] != "manifest"


def blocks(rows, block):
    """Flash blocks that such files need at most, their folders too."""
    folders = {path.rsplit("/", 1)[0] for path, _, _ in rows if "/" in path}
    return 4 + 2 * len(folders) + sum([1 + size // block for _, size, _ in rows])


async def remove(folder, pause):
    """Remove a folder and all in it, its manifest first: without it nothing starts it any more."""
    store.remove(folder + "/manifest")
    await pause()
    try:
        listing = os.listdir(folder)
    except OSError:
        return
    for name in listing:
        path = folder + "/" + name
        if os.stat(path)[0] & 0x4000:
            await remove(path, pause)
        else:
            store.remove(path)
            await pause()
    try:
        os.rmdir(folder)
    except OSError:
        pass  # what stays is overwritten


async def unpack(path, rows, start, folder, pause):
    """Put the files of a checked archive into a slot's empty folder, its manifest last; Refused, OSError."""
    made = {""}
    store.make(folder)
    with open(path, "rb") as archive:
        head = archive.read(start)
        for name, size, found in rows:
            parts = name.split("/")
            for depth in range(1, len(parts)):
                inner = "/".join(parts[:depth])
                if inner not in made:
                    store.make(folder + "/" + inner)
                    made.add(inner)
            with open(folder + "/" + name, "wb") as file:
                while size:
                    piece = archive.read(min(size, _PIECE))
                    if not piece:
                        raise Refused(DAMAGED)
                    file.write(piece)
                    size -= len(piece)
                    await pause()
            # Read back: flash may have taken something else.
            if await digest(folder + "/" + name, pause) != found:
                raise Refused(DAMAGED)
    with open(folder + "/manifest.tmp", "wb") as file:
        file.write(head)
    os.rename(folder + "/manifest.tmp", folder + "/manifest")
