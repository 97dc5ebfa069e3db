"""An event's plaintext: a CBOR map that always holds KIND and UP_MS. What is default is left out."""

from . import cbor
from .kinds import COUNT, DEVICE, FLAGS, KIND, UP_MS

MAX_NUMBER = 0x1FFFFFFFFFFFFF  # 2^53 - 1: exact in every JSON reader (RFC 7493 section 2.2)

_DEFAULTS = {DEVICE: 0, FLAGS: 0, COUNT: 1}


class EventError(ValueError):
    """args[0] is one word: cbor, map, kind or up_ms."""


def _check(event):
    kind = event.get(KIND)
    if kind is True or not isinstance(kind, int) or not 0 < kind < 256:
        raise EventError("kind")
    up_ms = event.get(UP_MS)
    if up_ms is True or up_ms is False or not isinstance(up_ms, int) or not 0 <= up_ms <= MAX_NUMBER:
        raise EventError("up_ms")


def encode(kind, up_ms, fields):
    """Plaintext of one event; fields by key number, where None and the default value mean absent."""
    event = {key: value for key, value in fields.items() if value is not None and value != _DEFAULTS.get(key)}
    event[KIND] = kind
    event[UP_MS] = up_ms
    _check(event)
    return cbor.dumps(event)


def decode(plain):
    """The map of one plaintext, as it stands; EventError when it is none or lacks a valid KIND or UP_MS."""
    try:
        event = cbor.loads(plain)
    except cbor.CborError:
        raise EventError("cbor")
    if not isinstance(event, dict):
        raise EventError("map")
    _check(event)
    return event
