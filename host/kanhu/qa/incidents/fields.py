"""What of an event an incident keeps: keys on a list, by name. All others may be about a person."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kanhu_protocol import kinds as k
from kanhu_protocol import names

# Not kept, among others: readings of health monitors, names and addresses of sensors (a neighbour's too),
# who did what, reasons and explanations in words.
KEPT = (
    k.CLOCK, k.DEVICE, k.FLAGS, k.BATTERY, k.RSSI, k.ALARM, k.COUNT, k.ATTEMPT, k.SPAN_MS, k.DETAIL,
    k.PREVIOUS, k.RESET, k.HEAP, k.LINK, k.OUTBOX, k.DROPS, k.RADIO, k.FIRMWARE, k.POWER, k.VERSIONS,
    k.DOWNLINK, k.LOST, k.COMMAND, k.STATE, k.REFUSED, k.RULE, k.FAULTS,
    k.LEVEL, k.ROLE, k.OFFSET, k.SIZE, k.SLOT,
)  # fmt: skip
_IMPLIED = (k.KIND, k.UP_MS, k.UTC_MS, k.SUBJECT)  # stand elsewhere in the file, or are the hub itself
# Settings that say how a hub is wired and how often it speaks; rooms, networks and their names stay behind.
SETTINGS = (
    "links", "network", "buttons", "pirs", "pir_warm_up", "lamp", "buzzer", "mains", "cancel", "fall_ask",
    "proof", "heartbeat",
)  # fmt: skip


def data(fields: dict[int, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The kept keys of a decoded event by name; what is not kept is counted."""
    kept = {}
    for key, value in fields.items():
        if key in KEPT:
            kept[names.KEYS[key]] = value
        elif key not in _IMPLIED:
            left_out[f"event key {names.KEYS.get(key, key)}"] += 1
    return kept


def kind_name(kind: int) -> str:
    """A kind's name; unknown.N for one that this kanhu does not know."""
    return names.KINDS.get(kind, f"unknown.{kind}")


def settings(given: dict[str, Any], left_out: Counter[str]) -> dict[str, Any]:
    """The kept settings of a hub."""
    for key in given:
        if key not in SETTINGS:
            left_out[f"setting {key}"] += 1
    return {key: value for key, value in given.items() if key in SETTINGS}
