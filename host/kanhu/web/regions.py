"""Regions: whoever may see one sees what is below it, and nothing beside."""

from __future__ import annotations

from collections.abc import Iterator

DISTRICT_DEPTH = 4  # country, province, city, district: the wall's rows for whoever sees more than one


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


def district(region: str, place: str | None) -> str:
    """The row of the wall on which a place stands for an operator of `region`; "" for unassigned homes."""
    if not place:
        return ""
    depth = max(DISTRICT_DEPTH, region.count("/") + 2 if region else 0)
    return "/".join(place.split("/")[:depth])
