"""Regions: whoever may see one sees what is below it, and nothing beside; and what people call them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kanhu.care.rules.values import Words
from kanhu.errors import ConfigError
from kanhu.registry import RegistryError, checks

DISTRICT_DEPTH = 4  # country, province, city, district: the wall's rows for whoever sees more than one
MAX_NAME = 60  # characters: it stands in a row beside much else
LANGUAGES = set(Words._fields)


def covers(region: str, place: str | None) -> bool:
    """Whether an operator of `region` ("" is everywhere) may see a home at `place` (None: unassigned)."""
    if not region:
        return True
    return place is not None and (place == region or place.startswith(f"{region}/"))


def above(place: str | None) -> Iterator[str]:
    """Every region that covers a place: "" first, the place itself last."""
    yield ""
    if place:
        parts = place.split("/")
        for size in range(1, len(parts) + 1):
            yield "/".join(parts[:size])


def known(region: str, place: str) -> str:
    """As much of a place that reaches into an operator's region as the operator may know."""
    return place if covers(region, place or None) else region


def district(region: str, place: str | None) -> str:
    """The row of the wall on which a place stands for an operator of `region`; "" for unassigned homes."""
    if not place:
        return ""
    depth = max(DISTRICT_DEPTH, region.count("/") + 2 if region else 0)
    return "/".join(place.split("/")[:depth])


def read_names(path: Path | None) -> dict[str, Words]:
    """What people call regions, by code; one language serves for both. ConfigError.

    The file, TOML, has lines such as "cn/42" = { en = "Hubei", zh = "湖北" }."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"desk.region_names {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"desk.region_names {path}: {error}") from None
    return {code: _name(path, code, names) for code, names in found.items()}


def _name(path: Path, code: str, names: Any) -> Words:
    try:
        if not checks.region(code):
            raise RegistryError("a name without a region")
    except RegistryError as error:
        raise ConfigError(f"desk.region_names {path}: {error}") from None
    right = isinstance(names, Mapping) and names and names.keys() <= LANGUAGES
    if not right or not all(
        isinstance(one, str) and one.strip() and len(one) <= MAX_NAME and one.isprintable()
        for one in names.values()
    ):
        raise ConfigError(
            f'desk.region_names {path}: "{code}" must be {{ en = "..", zh = ".." }}, each of 1 to '
            f"{MAX_NAME} characters"
        )
    return Words(names.get("en", names.get("zh")), names.get("zh", names.get("en")))
