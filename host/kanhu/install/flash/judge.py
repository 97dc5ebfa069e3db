"""What a board says of itself, held against what it should be; and whether it may be written at all."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kanhu.errors import DataError
from kanhu.install import filesystem
from kanhu.install.bundle import Bundle

HEAP_LEAST = 40_000  # bytes free at the REPL; a hub with TLS needs 30 kB beside its own
FLASH_LEAST = 320 * 1024  # bytes free: the hub's outbox (262 kB) and its reserve
CLOCK_MS = range(45, 3000)  # of 50 ms slept; a busy computer's bench sleeps long
SAFE, SLOT = "/safe", "/a"
RESIDENT = ("/boot.py", "/main.py")


@dataclass(frozen=True)
class Expected:
    """What a board must say when it holds a bundle: version, and one digest for each tree of files."""

    version: str
    trees: dict[str, str]

    @classmethod
    def of(cls, bundle: Bundle) -> Expected:
        """Out of a verified bundle's own file system image."""
        files = filesystem.read(bundle.region("vfs").data(), bundle.partition("vfs").size)
        return cls(bundle.version, {top: tree(files, top) for top in (SLOT, SAFE, *RESIDENT)})


def tree(files: Mapping[str, bytes], top: str) -> str:
    """The digest that the self-test makes of a folder or file; "" where there is nothing."""
    own = sorted(path for path in files if path == top or path.startswith(top + "/"))
    digest = hashlib.sha256()
    for path in own:
        data = files[path]
        digest.update(f"{path[len(top) :]} {len(data)} {hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest() if own else ""


def fingerprint(key: bytes) -> str:
    """A hub's key, for comparing: the self-test says the same."""
    return hashlib.sha256(b"kanhu key 1\n" + key).hexdigest()[:16]


def identity(facts: Mapping[str, Any], hub: str, generation: int, key: bytes) -> list[str]:
    """What is wrong with who a board says it is."""
    wrong = []
    if facts.get("hub") != hub:
        wrong.append(f"it runs as hub {facts.get('hub') or 'none'} instead of {hub}")
    elif (facts.get("generation"), facts.get("key")) != (generation, fingerprint(key)):
        wrong.append("it runs with another key than the one it was given")
    return wrong


def application(facts: Mapping[str, Any], expected: Expected) -> list[str]:
    """What is wrong with what a board runs."""
    wrong = []
    if facts.get("firmware") != expected.version:
        wrong.append(f"it runs version {facts.get('firmware')} instead of {expected.version}")
    trees = dict(facts.get("trees") or {})
    for top, digest in expected.trees.items():
        name = facts.get("slot") if top == SLOT else top
        if trees.get(name) != digest:
            wrong.append(f"{name or SLOT} on it is not what was written")
    return wrong


def health(facts: Mapping[str, Any], mac: str) -> list[str]:
    """What of the board does not work."""
    wrong = []
    if facts.get("mac") not in (mac, None):
        wrong.append(f"the chip says it is {facts.get('mac')}, and its loader {mac}")
    for name, words in (("radio", "its radio"), ("wifi", "its Wi-Fi")):
        if facts.get(name) is not True:
            wrong.append(f"{words} does not come on")
    dead = [number for number, usable in dict(facts.get("pins") or {}).items() if usable is not True]
    if dead:
        wrong.append(f"pin {', '.join(dead)} of its wiring cannot be used")
    if _number(facts, "clock_ms") not in CLOCK_MS:
        wrong.append(f"its clock does not run: 50 ms took {facts.get('clock_ms')}")
    if _number(facts, "heap_free") < HEAP_LEAST:
        wrong.append(f"it has {facts.get('heap_free')} bytes of memory left, and needs {HEAP_LEAST}")
    if _number(facts, "flash_free") < FLASH_LEAST:
        wrong.append(f"it has {facts.get('flash_free')} bytes of flash left, and needs {FLASH_LEAST}")
    return wrong


def unstored(data_dir: Path, hub: str, spans: Sequence[Sequence[int]]) -> int | None:
    """How many of a hub's events [boot, first, last] no journal here has; None: there is no journal."""
    path = data_dir / "journal.db"
    if not path.exists():
        return None
    missing = 0
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        try:
            for boot, first, last in spans:
                row = (hub, boot, first, last)
                known = {
                    seq
                    for (seq,) in db.execute(
                        "SELECT seq FROM events WHERE hub=? AND boot=? AND seq BETWEEN ? AND ?", row
                    )
                }
                for table in ("expired", "losses"):
                    for begin, end in db.execute(
                        f"SELECT first, last FROM {table} WHERE hub=? AND boot=? AND last>=? AND first<=?",  # noqa: S608  # fixed names
                        row,
                    ):
                        known |= set(range(max(begin, first), min(end, last) + 1))
                missing += last - first + 1 - len(known)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; without it nobody can say what hub {hub} still holds") from None
    return missing


def _number(facts: Mapping[str, Any], name: str) -> int:
    value = facts.get(name)
    return value if isinstance(value, int) else 0
