"""A record of a bulk segment: length(2) CRC-32(4) class(1) boot(4) seq(4) sealed, all big-endian."""

import struct
from binascii import crc32

from micropython import const

_HEAD = const(15)
MAX_RECORD = 15 + 512  # kanhu_protocol.seal.MAX_SEALED


def pack(cls, boot, seq, sealed):
    """Bytes of one record."""
    body = struct.pack(">BII", cls, boot, seq) + sealed
    return struct.pack(">HI", len(sealed), crc32(body)) + body


def unpack(view, pos, end):
    """(class, boot, seq, sealed, next position) of the record at pos; None when torn or corrupt."""
    if pos + _HEAD > end:
        return None
    length, crc, cls, boot, seq = struct.unpack_from(">HIBII", view, pos)
    after = pos + _HEAD + length
    if after > end or not 0 < cls < 6 or crc32(view[pos + 6 : after]) != crc:
        return None
    return cls, boot, seq, bytes(view[pos + _HEAD : after]), after


def salvage(view, end):
    """Every whole record in view[:end] as (position, record); what lies between them is skipped."""
    pos = 0
    while pos + _HEAD <= end:
        record = unpack(view, pos, end)
        if record:
            yield pos, record
            pos = record[4]
        else:
            pos += 1
