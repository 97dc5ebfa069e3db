"""A bundle for a board out of the sources: same sources and image, same bytes."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.install import boards, bundle, filesystem, micropython, partitions, release, signing
from kanhu.install.boards import Board
from kanhu.install.firmware import BuildError, build_files, source_dir, source_version

SLOTS = ("/a/", "/safe/")  # the slot that runs first, and the factory's copy of it
EVENTS_ROOM = (
    96 * 1024
)  # bytes that a hub keeps free for events while it updates itself (contracts, section 13)


def build(
    board: str,
    out: Path,
    key: Ed25519PrivateKey,
    image: Path | None = None,
    sha256: str | None = None,
    version: str | None = None,
    progress: micropython.Progress = lambda _done, _all: None,
) -> bundle.Bundle:
    """Write the bundle for a board (name or .toml file) into a new folder; KanhuError, and then no folder.

    image, sha256: MicroPython in place of the board's own; version: X.Y.Z in place of the sources' own."""
    kind = boards.load(board)
    if not out.name or out.name == ".." or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise BuildError(f"{out}: is there and not empty; name a new folder")
    own = micropython.take_apart(micropython.obtain(kind, image, sha256, progress), kind)
    with _sources(version) as source:
        version = source_version(source)
        files = build_files(source)
    archive = release.make_archive(files, key, version)
    room = _partition(kind, "vfs").size
    volume = filesystem.make(_volume(files, archive, key), room)
    # The other slot is as large as one of the two that are there.
    if (needed := len(volume) * 3 // 2 + len(archive) + EVENTS_ROOM) > room:
        raise BuildError(
            f"{kind.name}: its vfs partition of {room} bytes has no room for updates: {needed} are needed"
        )
    contents = {
        "bootloader.bin": own.bootloader,
        "partitions.bin": partitions.encode(kind.partitions),
        "micropython.bin": own.app,
        "vfs.bin": volume,
        bundle.ARCHIVE: archive,
    }
    plain = _manifest(kind, own, version, contents)
    manifest = bundle.encode(plain)
    signature = signing.sign(key, signing.BUNDLE, manifest)
    contents |= {
        bundle.MANIFEST: manifest,
        bundle.SIGNATURE: signature.hex().encode() + b"\n",
        bundle.INSTALL: bundle.install_json(plain),
    }
    _write(out, contents, signing.public_bytes(key))
    return bundle.load(out, [signing.public_bytes(key)])


def _volume(files: dict[str, bytes], archive: bytes, key: Ed25519PrivateKey) -> dict[str, bytes]:
    checked = release.read_archive(archive, [signing.public_bytes(key)])
    volume = {path: data for path, data in files.items() if not path.startswith(release.SLOT)}
    for slot in SLOTS:
        volume |= {slot + path: data for path, data in checked.files.items()}
        volume[slot + release.MANIFEST] = checked.manifest
    return volume


def _partition(kind: Board, name: str) -> partitions.Partition:
    return next(one for one in kind.partitions if one.name == name)


def _manifest(
    kind: Board, own: micropython.MicroPython, version: str, contents: dict[str, bytes]
) -> dict[str, Any]:
    places = {
        "bootloader": kind.chip.boot_offset,
        "partitions": partitions.OFFSET,
        "micropython": _partition(kind, "factory").offset,
        "vfs": _partition(kind, "vfs").offset,
    }
    return {
        "format": 1,
        "board": kind.name,
        "chip": kind.chip.name,
        "flash_size": kind.flash_size,
        "version": version,
        "number": release.number(version),
        "micropython": {"version": own.version, "sha256": own.sha256},
        "settings": kind.pins.settings(),
        "partitions": [
            {
                "name": one.name,
                "type": one.type,
                "subtype": one.subtype,
                "offset": one.offset,
                "size": one.size,
            }
            for one in kind.partitions
        ],
        "regions": [
            {"name": name, "offset": offset, **_file(f"{name}.bin", contents)}
            for name, offset in places.items()
        ],
        "application": _file(bundle.ARCHIVE, contents),
    }


def _file(name: str, contents: dict[str, bytes]) -> dict[str, Any]:
    data = contents[name]
    return {"file": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@contextmanager
def _sources(version: str | None) -> Iterator[Path]:
    """The firmware's sources, under another version where one is asked for."""
    source = source_dir()
    own = source_version(source)
    if version is None or version == own:
        release.number(own)
        yield source
        return
    release.number(version)
    with tempfile.TemporaryDirectory(prefix="kanhu-firmware-") as scratch:
        copy = Path(scratch) / "firmware"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        app = copy / "kanhu_hub" / "app.py"
        line = f'FIRMWARE = "{own}"'
        text = app.read_text(encoding="utf-8")
        if text.count(line) != 1:
            raise BuildError(f"{app}: its version stands otherwise than as {line}")
        app.write_text(text.replace(line, f'FIRMWARE = "{version}"'), encoding="utf-8")
        yield copy


def _write(out: Path, contents: dict[str, bytes], public: bytes) -> None:
    """All files into a folder that is there only when they are whole."""
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
        for name, data in contents.items():
            (scratch / name).write_bytes(data)
        bundle.load(scratch, [public])
        if out.exists():
            out.rmdir()
        scratch.rename(out)
    except OSError as error:
        raise BuildError(f"{error.filename or out}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
