"""Down messages: receipts and commands from the host to the hub, checked the same way on both sides."""

from . import cbor
from . import kinds as k

MAX_UTC_MS = 253402300799999  # 9999-12-31: what RFC 3339 can say


class DownError(ValueError):
    """args: one word (cbor, map, type, missing or range), and the command's number where it was readable."""


def _is(value, kind, low, high):
    return type(value) is kind and low <= (value if kind is int else len(value)) <= high


def _u32s(value, count):
    # [boot, ...] of at least so many numbers.
    return isinstance(value, list) and len(value) >= count and value[0] and all(_is(n, *_U32) for n in value)


def _name(value):
    return _u32s(value, 2) and len(value) == 2


def _single(value):
    return _u32s(value, 2)


def _range(value):
    return _u32s(value, 3) and len(value) == 3 and value[1] <= value[2]


def _some(value, check):
    return isinstance(value, list) and value and all(check(item) for item in value)


def _entry(value):
    return (
        isinstance(value, list)
        and 4 <= len(value) <= 5
        and _is(value[0], *_U8)
        and _is(value[1], *_U8)
        and (_is(value[2], bytes, 1, 1) or _is(value[2], bytes, 6, 6))
        and _is(value[3], *_U32)
        and all(_is(key, bytes, 16, 16) for key in value[4:])
    )


def _table(value):
    return value == [] or (_some(value, _entry) and len({entry[0] for entry in value}) == len(value))


_U8 = (int, 1, 255)
_U32 = (int, 0, 0xFFFFFFFF)
_NUMBER = (int, 1, 0xFFFFFFFF)
_10_MIN = (int, 0, 600000)
# What a key holds: (type, least, most) of its number or length, or a check.
_CHECKS = {
    k.UPTO: lambda value: _some(value, _name),
    k.SINGLE: lambda value: _some(value, _single),
    k.NUMBER: _NUMBER,
    k.ALARM_NAME: _name,
    k.ALARM_STATE: lambda value: _is(value, int, k.OPEN, k.CLOSED) and value not in (2, 3),
    k.TIME_MS: (int, 0, MAX_UTC_MS),
    k.RANGES: lambda value: _some(value, _range),
    k.VERSION_OF: _U32,
    k.TABLE: _table,
    k.ASK_MS: (int, 1000, 3600000),
    k.ASK_KIND: _U8,
    k.PAIR_MS: _10_MIN,
    k.ZONE_S: (int, -86400, 86400),
    k.PROVE: _U8,
    k.RELEASE: (str, 1, 16),
    k.RELEASE_SIZE: _U32,
    k.RELEASE_DIGEST: (bytes, 32, 32),
    k.CHUNK_OFFSET: _U32,
    k.CHUNK_DATA: (bytes, 1, 900),
    k.SURVEY_MS: _10_MIN,
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
    if not _is(number, *_NUMBER):
        number = None
    kind = message.get(k.TYPE)
    if type(kind) is not int or kind not in _NEEDS:
        raise DownError("type", number)
    for key, check in _CHECKS.items():
        if key in message:
            value = message[key]
            if not (_is(value, *check) if isinstance(check, tuple) else check(value)):  # type: ignore[operator]
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
