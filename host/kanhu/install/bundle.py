"""A bundle: a folder with everything that is written to a board, under one signed manifest.

load() takes nothing that the signature does not cover, and no mistake of a signer that bricks boards."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kanhu.errors import KanhuError
from kanhu.install import image, partitions, release, signing
from kanhu.install.partitions import Partition

MANIFEST, SIGNATURE, INSTALL, ARCHIVE = "manifest.json", "manifest.sig", "install.json", "application.kfw"
MANIFEST_MAX = 65_536  # bytes
FLASH_MAX = 128 * 1024 * 1024  # bytes; the largest that a boot loader's header can name
REGIONS = ("bootloader", "partitions", "micropython", "vfs")

Size = Annotated[int, Field(ge=0, le=FLASH_MAX)]
Pin = Annotated[int, Field(ge=0, le=63)]
Device = Annotated[int, Field(ge=1, le=255)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*\.[a-z0-9]+$", max_length=64)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]


class BundleError(KanhuError):
    """A bundle that must not be written to a board: one sentence."""


@dataclass(frozen=True)
class Region:
    """A stretch of flash that a bundle writes."""

    name: str
    offset: int  # bytes
    size: int  # bytes
    sha256: str  # hex
    path: Path

    def data(self) -> bytes:
        """Its bytes, checked once more; BundleError."""
        return _content(self.path, self.size, self.sha256)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was checked whole."""

    folder: Path
    digest: str  # SHA-256 of manifest.json, hex: names the bundle
    board: str
    chip: str
    flash_size: int  # bytes
    version: str
    number: int
    micropython: dict[str, str]  # version, sha256 of the image it was made of
    settings: dict[str, Any]  # the hub's, for this board's usual wiring (docs/wiring.md)
    partitions: tuple[Partition, ...]
    regions: tuple[Region, ...]
    application: Path
    signer: bytes  # the public key, 32 bytes

    def region(self, name: str) -> Region:
        """One of REGIONS."""
        return next(one for one in self.regions if one.name == name)

    def partition(self, name: str) -> Partition:
        """nvs, factory, vfs or another of this table; KeyError."""
        found = next((one for one in self.partitions if one.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _MicroPython(_Strict):
    version: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$", max_length=40)]
    sha256: Digest


class _Partition(_Strict):
    name: Annotated[str, Field(max_length=40)]
    type: Size
    subtype: Size
    offset: Size
    size: Size


class _File(_Strict):
    file: FileName
    size: Size
    sha256: Digest


class _Region(_File):
    name: Literal["bootloader", "partitions", "micropython", "vfs"]
    offset: Size


class _Settings(_Strict):
    buttons: list[tuple[Device, Pin, Pin | None]]
    pirs: list[tuple[Device, Pin]]
    lamp: Pin
    buzzer: Pin


class _Manifest(_Strict):
    format: Literal[1]
    board: Word
    chip: Word
    flash_size: Size
    version: Annotated[str, Field(max_length=40)]
    number: Annotated[int, Field(ge=0, lt=1 << 30)]
    micropython: _MicroPython
    settings: _Settings
    partitions: list[_Partition]
    regions: list[_Region]
    application: _File


def encode(plain: dict[str, Any]) -> bytes:
    """Canonical JSON, as a manifest is signed."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def install_json(plain: dict[str, Any]) -> bytes:
    """The manifest that ESP Web Tools wants (offsets are decimal), out of a bundle's own."""
    parts = [{"path": region["file"], "offset": region["offset"]} for region in plain["regions"]]
    build = {"chipFamily": image.CHIPS[plain["chip"]].family, "parts": parts}
    return encode(
        {
            "name": f"Kanhu {plain['board']}",
            "version": plain["version"],
            "new_install_prompt_erase": True,
            "builds": [build],
        }
    )


def look(folder: Path) -> dict[str, Any]:
    """What a bundle's manifest says, its form checked and nothing else; BundleError."""
    return _parse(folder, _read(folder / MANIFEST, MANIFEST_MAX))[1]


def load(folder: Path, trusted: Sequence[bytes]) -> Bundle:
    """The bundle in a folder that a trusted key (32 bytes each) signed, all of it checked; BundleError."""
    data = _read(folder / MANIFEST, MANIFEST_MAX)
    signer = _signer(folder, data, trusted)
    manifest, plain = _parse(folder, data)
    try:
        number = release.number(manifest.version)
    except release.ReleaseError as error:
        raise BundleError(f"{folder}: {error}") from None
    if number != manifest.number:
        raise BundleError(f"{folder}: its number is not that of its version {manifest.version}")
    chip = image.CHIPS.get(manifest.chip)
    if chip is None:
        raise BundleError(f"{folder}: for the chip {manifest.chip}, which this version does not know")
    if manifest.flash_size not in image.FLASH_SIZES:
        raise BundleError(f"{folder}: no board has {manifest.flash_size} bytes of flash")
    table = tuple(Partition(**one.model_dump()) for one in manifest.partitions)
    regions = tuple(
        Region(one.name, one.offset, one.size, one.sha256, folder / one.file) for one in manifest.regions
    )
    bundle = Bundle(
        folder, hashlib.sha256(data).hexdigest(), manifest.board, manifest.chip, manifest.flash_size,
        manifest.version, number, manifest.micropython.model_dump(), plain["settings"], table, regions,
        folder / manifest.application.file, signer,
    )  # fmt: skip
    files = [*(one.file for one in manifest.regions), manifest.application.file]
    if len({*files, MANIFEST, SIGNATURE, INSTALL}) != len(files) + 3:
        raise BundleError(f"{folder}: its manifest names one file twice")
    try:
        partitions.check(table, manifest.flash_size)
        _places(bundle, chip)
        _images(bundle, chip)
    except (partitions.PartitionError, image.ImageError) as error:
        raise BundleError(f"{folder}: {error}") from None
    _application(bundle, manifest.application)
    if _read(folder / INSTALL, MANIFEST_MAX) != install_json(plain):
        raise BundleError(f"{folder / INSTALL} was changed: copy the bundle again")
    return bundle


def _signer(folder: Path, data: bytes, trusted: Sequence[bytes]) -> bytes:
    text = _read(folder / SIGNATURE, 2 * signing.SIGNATURE_SIZE + 1)
    try:
        signature = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        signature = b""
    if text != signature.hex().encode() + b"\n":
        raise BundleError(f"{folder / SIGNATURE} is damaged: copy the bundle again")
    signer = signing.signer(trusted, signing.BUNDLE, data, signature)
    if signer is None:
        raise BundleError(
            f"{folder}: not signed by a key that is trusted here, or its manifest was changed since"
        )
    return signer


def _parse(folder: Path, data: bytes) -> tuple[_Manifest, dict[str, Any]]:
    try:
        plain = json.loads(data)
        manifest = _Manifest.model_validate_json(data)  # a JSON list is a tuple's form
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise BundleError(f"{folder / MANIFEST}: {where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{folder / MANIFEST} is no JSON") from None
    if encode(plain) != data:
        raise BundleError(f"{folder / MANIFEST} is not in canonical form")
    return manifest, plain


def _places(bundle: Bundle, chip: image.Chip) -> None:
    """BundleError unless every region lies where the chip and the table want it."""
    names = [one.name for one in bundle.regions]
    if sorted(names) != sorted(REGIONS):
        raise BundleError(f"{bundle.folder}: its regions are not {', '.join(REGIONS)}, each once")
    rooms = {
        "bootloader": (chip.boot_offset, partitions.OFFSET),
        "partitions": (partitions.OFFSET, partitions.OFFSET + partitions.TABLE_SIZE),
    }
    for name, partition in (("micropython", "factory"), ("vfs", "vfs")):
        room = bundle.partition(partition)
        rooms[name] = (room.offset, room.end)
    for one in bundle.regions:
        start, end = rooms[one.name]
        if one.offset != start or not 0 < one.size <= end - start:
            raise BundleError(
                f"{bundle.folder}: region {one.name} at {one.offset:#x}, {one.size:#x} long, is not inside"
                f" {start:#x} to {end:#x}"
            )


def _images(bundle: Bundle, chip: image.Chip) -> None:
    """Every region's bytes: as signed, whole, for this chip; BundleError, ImageError, PartitionError."""
    loader = bundle.region("bootloader").data()
    image.check(loader, chip, "the boot loader")
    if image.flash_size(loader) != bundle.flash_size:
        raise BundleError(f"{bundle.folder}: the boot loader is made for another size of flash")
    image.check(bundle.region("micropython").data(), chip, "the MicroPython image")
    if bundle.region("partitions").data() != partitions.encode(bundle.partitions):
        raise BundleError(f"{bundle.folder}: its partition table is not the one in its manifest")
    bundle.region("vfs").data()


def _application(bundle: Bundle, expected: _File) -> None:
    data = _content(bundle.application, expected.size, expected.sha256)
    try:
        found = release.read_archive(data, [bundle.signer])
    except release.ReleaseError as error:
        raise BundleError(f"{bundle.application}: {error}") from None
    if found.number != bundle.number:
        raise BundleError(f"{bundle.application} is release {found.version}, not {bundle.version}")


def _content(path: Path, size: int, sha256: str) -> bytes:
    data = _read(path, size)
    if len(data) != size or hashlib.sha256(data).hexdigest() != sha256:
        raise BundleError(f"{path} is not what was signed: damaged or changed; copy the bundle again")
    return data


def _read(path: Path, most: int) -> bytes:
    """A file of at most so many bytes."""
    try:
        # Not blocking, because opening a pipe waits for its writer.
        file = os.fdopen(
            os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
        )
        with file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise BundleError(f"{path} is no file")
            if found.st_size > most:
                raise BundleError(f"{path} is larger than it should be: copy the bundle again")
            return file.read(most + 1)
    except FileNotFoundError:
        raise BundleError(f"{path} is missing: this is no whole bundle") from None
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from None
