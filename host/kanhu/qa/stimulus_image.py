"""The stimulus's firmware as it is flashed: built from firmware/stimulus, written by esptool, with a hash."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kanhu.install import boards, filesystem, micropython, partitions
from kanhu.install.boards import Board
from kanhu.install.firmware import SCRIPTS, BuildError, compile_modules, read_modules, source_dir
from kanhu.install.flash import esptool, ports, troubles
from kanhu.install.flash.esptool import Part
from kanhu.install.flash.ports import Port
from kanhu.qa.installing import apart, packaged

BAUDS = (460_800, 115_200)  # bytes come whole through a bad cable at the second
FOLDER = "stimulus"
SECTOR = partitions.SECTOR


@dataclass(frozen=True)
class Region:
    """A stretch of flash."""

    name: str
    offset: int  # bytes
    data: bytes


@dataclass(frozen=True)
class Image:
    """All that is written to a board; tree is what its firmware says of itself once it runs."""

    board: str
    chip: str
    flash_size: int  # bytes
    micropython: str
    tree: str
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Written:
    """What was written where."""

    port: Port  # where the board is now
    chip: str
    mac: str
    tree: str
    regions: Mapping[str, str]  # name -> written or kept


def files(source: Path | None = None) -> dict[str, bytes]:
    """Device path -> bytes of all that is on the stimulus's flash; BuildError."""
    folder = source or source_dir() / FOLDER
    found = read_modules(folder)
    missing = [name for name in SCRIPTS if name not in found]
    if missing:
        raise BuildError(f"{folder}: no {missing[0]}: reinstall kanhu, or work in a full checkout")
    scripts = {f"/{name}": found.pop(name) for name in SCRIPTS}
    return scripts | compile_modules({f"/{FOLDER}/{name}": data for name, data in found.items()})


def tree(made: Mapping[str, bytes]) -> str:
    """SHA-256 in hex over the files, as firmware/stimulus/tree.py has it."""
    sha = hashlib.sha256()
    for path in sorted(made):
        sha.update(f"{path}\0{len(made[path])}\0".encode() + made[path])
    return sha.hexdigest()


def build(board: str = "esp32", image: Path | None = None, sha256: str | None = None) -> Image:
    """The stimulus's image for a board (name or .toml file); KanhuError.

    image: MicroPython's combined image in place of the board's own (fetched once); sha256: its hash."""
    kind = boards.load(board)
    if image is None:
        image = packaged(board)
    elif sha256 is None:
        try:
            sha256 = hashlib.sha256(image.read_bytes()).hexdigest()
        except OSError as error:
            raise micropython.MicroPythonError(f"{image}: {error.strerror}") from None
    own = micropython.take_apart(micropython.obtain(kind, image, sha256, lambda _done, _all: None), kind)
    made = files()
    vfs = _partition(kind, "vfs")
    return Image(
        kind.name,
        kind.chip.name,
        kind.flash_size,
        own.version,
        tree(made),
        (
            Region("bootloader", kind.chip.boot_offset, own.bootloader),
            Region("partitions", partitions.OFFSET, partitions.encode(kind.partitions)),
            Region("micropython", _partition(kind, "factory").offset, own.app),
            Region("vfs", vfs.offset, filesystem.make(made, vfs.size)),
        ),
    )


def flash(
    url: str,
    image: Image,
    *,
    mac: str = "",
    progress: Callable[[str, float], None] = lambda name, share: None,
) -> Written:
    """Write what differs, compare it byte by byte and start the board; Trouble, one sentence. Nobody else may
    have the port open meanwhile."""
    return apart(lambda: asyncio.run(_flash(Port(url), image, mac, progress)))


def _partition(kind: Board, name: str) -> partitions.Partition:
    return next(one for one in kind.partitions if one.name == name)


async def _flash(port: Port, image: Image, mac: str, progress: Callable[[str, float], None]) -> Written:
    chip = await esptool.identify(port.url)
    if why := _unfit(chip, image, mac):
        await esptool.restart(port.url)
        raise troubles.Trouble(f"{port.url}: {why}")
    with tempfile.TemporaryDirectory(prefix="kanhu-stimulus-") as scratch:
        parts = []
        for region in image.regions:
            path = Path(scratch) / f"{region.name}.bin"
            path.write_bytes(region.data.ljust(-(-len(region.data) // SECTOR) * SECTOR, b"\xff"))
            parts.append(Part(region.name, region.offset, path.stat().st_size, str(path)))
        for baud in BAUDS:
            try:
                found = await esptool.write(port.url, image.chip, parts, baud, progress)
                wrong = await esptool.verify(port.url, image.chip, parts, baud)
            except troubles.Trouble as error:
                if not error.again or baud == BAUDS[-1]:
                    raise
                continue
            if wrong:
                break
            return Written(ports.again(port, chip.mac) or port, chip.chip, chip.mac, image.tree, found)
    raise troubles.Trouble(f"{port.url}: the flash does not hold what was written: put the board aside")


def _unfit(chip: esptool.Chip, image: Image, mac: str) -> str:
    if chip.chip != image.chip:
        return (
            f"this is an {chip.chip}, and the stimulus was built for an {image.chip}: name its board in"
            " bench.toml, or exchange the ports of hub and stimulus"
        )
    if mac and ports.plain(mac) != chip.mac:
        return f"this is board {chip.mac}, not {mac}: exchange the ports of hub and stimulus"
    if chip.flash_size and chip.flash_size < image.flash_size:
        return f"its flash of {chip.flash_size} bytes is too small for {image.board}'s image"
    return ""
