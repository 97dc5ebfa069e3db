"""Down messages: receipts and commands from the host to the hub, checked the same way on both sides."""

from . import cbor
from . import kinds as k

MAX_UTC_MS = 253402300799999  # 9999-12-31: what RFC 3339 can say


class DownError(ValueError):
    """args: one word (cbor, map, type, missing or range), and the command's number where it was readable."""


def _int(value, low, high):
    return type(value) is int and low <= value <= high


def _u32(value, low=0):
    return _int(value, low, 0xFFFFFFFF)


def _all(value, check):
    return isinstance(value, list) and all(check(item) for item in value)


def _name(value):
    return _all(value, _u32) and len(value) == 2 and value[0] > 0


def _single(value):
    return _all(value, _u32) and len(value) > 1 and value[0] > 0


def _range(value):
    return _all(value, _u32) and len(value) == 3 and value[0] > 0 and value[1] <= value[2]


def _entry(value):
    if not isinstance(value, list) or not 4 <= len(value) <= 5:
        return False
    index, role, address, supervision_s = value[:4]
    for key in value[4:]:
        if not _bytes(key, 16, 16):
            return False
    return (
        _int(index, 1, 255)
        and _int(role, 1, 255)
        and (_bytes(address, 1, 1) or _bytes(address, 6, 6))
        and _u32(supervision_s)
    )


def _bytes(value, low, high):
    return isinstance(value, bytes) and low <= len(value) <= high


def _up_to_10_min(value):
    return _int(value, 0, 600000)


def _table(value):
    return _all(value, _entry) and len({entry[0] for entry in value}) == len(value)


_CHECKS = {
    k.UPTO: lambda value: _all(value, _name) and value,
    k.SINGLE: lambda value: _all(value, _single) and value,
    k.NUMBER: lambda value: _u32(value, 1),
    k.ALARM_NAME: _name,
    k.ALARM_STATE: lambda value: _int(value, k.OPEN, k.CLOSED) and value not in (2, 3),
    k.TIME_MS: lambda value: _int(value, 0, MAX_UTC_MS),
    k.RANGES: lambda value: _all(value, _range) and value,
    k.VERSION_OF: _u32,
    k.TABLE: _table,
    k.ASK_MS: lambda value: _int(value, 1000, 3600000),
    k.ASK_KIND: lambda value: _int(value, 1, 255),
    k.PAIR_MS: _up_to_10_min,
    k.ZONE_S: lambda value: _int(value, -86400, 86400),
    k.PROVE: lambda value: _int(value, 1, 255),
    k.RELEASE: lambda value: isinstance(value, str) and 0 < len(value) <= 16,
    k.RELEASE_SIZE: _u32,
    k.RELEASE_DIGEST: lambda value: _bytes(value, 32, 32),
    k.CHUNK_OFFSET: _u32,
    k.CHUNK_DATA: lambda value: _bytes(value, 1, 900),
    k.SURVEY_MS: _up_to_10_min,
}
_NEEDS = {
    k.STORED: (),
    k.DELIVERED: (),
    k.ALARM_IS: (k.NUMBER, k.ALARM_NAME, k.ALARM_STATE),
    k.TIME: (k.NUMBER, k.TIME_MS),
    k.REQUEST_MISSING: (k.NUMBER, k.RANGES),
    k.PING: (k.NUMBER,),
    k.DEVICES: (k.NUMBER, k.VERSION_OF, k.TABLE),
    k.ASK: (k.NUMBER, k.ALARM_NAME, k.ASK_MS, k.ASK_KIND),
    k.PAIR: (k.NUMBER, k.PAIR_MS),
    k.UPDATE: (k.NUMBER, k.RELEASE, k.RELEASE_SIZE, k.RELEASE_DIGEST),
    k.CHUNK: (k.CHUNK_OFFSET, k.CHUNK_DATA),
    k.SURVEY_FOR: (k.NUMBER, k.SURVEY_MS),
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
