"""A release of the hub's application: what an update carries, signed (docs/contracts.md, releases)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.errors import KanhuError
from kanhu.install import signing
from kanhu.install.firmware import source_version
from kanhu_protocol import cbor

MAGIC = b"KFW1"
FORMAT = 1
MANIFEST_MAX = 16_384  # bytes; a hub holds it in RAM while it checks a release
ARCHIVE_MAX = 512 * 1024  # bytes; two slots, the factory's copy and an archive share 2 MB of flash
PATH_MAX = 64  # characters
PART_MAX = 1023  # of the middle and last number of a version
SLOT = "/a/"  # where build_files() puts the application
MANIFEST = "manifest"  # the file in a slot that holds magic, manifest and signature

_VERSION = re.compile(r"(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


class ReleaseError(KanhuError):
    """A release cannot be made or believed: one sentence."""


@dataclass(frozen=True)
class Release:
    """An application archive that was checked."""

    version: str
    number: int
    files: dict[str, bytes]  # path relative to the slot -> content
    manifest: bytes  # the slot's file `manifest`: magic to signature
    digest: str  # SHA-256 of the whole archive, hex
    size: int  # bytes of the whole archive
    signer: bytes  # the public key that signed it


def number(version: str) -> int:
    """X.Y.Z as one number that rises with it: X<<20 | Y<<10 | Z; ReleaseError."""
    match = _VERSION.fullmatch(version)
    parts = [int(part) for part in match.groups()] if match else [PART_MAX + 1]
    if max(parts) > PART_MAX:
        raise ReleaseError(
            f"{version[:40]!r} is no release's version: it must be X.Y.Z, numbers of at most {PART_MAX},"
            " without a suffix"
        )
    return parts[0] << 20 | parts[1] << 10 | parts[2]


def refuse_older(release: int, installed: int | None) -> None:
    """ReleaseError when a release's number is not above the one that is there (None: nothing is)."""
    if installed is not None and release <= installed:
        same = "the same as" if release == installed else "older than"
        raise ReleaseError(
            f"release {version_of(release)} is {same} {version_of(installed)} that is there;"
            " a hub goes forward only"
        )


def version_of(release: int) -> str:
    """A release's number as X.Y.Z."""
    return f"{release >> 20}.{release >> 10 & PART_MAX}.{release & PART_MAX}"


def application(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The slot's part of build_files(), by path relative to the slot, sorted."""
    return {path[len(SLOT) :]: files[path] for path in sorted(files) if path.startswith(SLOT)}


def make_archive(files: Mapping[str, bytes], key: Ed25519PrivateKey, version: str | None = None) -> bytes:
    """The archive of build_files()'s application, signed; version: default the sources' own; ReleaseError."""
    version = source_version() if version is None else version
    own = application(files)
    if not own:
        raise ReleaseError(f"nothing below {SLOT} to make a release of")
    plain = {
        "format": FORMAT,
        "version": version,
        "number": number(version),
        "files": [[path, len(data), hashlib.sha256(data).digest()] for path, data in own.items()],
    }
    try:
        manifest: bytes = cbor.dumps(plain, MANIFEST_MAX)
    except cbor.CborError:
        raise ReleaseError(f"{len(own)} files are too many for one release") from None
    signature = signing.sign(key, signing.APPLICATION, hashlib.sha256(manifest).digest())
    head = MAGIC + len(manifest).to_bytes(4, "big") + manifest + signature
    archive = head + b"".join(own.values())
    read_archive(archive, [signing.public_bytes(key)])
    return archive


def read_archive(data: bytes, trusted: Sequence[bytes]) -> Release:
    """An archive's content when a trusted key (32 bytes each) signed it and every byte fits; ReleaseError."""
    if data[:4] != MAGIC:
        raise ReleaseError("this is no application archive of Kanhu: take application.kfw of a bundle")
    size = int.from_bytes(data[4:8], "big")
    start = 8 + size + signing.SIGNATURE_SIZE
    if size > MANIFEST_MAX or len(data) > ARCHIVE_MAX or len(data) < start:
        raise ReleaseError("the application archive is cut short or far too large: copy it again")
    manifest, signature = data[8 : 8 + size], data[8 + size : start]
    by = signing.signer(trusted, signing.APPLICATION, hashlib.sha256(manifest).digest(), signature)
    if by is None:
        raise ReleaseError(
            "the application archive is not signed by a key that is trusted here, or was changed since"
        )
    version, rows = _manifest(manifest)
    files = {}
    for path, length, expected in rows:
        files[path] = data[start : start + length]
        start += length
        if hashlib.sha256(files[path]).digest() != expected:
            raise ReleaseError(f"{path} in the application archive was changed or cut: copy it again")
    if start != len(data):
        raise ReleaseError("the application archive has bytes after its end: copy it again")
    head = data[: 8 + size + signing.SIGNATURE_SIZE]
    return Release(version, number(version), files, head, hashlib.sha256(data).hexdigest(), len(data), by)


def _manifest(data: bytes) -> tuple[str, list[tuple[str, int, bytes]]]:
    """Version and rows of a manifest whose signature is right: a signer's mistake is refused too."""
    try:
        plain = cbor.loads(data, MANIFEST_MAX)
    except cbor.CborError as error:
        raise ReleaseError(f"the application's manifest is not deterministic CBOR ({error})") from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise ReleaseError("the application's manifest is of a format that this version does not know")
    version, rows = plain.get("version"), plain.get("files")
    if plain.keys() != {"format", "version", "number", "files"} or not isinstance(version, str):
        raise ReleaseError("the application's manifest lacks a field or has one too many")
    if type(plain["number"]) is not int or plain["number"] != number(version):
        raise ReleaseError(f"the application's number is not that of its version {version}")
    if not isinstance(rows, list) or not rows:
        raise ReleaseError("the application's manifest names no files")
    checked = [_row(row) for row in rows]
    _paths([path for path, _, _ in checked])
    return version, checked


def _row(row: object) -> tuple[str, int, bytes]:
    match row:
        case [str(path), int(size), bytes(digest)] if (
            type(size) is int and 0 <= size <= ARCHIVE_MAX and len(digest) == 32
        ):
            return path, size, digest
    raise ReleaseError("a file in the application's manifest is not [path, size, digest]")


def _paths(paths: list[str]) -> None:
    if paths != sorted(set(paths)):
        raise ReleaseError("the application's files are not in order, or one stands twice")
    for path in paths:
        if len(path) > PATH_MAX or not all(_NAME.fullmatch(part) for part in path.split("/")):
            raise ReleaseError(f"{path[:PATH_MAX]!r} is no path of a file in a slot")
        if path == MANIFEST or path.startswith(MANIFEST + "/"):
            raise ReleaseError(f"{path!r} is the place of a slot's own manifest")
    folders = {"/".join(path.split("/")[:depth]) for path in paths for depth in range(1, path.count("/") + 1)}
    if clash := sorted(folders.intersection(paths)):
        raise ReleaseError(f"{clash[0]!r} is both a file and a folder in the application's manifest")
