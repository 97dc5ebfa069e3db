"""Deterministic CBOR (RFC 8949 section 4.2.1), the subset Kanhu speaks: integers of 64 bits, byte and
text strings, arrays, maps with integer or text keys, false, true, null. Everything else is refused."""

MAX_SIZE = 1024  # bytes of one item; a serial frame's limit, see frame.MAX_FRAME
MAX_DEPTH = 6  # nested arrays and maps


class CborError(ValueError):
    """args[0] is one word: truncated, trailing, reserved, indefinite, not-shortest, order, duplicate,
    utf8, depth, size, type, break or range."""


def _head(out, major, value):
    major <<= 5
    if value < 24:
        out.append(major | value)
        return
    major |= 24
    size = 1
    while value >> (size << 3):
        size <<= 1
        major += 1
    if size > 8:
        raise CborError("range")
    out.append(major)
    out.extend(value.to_bytes(size, "big"))


def _encode(out, obj, depth):
    if obj is None:
        out.append(0xF6)
    elif obj is True:
        out.append(0xF5)
    elif obj is False:
        out.append(0xF4)
    elif isinstance(obj, int):
        if obj >= 0:
            _head(out, 0, obj)
        else:
            _head(out, 1, -1 - obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        raw = bytes(obj)
        _head(out, 2, len(raw))
        out.extend(raw)
    elif isinstance(obj, str):
        try:
            raw = obj.encode()
        except ValueError:
            raise CborError("utf8")
        _utf8(raw)
        _head(out, 3, len(raw))
        out.extend(raw)
    elif depth <= 0:
        raise CborError("depth")
    elif isinstance(obj, (list, tuple)):
        _head(out, 4, len(obj))
        for item in obj:
            _encode(out, item, depth - 1)
    elif isinstance(obj, dict):
        keys = []
        for key in obj:
            if key is True or key is False or not isinstance(key, (int, str)):
                raise CborError("type")
            coded = bytearray()
            _encode(coded, key, 0)
            keys.append((bytes(coded), key))
        keys.sort()
        _head(out, 5, len(keys))
        for raw, key in keys:
            out.extend(raw)
            _encode(out, obj[key], depth - 1)
    else:
        raise CborError("type")


def dumps(obj, max_size=MAX_SIZE, max_depth=MAX_DEPTH):
    """Encode one item to bytes, at most max_size of them; CborError when it is outside the subset."""
    out = bytearray()
    _encode(out, obj, max_depth)
    if len(out) > max_size:
        raise CborError("size")
    return bytes(out)


def _utf8(raw):
    # MicroPython's own check lets overlong forms and surrogates through (RFC 3629 section 3).
    pos, end = 0, len(raw)
    while pos < end:
        lead = raw[pos]
        pos += 1
        if lead < 0x80:
            continue
        if 0xC2 <= lead < 0xE0:
            more, low, high = 1, 0x80, 0xBF
        elif 0xE0 <= lead < 0xF0:
            more, low, high = 2, 0xA0 if lead == 0xE0 else 0x80, 0x9F if lead == 0xED else 0xBF
        elif 0xF0 <= lead < 0xF5:
            more, low, high = 3, 0x90 if lead == 0xF0 else 0x80, 0x8F if lead == 0xF4 else 0xBF
        else:
            raise CborError("utf8")
        if pos + more > end or not low <= raw[pos] <= high:
            raise CborError("utf8")
        for index in range(pos + 1, pos + more):
            if raw[index] & 0xC0 != 0x80:
                raise CborError("utf8")
        pos += more
    return str(raw, "utf-8")


def decode_at(data, pos, depth=MAX_DEPTH):
    """Decode the item that starts at data[pos]; returns (value, position after it)."""
    end = len(data)
    if pos >= end:
        raise CborError("truncated")
    major, value = data[pos] >> 5, data[pos] & 31
    pos += 1
    if major == 7:
        if value == 20:
            return False, pos
        if value == 21:
            return True, pos
        if value == 22:
            return None, pos
        if value == 31:
            raise CborError("break")
        if value > 27:
            raise CborError("reserved")
        if value >= 24 and pos + (1 << (value - 24)) > end:
            raise CborError("truncated")
        if value == 24 and data[pos] < 32:
            raise CborError("reserved")
        raise CborError("type")
    if value > 23:
        if value == 31:
            raise CborError("indefinite" if 2 <= major <= 5 else "reserved")
        if value > 27:
            raise CborError("reserved")
        size = 1 << (value - 24)
        if pos + size > end:
            raise CborError("truncated")
        value = int.from_bytes(data[pos : pos + size], "big")
        if value < 24 or (size > 1 and not value >> (size << 2)):
            raise CborError("not-shortest")
        pos += size
    if major == 0:
        return value, pos
    if major == 1:
        return -1 - value, pos
    if major == 6:
        if pos >= end:
            raise CborError("truncated")
        raise CborError("type")
    # Every element takes at least one byte, so a length beyond the data is refused before any allocation.
    if value > end - pos:
        raise CborError("truncated")
    if major < 4:
        raw = bytes(data[pos : pos + value])
        return (raw if major == 2 else _utf8(raw)), pos + value
    if depth <= 0:
        raise CborError("depth")
    if major == 4:
        items = []
        for _ in range(value):
            item, pos = decode_at(data, pos, depth - 1)
            items.append(item)
        return items, pos
    result = {}
    last = b""
    for _ in range(value):
        start = pos
        if pos < end and data[pos] >> 5 in (2, 4, 5):
            raise CborError("type")
        key, pos = decode_at(data, pos, 0)
        if key is None or key is True or key is False:
            raise CborError("type")
        raw = bytes(data[start:pos])
        if raw <= last:
            raise CborError("duplicate" if raw == last else "order")
        last = raw
        result[key], pos = decode_at(data, pos, depth - 1)
    return result, pos


def loads(data, max_size=MAX_SIZE, max_depth=MAX_DEPTH):
    """Decode exactly one item; CborError when it is malformed, not deterministic or outside the subset."""
    if len(data) > max_size:
        raise CborError("size")
    value, pos = decode_at(data, 0, max_depth)
    if pos != len(data):
        raise CborError("trailing")
    return value


def split_sequence(data, max_items=64, max_depth=MAX_DEPTH, max_size=MAX_SIZE):
    """Split a CBOR sequence (RFC 8742) into the bytes of each item; the whole is refused if one is bad."""
    if len(data) > max_size:
        raise CborError("size")
    items = []
    pos = 0
    while pos < len(data):
        if len(items) >= max_items:
            raise CborError("size")
        start = pos
        _, pos = decode_at(data, pos, max_depth)
        items.append(bytes(data[start:pos]))
    return items
