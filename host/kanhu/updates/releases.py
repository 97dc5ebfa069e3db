"""Releases that may be sent to hubs: data_dir/releases/<digest>.kfw, each checked when it was added and again
when it is used, with the key that signed it beside it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kanhu.errors import KanhuError

from .values import UpdateError

FOLDER = "releases"
ARCHIVE = "application.kfw"  # in a bundle's folder
MAX_BYTES = 1 << 20  # above what any archive may have (kanhu.install.release)


@dataclass(frozen=True, slots=True)
class Kept:
    """One release that is kept."""

    version: str
    number: int
    size: int  # bytes
    digest: str  # SHA-256, hexadecimal
    key: str  # the public key that signed it, hexadecimal
    added_ms: int


class Releases:
    """The folder; a file in it stands under its digest or not at all."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER

    def add(self, source: Path, trusted: Sequence[bytes], now_ms: int) -> Kept:
        """Check an archive, or the one of a bundle's folder, and keep it; KanhuError: why not."""
        from kanhu.install.release import read_archive

        path = source / ARCHIVE if source.is_dir() else source
        try:
            if path.stat().st_size > MAX_BYTES:
                raise UpdateError(f"{path}: far too large for an archive of Kanhu; name {ARCHIVE}")
            data = path.read_bytes()
        except OSError as error:
            raise UpdateError(
                f"{path}: {error.strerror}; name {ARCHIVE}, or the folder of a bundle that holds one"
            ) from None
        try:
            found = read_archive(data, trusted)
        except KanhuError as error:
            raise UpdateError(f"{path}: {error}") from None
        kept = Kept(found.version, found.number, found.size, found.digest, found.signer.hex(), now_ms)
        for other in self.list():
            if other.version == kept.version and other.digest != kept.digest:
                raise UpdateError(
                    f"{path}: another release {kept.version} is here already ({other.digest[:12]}): "
                    "build it with a version of its own"
                )
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            _write(self.folder / f"{kept.digest}.kfw", data)
            _write(self.folder / f"{kept.digest}.json", json.dumps(asdict(kept)).encode())
        except OSError as error:
            raise UpdateError(f"{self.folder}: {error.strerror}; run this as the daemon's user") from None
        return kept

    def list(self) -> list[Kept]:
        """All that are kept, the newest version first; what is damaged is not among them."""
        found = []
        for path in self.folder.glob("*.json"):
            try:
                kept = Kept(**json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                continue
            if path.stem == kept.digest:
                found.append(kept)
        return sorted(found, key=lambda one: one.number, reverse=True)

    def find(self, name: str) -> Kept:
        """By version, or by the first 6 or more digits of its digest; UpdateError."""
        found = [one for one in self.list() if one.version == name]
        found += [one for one in self.list() if len(name) >= 6 and one.digest.startswith(name.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            raise UpdateError(f"{name}: stands for {len(found)} releases; write more of the digest")
        known = ", ".join(one.version for one in self.list()) or "none"
        raise UpdateError(f"no release {name!r} is kept here (there is {known}): kanhu update add ARCHIVE")

    def read(self, digest: str) -> bytes:
        """The archive's bytes, which have this digest; UpdateError when it is gone or damaged."""
        path = self.folder / f"{digest}.kfw"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UpdateError(f"{path}: {error.strerror}; add the release again (kanhu update add)") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise UpdateError(f"{path}: damaged; delete it and add the release again (kanhu update add)")
        return data

    def verify(self, kept: Kept) -> bytes:
        """The archive's bytes, signed by the key it was added with, and what is said of it; UpdateError."""
        from kanhu.install.release import read_archive

        data = self.read(kept.digest)
        found = read_archive(data, [bytes.fromhex(kept.key)])
        if (found.version, found.number, found.size) != (kept.version, kept.number, kept.size):
            raise UpdateError(f"{self.folder}: what is noted of {kept.version} is not so: add it again")
        return data


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(path.suffix + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _give_to_owner(path)


def _give_to_owner(path: Path) -> None:
    """What root has made belongs to the daemon's user, as data_dir does."""
    if os.geteuid() == 0:
        owner = path.parent.parent.stat()
        for one in (path.parent, path):
            os.chown(one, owner.st_uid, owner.st_gid)
