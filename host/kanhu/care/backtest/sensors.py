"""Which sensor of a recording is what, and where: from a list that a person gives, else from its name."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Literal, NamedTuple

from kanhu.errors import ConfigError

# motion: ON is movement. item: a cupboard, tap, bed: every change of it is movement. door: an outer door.
Role = Literal["motion", "item", "door", "window", "ignore"]
ROLES: tuple[Role, ...] = ("motion", "item", "door", "window", "ignore")


class Place(NamedTuple):
    """What a sensor is, in which room, and whether that was only guessed."""

    role: Role
    room: str = ""
    guessed: bool = False


# Parts of names, as recordings of homes and home automation have them; the first that fits.
_ROOMS = (
    ("bathroom", r"bath|toilet|shower|basin|wc\b|restroom|flush|卫|浴|厕"),
    ("bedroom", r"bed|sleep|卧|床"),
    ("kitchen", r"kitchen|fridge|freezer|stove|oven|microwave|toaster|cooktop|dish|plates|cup|pan\b|厨|冰箱"),
    ("living room", r"living|lounge|sofa|couch|\btv\b|seat|客厅|沙发"),
    ("dining room", r"dining|餐"),
    ("hall", r"hall|corridor|entr|maindoor|front|foyer|门厅|玄关|走廊|大门|入户"),
    ("study", r"study|office|work|desk|书房"),
)  # fmt: skip
_ROLES: tuple[tuple[Role, str], ...] = (
    ("ignore", r"temp|humid|lux|illum|light(level|sensor)|^ls\d|^lt\d|^t\d|batt|power|watt|energy|volt"
               r"|linkquality|^bat|^p\d|^l\d|温|湿|照度|电量"),
    ("motion", r"\bpir\b|pir_|_pir|motion|人体|红外|运动"),  # though it be beside a door
    ("door", r"^d\d|(front|main|outer|outside|entr\w*|back|exit|house|hall)[ _-]?door|大门|入户|房门"),
    ("window", r"window|窗"),
    ("item", r"door|contact|magnet|cabinet|cupboard|drawer|fridge|freezer|pressure|flush|tap\b|basin|bed\b"
             r"|seat|electric|microwave|toaster|dishwasher|washing|^i\d|门|柜"),
    ("motion", r"pir|occup|presence|move|^ma?\d"),
)  # fmt: skip


def guess(name: str, words: set[str]) -> Place:
    """From a sensor's name and the states it was seen in (in capitals)."""
    text = name.casefold()
    room = next((room for room, part in _ROOMS if re.search(part, text)), "")
    role = next((role for role, part in _ROLES if re.search(part, text)), None)
    if role is None:
        role = "item" if words & {"OPEN", "CLOSE", "CLOSED", "OPENED"} else "motion"
    return Place(role, room, True)


def load(path: Path) -> dict[str, Place]:
    """A list of sensor, role and room, in CSV with or without a header; ConfigError with the line."""
    found: dict[str, Place] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or not row[0].strip() or row[0].lstrip().startswith("#"):
                    continue
                name, role, room = (*(cell.strip() for cell in row), "", "")[:3]
                if number == 1 and (name.casefold(), role.casefold()) == ("sensor", "role"):
                    continue
                known = next((one for one in ROLES if one == role.casefold()), None)
                if known is None:
                    raise ConfigError(
                        f"{path}, line {number}: role {role!r} of sensor {name!r}: must be one of "
                        f"{', '.join(ROLES)}"
                    )
                found[name] = Place(known, room)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not found:
        raise ConfigError(f"{path}: no sensors in it; write lines such as M001,motion,kitchen")
    return found
