"""The host's fast readers say exactly what kanhu_protocol says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_intake import HubVoice
from kanhu.aead import AesCcm
from kanhu.journal.plain import believed
from kanhu.sealed import Opener, split
from kanhu_protocol import cbor, events, seal
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import VALID, check

scalar = st.one_of(
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 300),
    st.binary(max_size=8),
    st.text(max_size=6),
    st.booleans(),
    st.none(),
)
value = st.one_of(
    scalar, st.lists(scalar, max_size=4), st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3)
)
plaintext_map = st.dictionaries(st.one_of(st.integers(0, 40), st.integers(-2, 300)), value, max_size=10)
likely_map = st.fixed_dictionaries({k.KIND: st.integers(1, 255), k.UP_MS: st.integers(0, 2**40)}).flatmap(
    lambda base: plaintext_map.map(lambda rest: {**rest, **base})
)


def by_protocol(plain: bytes) -> dict[int, object] | None:
    try:
        fields = events.decode(plain)
    except ValueError:
        return None
    for key in check(fields):
        fields.pop(key, None)
    return fields


def by_host(plain: bytes) -> dict[int, object] | None:
    try:
        return believed(plain)
    except ValueError:
        return None


@given(st.one_of(likely_map, plaintext_map))
def test_plaintext_of_any_map(fields: dict[int, object]) -> None:
    try:
        plain = cbor.dumps(fields)
    except cbor.CborError:
        return
    assert by_host(plain) == by_protocol(plain)


@given(likely_map, st.integers(0, 2**32))
def test_plaintext_with_flipped_bytes(fields: dict[int, object], seed: int) -> None:
    rng = random.Random(seed)
    plain = bytearray(cbor.dumps(fields))
    for _ in range(rng.randrange(1, 4)):
        plain[rng.randrange(len(plain))] = rng.randrange(256)
    changed = bytes(plain[: rng.choice([len(plain), rng.randrange(len(plain) + 1)])])
    assert by_host(changed) == by_protocol(changed)


@given(st.binary(max_size=40))
def test_any_bytes_as_plaintext(plain: bytes) -> None:
    assert by_host(plain) == by_protocol(plain)


def test_believed_drops_only_what_cannot_be_right() -> None:
    plain = cbor.dumps({k.KIND: k.MOTION, k.UP_MS: 5, k.DEVICE: 300, k.BATTERY: 90, k.CLOCK: 1, 999: [1]})
    assert believed(plain) == {k.KIND: k.MOTION, k.UP_MS: 5, k.BATTERY: 90, 999: [1]}
    assert k.DEVICE in VALID


def open_by_protocol(raw: bytes, hub: HubVoice) -> tuple[int, int, int, bytes] | str:
    try:
        parsed = seal.parse(raw)
        if parsed.c:
            return "malformed"
        if parsed.generation != hub.generation:
            return "unknown_key"
        plain = parsed.open(AesCcm(hub.key), hub.hub_id, seal.UP)
    except seal.SealError as error:
        return str(error.args[0])
    return parsed.generation, parsed.a, parsed.b, plain


def open_by_host(raw: bytes, hub: HubVoice) -> tuple[int, int, int, bytes] | str:
    messages, broken = split(raw)
    if broken or len(messages) != 1:
        return "malformed"
    (message,) = messages
    try:
        plain = Opener(hub.hub_id, {hub.generation: hub.key}).open(message)
    except seal.SealError as error:
        return str(error.args[0])
    assert message.raw == raw
    return message.generation, message.boot, message.seq, plain


@given(
    st.integers(1, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 255, 256, 65535]),
    st.binary(max_size=300),
)
def test_sealed_messages_open_the_same(boot: int, seq: int, generation: int, plain: bytes) -> None:
    hub = HubVoice(generation=generation)
    raw = hub.sealed(plain, boot, seq)
    assert open_by_host(raw, hub) == open_by_protocol(raw, hub) == (generation, boot, seq, plain)


@given(st.integers(0, 2**32), st.integers(0, 80))
def test_changed_messages_are_refused_the_same(seed: int, size: int) -> None:
    rng = random.Random(seed)
    hub = HubVoice()
    raw = bytearray(
        hub.sealed(bytes(size), rng.choice([1, 255, 70_000, 2**32 - 1]), rng.choice([0, 9, 70_000]))
    )
    for _ in range(rng.randrange(1, 3)):
        if rng.random() < 0.3:
            del raw[rng.randrange(len(raw))]
        else:
            place = rng.randrange(min(len(raw), 24)) if rng.random() < 0.8 else rng.randrange(len(raw))
            raw[place] ^= 1 << rng.randrange(8)
    changed = bytes(raw)
    try:
        whole = len(cbor.split_sequence(changed)) == 1
    except cbor.CborError:
        whole = False
    if whole:
        assert open_by_host(changed, hub) == open_by_protocol(changed, hub)
    else:
        split(changed)  # and it does not raise


def test_a_nonce_with_a_counter_is_no_event() -> None:
    hub = HubVoice()
    raw = hub.say(k.MOTION)
    place = raw.index(b"\x06\x49") + 10  # the last byte of the partial IV
    assert raw[place] == 0
    raw = raw[:place] + b"\x03" + raw[place + 1 :]
    assert open_by_host(raw, hub) == "malformed"


@pytest.mark.parametrize("cut", [1, 7, 20])
def test_the_good_prefix_of_a_sequence_is_kept(cut: int) -> None:
    hub = HubVoice()
    first, second = hub.say(k.MOTION), hub.say(k.MOTION)
    messages, broken = split(first + second + hub.say(k.MOTION)[:-cut])
    assert [message.raw for message in messages] == [first, second]
    assert broken
    assert split(b"") == ([], True)
