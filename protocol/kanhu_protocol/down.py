"""Down messages: receipts and commands from the host to the hub, checked the same way on both sides."""

from . import cbor
from . import kinds as k

MAX_UTC_MS = 253402300799999  # 9999-12-31: what RFC 3339 can say


class DownError(ValueError):
    """args: one word (cbor, map, type, missing or range), and the command's number where it was readable."""


def _u32(value, low=0):
    return value is not True and value is not False and isinstance(value, int) and low <= value < 0x100000000


def _name(value):
    return isinstance(value, list) and len(value) == 2 and _u32(value[0], 1) and _u32(value[1])


def _names(value):
    return isinstance(value, list) and len(value) > 0 and all(_name(item) for item in value)


def _singles(value):
    if not isinstance(value, list) or not value:
        return False
    for item in value:
        if not isinstance(item, list) or len(item) < 2 or not _u32(item[0], 1):
            return False
        if not all(_u32(seq) for seq in item[1:]):
            return False
    return True


def _ranges(value):
    if not isinstance(value, list) or not value:
        return False
    for item in value:
        if not isinstance(item, list) or len(item) != 3 or not _name(item[:2]) or not _u32(item[2], item[1]):
            return False
    return True


def _utc(value):
    return value is not True and value is not False and isinstance(value, int) and 0 <= value <= MAX_UTC_MS


def _table(value):
    if not isinstance(value, list):
        return False
    seen = set()
    for entry in value:
        if not isinstance(entry, list) or len(entry) != 4:
            return False
        index, role, address, supervision_s = entry
        if not (_u32(index, 1) and index < 256 and _u32(role, 1) and role < 256 and _u32(supervision_s)):
            return False
        if not isinstance(address, bytes) or len(address) not in (1, 6) or index in seen:
            return False
        seen.add(index)
    return True


_CHECKS = {
    k.UPTO: _names,
    k.SINGLE: _singles,
    k.NUMBER: lambda value: _u32(value, 1),
    k.ALARM_NAME: _name,
    k.ALARM_STATE: lambda value: value is not True and value in (k.OPEN, k.ACCEPTED, k.CLOSED),
    k.TIME_MS: _utc,
    k.RANGES: _ranges,
    k.VERSION_OF: _u32,
    k.TABLE: _table,
}
_NEEDS = {
    k.STORED: (),
    k.DELIVERED: (),
    k.ALARM_IS: (k.NUMBER, k.ALARM_NAME, k.ALARM_STATE),
    k.TIME: (k.NUMBER, k.TIME_MS),
    k.REQUEST_MISSING: (k.NUMBER, k.RANGES),
    k.PING: (k.NUMBER,),
    k.DEVICES: (k.NUMBER, k.VERSION_OF, k.TABLE),
}


def _check(message):
    number = message.get(k.NUMBER)
    if not _u32(number, 1):
        number = None
    kind = message.get(k.TYPE)
    if not _u32(kind, 1) or kind not in _NEEDS:
        raise DownError("type", number)
    for key, check in _CHECKS.items():
        if key in message and not check(message[key]):
            raise DownError("range", number)
    for key in _NEEDS[kind]:
        if key not in message:
            raise DownError("missing", number)
    if kind <= k.DELIVERED and k.UPTO not in message and k.SINGLE not in message:
        raise DownError("missing", number)


def encode(kind, fields):
    """Plaintext of one down message of a type; fields by key number, None means absent."""
    message = {key: value for key, value in fields.items() if value is not None}
    message[k.TYPE] = kind
    _check(message)
    try:
        return cbor.dumps(message)
    except cbor.CborError:
        raise DownError("cbor", None)


def decode(plain):
    """The map of one plaintext, every known key valid; unknown keys are kept and mean nothing."""
    try:
        message = cbor.loads(plain)
    except cbor.CborError:
        raise DownError("cbor", None)
    if not isinstance(message, dict):
        raise DownError("map", None)
    _check(message)
    return message
