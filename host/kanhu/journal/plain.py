"""Reading an event's plaintext on the hot path: as kanhu_protocol.events and checks do, only faster."""

from __future__ import annotations

from typing import Any

from kanhu_protocol import cbor, events
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import VALID, check

_MAX_DEPTH = cbor.MAX_DEPTH - 1  # of a value inside the event's map


def believed(plain: bytes) -> dict[int, Any]:
    """The fields of a plaintext, without those that cannot be right; ValueError without kind or up_ms."""
    fields = _small_keys(plain)
    if fields is None:
        fields = events.decode(plain)
        for key in check(fields):
            fields.pop(key, None)
    elif (k.UTC_MS in fields) != (k.CLOCK in fields):  # either is worth nothing alone
        fields.pop(k.UTC_MS, None)
        fields.pop(k.CLOCK, None)
    return fields


def _small_keys(plain: bytes) -> dict[int, Any] | None:
    # A map of up to 23 keys below 256 with shortest heads; None for all else, which kanhu_protocol judges.
    fields: dict[int, Any] = {}
    valid = VALID
    value: Any
    try:
        count = plain[0] - 0xA0
        if not 0 < count < 24:
            return None
        position, previous = 1, -1
        for _ in range(count):
            key = plain[position]
            if key > 23:
                if key != 0x18 or plain[position + 1] < 24:
                    return None
                position += 1
                key = plain[position]
            if key <= previous:
                return None
            previous = key
            head = plain[position + 1]
            if head < 0x18:
                value = head
                position += 2
            elif head == 0x18:
                value = plain[position + 2]
                position += 3
                if value < 24:
                    return None
            elif head == 0x1A:
                value = int.from_bytes(plain[position + 2 : position + 6], "big")
                position += 6
                if value < 0x10000:
                    return None
            else:
                value, position = cbor.decode_at(plain, position + 1, _MAX_DEPTH)
            check_value = valid.get(key)
            if check_value is None or check_value(value):
                fields[key] = value
            elif key == k.KIND or key == k.UP_MS:
                return None
    except (IndexError, cbor.CborError):
        return None
    if position != len(plain) or k.KIND not in fields or k.UP_MS not in fields:
        return None
    return fields
