"""When an event happened: from its own clock, or from an anchor of the same boot, or unknown."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from kanhu_protocol import kinds as k

EARLIEST_MS = 1_735_689_600_000  # 2025-01-01: before this project existed, so a clock that was never set
AHEAD_MS = 5 * 60 * 1000  # a hub's clock this far ahead of the host's receive time is wrong
DRIFT_MS = 500  # a boot gets another anchor when its clock has moved this far against the last
MAX_ANCHORS = 64  # of one boot in memory: at 20 ppm one a day, so two months

ClockStatus = Literal["synced", "resolved", "unknown"]


class Anchor(NamedTuple):
    """At up_ms since boot it was utc_ms, says source (names.CLOCKS)."""

    up_ms: int
    utc_ms: int
    source: int


def trusted(utc_ms: int, received_ms: int) -> bool:
    """Whether a hub's UTC can be true, given when the host received it."""
    return EARLIEST_MS <= utc_ms <= received_ms + AHEAD_MS


def own_anchor(fields: dict[int, Any], received_ms: int) -> Anchor | None:
    """The anchor an event carries (fields as plain.believed gives them), when it can be true."""
    utc_ms = fields.get(k.UTC_MS)
    if utc_ms is None or not trusted(utc_ms, received_ms):
        return None
    return Anchor(fields[k.UP_MS], utc_ms, fields[k.CLOCK])


def adds_knowledge(anchors: list[Anchor], anchor: Anchor) -> bool:
    """Whether an anchor says something that those known do not."""
    if not anchors:
        return True
    known = anchors[-1]
    if abs(known.utc_ms + anchor.up_ms - known.up_ms - anchor.utc_ms) <= DRIFT_MS:
        return False
    known = min(anchors, key=lambda other: abs(other.up_ms - anchor.up_ms))
    return abs(known.utc_ms + anchor.up_ms - known.up_ms - anchor.utc_ms) > DRIFT_MS


def resolve(
    fields: dict[int, Any], received_ms: int, anchors: list[Anchor]
) -> tuple[int | None, ClockStatus]:
    """(UTC ms or None, how it is known) of an event of the boot the anchors belong to."""
    own = own_anchor(fields, received_ms)
    if own is not None:
        return own.utc_ms, "synced"
    if not anchors:
        return None, "unknown"
    up_ms: int = fields[k.UP_MS]
    anchor = min(anchors, key=lambda known: abs(known.up_ms - up_ms))
    utc_ms = anchor.utc_ms + up_ms - anchor.up_ms
    return (utc_ms, "resolved") if trusted(utc_ms, received_ms) else (None, "unknown")
