"""Boards: what chip, how much flash, which partitions, pins and MicroPython image; one TOML file each."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kanhu.errors import KanhuError
from kanhu.install import image, partitions
from kanhu.install.partitions import Partition

FOLDER = Path(__file__).parent
TYPES = {"app": partitions.APP, "data": partitions.DATA}
SUBTYPES = {"factory": 0x00, "phy": 0x01, "nvs": 0x02, "fat": 0x81}

Number = Annotated[int, Field(ge=0, le=0xFFFFFFFF)]
Pin = Annotated[int, Field(ge=0, le=63)]


class BoardError(KanhuError):
    """A board's file cannot be used: names the file, the key and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class MicroPython(_Strict):
    """Where a board's image comes from; without sha256 nobody has checked one, and the builder gives it."""

    version: str | None = None  # as in the image, "v1.25.0"
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    page: str | None = None  # for people: where images and their hashes are


class Pins(_Strict):
    """GPIO numbers of the usual wiring (docs/wiring.md)."""

    button: Pin
    pir: Pin
    lamp: Pin
    buzzer: Pin
    button_line: Pin | None = None  # ADC of the supervised line, where there is one
    cancel: Pin | None = None  # for the key, where there is one

    def settings(self) -> dict[str, Any]:
        """The hub's settings of this wiring, without supervised line and cancel key."""
        return {
            "buttons": [[1, self.button, None]],
            "pirs": [[2, self.pir]],
            "lamp": self.lamp,
            "buzzer": self.buzzer,
        }


class _File(_Strict):
    chip: str
    flash_size: Number
    micropython: MicroPython
    partitions: dict[str, list[str | int]]
    pins: Pins


@dataclass(frozen=True)
class Board:
    """A kind of board; sizes in bytes."""

    name: str
    chip: image.Chip
    flash_size: int
    partitions: tuple[Partition, ...]
    micropython: MicroPython
    pins: Pins


def names() -> list[str]:
    """The boards that come with Kanhu."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Board:
    """A board by its name here, or by its own TOML file; BoardError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if path.parent == FOLDER and path.stem not in names():
        raise BoardError(f"no board {name}: there are {', '.join(names())}; or give a .toml file of your own")
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
        read = _File.model_validate(plain)
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BoardError(f"{path}: not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BoardError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BoardError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if read.chip not in image.CHIPS:
        raise BoardError(f"{path}: chip: not one of {', '.join(image.CHIPS)}")
    if read.flash_size not in image.FLASH_SIZES:
        raise BoardError(f"{path}: flash_size: 2 to 128 MB in bytes, a power of two")
    table = tuple(_partition(path, name, row) for name, row in read.partitions.items())
    try:
        partitions.check(table, read.flash_size)
    except partitions.PartitionError as error:
        raise BoardError(f"{path}: {error}") from None
    return Board(
        path.stem.lower(), image.CHIPS[read.chip], read.flash_size, table, read.micropython, read.pins
    )


def _partition(path: Path, name: str, row: list[str | int]) -> Partition:
    match row:
        case [str(kind), str() | int() as subtype, int(offset), int(size)] if kind in TYPES:
            number = SUBTYPES.get(subtype) if isinstance(subtype, str) else subtype
            if number is not None:
                return Partition(name, TYPES[kind], number, offset, size)
    raise BoardError(
        f'{path}: partitions.{name}: [type, subtype, offset, size], as ["data", "nvs", 0x9000, 0x6000]'
        f"; types: {', '.join(TYPES)}; subtypes: {', '.join(SUBTYPES)} or a number"
    )
