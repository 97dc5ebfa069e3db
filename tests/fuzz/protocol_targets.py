"""Fuzz targets of what both sides speak: CBOR, frames, seals, events, down messages.

A target is a function of bytes. It raises when the decoder does anything but return or raise its own error,
and when what came out breaks a property that holds for every input."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

Run = Callable[[bytes], None]

HUB_ID = "7k3m9q2xwt"
KEY = bytes(range(0x40, 0x50))


def one_word(error: Exception) -> None:
    """A decoder says in one word what is wrong."""
    word = error.args[0]
    assert isinstance(word, str), error.args
    assert word, error.args
    assert " " not in word, error.args


def same(left: Any, right: Any) -> bool:
    """Equal in value and type: CBOR tells True from 1, Python's == does not."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def cbor() -> Run:
    """What is accepted is deterministic: encoding it again gives the same bytes, and cbor2 reads the same."""
    import cbor2

    from kanhu_protocol import cbor

    def run(data: bytes) -> None:
        try:
            value = cbor.loads(data)
        except cbor.CborError as error:
            one_word(error)
        else:
            assert cbor.dumps(value) == data
            assert same(cbor2.loads(data), value)
        try:
            items = cbor.split_sequence(data)
        except cbor.CborError as error:
            one_word(error)
        else:
            assert b"".join(items) == data
            assert all(items)

    return run


def frames() -> Run:
    """However the bytes arrive: the same frames, text and counters; then a clean frame gets through."""
    from kanhu_protocol import frame

    lasting = frame.Decoder(lambda text: None)
    size = len(lasting._buf)

    def feed(data: bytes, step: int) -> tuple[Any, ...]:
        text = bytearray()
        decoder = frame.Decoder(text.extend)
        found = []
        for start in range(0, len(data), step):
            found += decoder.feed(data[start : start + step])
        found += decoder.feed(frame.encode(frame.DOWN, b"clean"))
        assert found[-1] == (frame.DOWN, b"clean"), found
        return found, bytes(text), decoder.bad_crc, decoder.too_long, decoder.broken

    def run(data: bytes) -> None:
        step, raw = (data[0] & 0x3F) + 1 if data else 1, data[1:]
        if data and data[0] & 0x80:
            raw = frame.encode(data[0] & 3, raw[: frame.MAX_FRAME - 5])  # beyond the CRC
        assert feed(raw, len(raw) or 1) == feed(raw, step)
        lasting.feed(raw)
        assert lasting.feed(frame.encode(frame.UP, b"clean"))[-1] == (frame.UP, b"clean")
        assert len(lasting._buf) == size
        assert lasting._len <= size

    return run


def sealed() -> Run:
    """Both readers and both AES-CCM agree; a seal with one bit changed is refused."""
    import shim

    shim.install()
    from kanhu.aead import AesCcm
    from kanhu.sealed import Opener, split
    from kanhu_hub.ccm import Ccm
    from kanhu_protocol import seal

    host, hub = AesCcm(KEY), Ccm(KEY)
    opener = Opener(HUB_ID, {1: KEY})

    def opened(aead: Any, data: bytes, direction: int) -> bytes | str:
        try:
            longest = seal.MAX_DOWN if direction == seal.DOWN else seal.MAX_SEALED
            plain: bytes = seal.parse(data, longest).open(aead, HUB_ID, direction)
        except seal.SealError as error:
            one_word(error)
            return str(error.args[0])
        return plain

    def read(data: bytes) -> None:
        for direction in (seal.UP, seal.DOWN):
            assert opened(host, data, direction) == opened(hub, data, direction)
        messages, broken = split(data)
        assert b"".join(message.raw for message in messages) == data or broken
        for message in messages:
            plain: bytes | str
            try:
                plain = opener.open(message)
            except seal.SealError as error:
                plain = str(error.args[0])
            if plain == "unknown_key":
                assert message.generation != 1
            else:
                assert plain == opened(host, message.raw, seal.UP), plain

    def run(data: bytes) -> None:
        if len(data) < 6 or data[0] < 0x40:  # not an array: bytes 1..5 are numbers, the rest is to be sealed
            if len(data) < 6:
                read(data)
                return
            direction = seal.UP if data[0] & 1 else seal.DOWN
            numbers = 1 + data[1], data[2] << 8 | data[3], 0 if direction == seal.UP else data[4]
            try:
                raw = seal.seal(hub, 1, HUB_ID, direction, *numbers, data[6:])
            except seal.SealError as error:
                assert error.args[0] == "size"
                return
            assert raw == seal.seal(host, 1, HUB_ID, direction, *numbers, data[6:])
            assert opened(hub, raw, direction) == data[6:]
            read(raw)
            spoilt = bytearray(raw)
            place = data[5] * len(raw) // 256
            spoilt[place] ^= 1 << (data[0] >> 1 & 7)
            if place not in (7, 8):  # the kid only says which key to try
                assert isinstance(opened(host, bytes(spoilt), direction), str), place
            read(bytes(spoilt))
        else:
            read(data)

    return run


def events() -> Run:
    """The host's fast reader believes what the reference does, and every event can be told to the city."""
    from kanhu.journal.plain import believed
    from kanhu.uplink.cloudevents import to_json
    from kanhu_protocol import checks
    from kanhu_protocol import events as ev

    def run(data: bytes) -> None:
        try:
            event = ev.decode(data)
        except ev.EventError as error:
            one_word(error)
            try:
                believed(data)
            except ValueError:
                return
            raise AssertionError("believed, but not an event") from error
        bad = checks.check(event)
        good = {key: value for key, value in event.items() if key not in bad}
        fast = believed(data)
        assert same(fast, good), (fast, good)
        row = SimpleNamespace(n=1, hub_id=HUB_ID, boot=1, seq=2, daemon=False, event=event)
        for fields, left_out in ((event, bad), (good, ()), (event, ())):
            row.event = fields
            message = json.loads(
                to_json(row, home=None, region=None, moment=None, clockstatus="unknown", bad=left_out)
            )
            assert message["id"] == "1-2"

    return run


def down() -> Run:
    """What is taken can be said again in the same bytes; what is refused names a usable number or none."""
    from kanhu_protocol import down as dn
    from kanhu_protocol import kinds as k

    def run(data: bytes) -> None:
        try:
            message = dn.decode(data)
        except dn.DownError as error:
            one_word(error)
            number = error.args[1]
            assert number is None or (type(number) is int and 0 < number <= 0xFFFFFFFF)
            return
        fields = dict(message)
        assert dn.encode(fields.pop(k.TYPE), fields) == data or None in message.values()

    return run
