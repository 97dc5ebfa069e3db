"""Decoders with a fault each: nested conditions that random bytes do not meet, memory kept between inputs,
and an allocation that the input's own number asks for."""

from __future__ import annotations

kept: list[bytes] = []


def crash(data: bytes) -> int:
    # 2^-40 for random bytes; a search that sees which lines were reached goes byte by byte.
    if len(data) > 4 and data[0] == 0x4B:
        value = 1
        if data[1] == 0x61:
            value += 1
            if data[2] == 0x6E:
                value += 1
                if data[3] == 0x68:
                    value += 1
                    if data[4] == 0x75:
                        return data[99999]
        return value
    return 0


def keep(data: bytes) -> None:
    kept.append(data + bytes(256))


def grow(data: bytes) -> bytearray:
    return bytearray(data[0] << 16) if data else bytearray()
