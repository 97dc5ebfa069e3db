"""One user of a board at a time: a lock per port and MAC, which the system frees when its holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kanhu.errors import KanhuError

NOTE_MAX = 4096  # bytes


class Busy(KanhuError):
    """Somebody else uses the board: who, and since when."""


def folder() -> Path:
    """Where this user's locks are: $XDG_RUNTIME_DIR, else a folder of their own among temporary files."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    made = Path(base) / "kanhu-qa" if base else Path(tempfile.gettempdir()) / f"kanhu-qa-{os.getuid()}"
    try:
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KanhuError(f"{made}: {error.strerror}: set XDG_RUNTIME_DIR to a folder of yours") from None
    if made.stat().st_uid != os.getuid():
        raise KanhuError(f"{made} is somebody else's: set XDG_RUNTIME_DIR to a folder of yours")
    return made


@contextlib.contextmanager
def held(board: str, what: str) -> Iterator[None]:
    """The board (its name for people) is ours by this port, MAC or serial number; Busy."""
    key = os.path.realpath(what) if what.startswith("/") else what
    path = folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.lock"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{board} ({what}) is in use by {_who(file.read(NOTE_MAX))}") from None
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        note = {"pid": os.getpid(), "command": command[:200], "since": time.time()}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(note).encode())
        file.flush()
        try:
            yield
        finally:
            file.seek(0)
            file.truncate()


def _who(note: bytes) -> str:
    try:
        found = json.loads(note)
        since = time.strftime("%H:%M", time.localtime(found["since"]))
        return f"pid {int(found['pid'])} ({found['command']} since {since})"
    except (ValueError, KeyError, TypeError):
        return "another process"
