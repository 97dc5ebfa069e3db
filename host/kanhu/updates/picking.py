"""Whose turn is first: spread over regions, and the same each time it is worked out. Pure."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping

from .values import UpdateError


def ranked(regions: Mapping[str, str | None], digest: str) -> list[str]:
    """Hubs (hub -> region) in the order of their turns for a release: one of each region, then the next of
    each, so that any first so many come from as many regions as there are."""

    def lot(text: str) -> bytes:
        return hashlib.sha256(f"{digest} {text}".encode()).digest()

    by_region: dict[str, list[str]] = defaultdict(list)
    for hub in sorted(regions, key=lot):
        by_region[regions[hub] or ""].append(hub)
    turns = [(turn, lot(region), hub) for region, hubs in by_region.items() for turn, hub in enumerate(hubs)]
    return [hub for _, _, hub in sorted(turns)]


def share(text: str, of: int) -> int:
    """Hubs in a share such as "5%" or "3" of so many, at least one; UpdateError."""
    try:
        if text.endswith("%"):
            percent = float(text[:-1])
            if not 0 < percent <= 100:
                raise ValueError
            return min(of, max(1, math.ceil(of * percent / 100)))
        count = int(text)
        if count < 1:
            raise ValueError
    except ValueError:
        raise UpdateError(f"{text!r} is no share: write 5% or a number of hubs") from None
    return min(of, count)
