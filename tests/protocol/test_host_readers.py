"""The host's faster readers take exactly what kanhu_protocol takes, with the same meaning."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import helpers_portable_vectors as portable
from helpers_strategies import SCALARS, events, items
from kanhu.journal.plain import believed
from kanhu.sealed import Opener, split
from kanhu_protocol import cbor, checks, seal
from kanhu_protocol import events as ev

VECTORS = str(Path(__file__).resolve().parent.parent.parent / "protocol" / "vectors")
HUB_ID = "7k3m9q2xwt"
KEY = bytes(range(0x40, 0x50))


def reference(plain: bytes) -> dict[int, Any] | None:
    """What the contract says a host believes of a plaintext; None when it is unreadable."""
    try:
        event = ev.decode(plain)
    except ev.EventError:
        return None
    bad = checks.check(event)
    return {key: value for key, value in event.items() if key not in bad}


def fast(plain: bytes) -> dict[int, Any] | None:
    try:
        return believed(plain)
    except ValueError:
        return None


@pytest.mark.parametrize("name", ["events.json", "cbor.json", "cbor_malformed.json", "down.json"])
def test_plaintext_vectors(name: str) -> None:
    for v in portable.load(VECTORS, name):
        plain = bytes.fromhex(v["hex"])
        if len(plain) > seal.MAX_SEALED:
            continue  # no sealed message holds it
        assert portable.same(fast(plain), reference(plain)), v["name"]


@given(events(), st.data())
def test_plaintext_of_spoilt_events(event: dict[int, Any], data: st.DataObject) -> None:
    event[data.draw(st.sampled_from(sorted(event)))] = data.draw(st.one_of(SCALARS, items(2)))
    plain = bytearray(cbor.dumps(event))
    for _ in range(data.draw(st.integers(0, 2))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    raw = bytes(plain)[: data.draw(st.integers(0, len(plain)))] if data.draw(st.booleans()) else bytes(plain)
    assert portable.same(fast(raw), reference(raw))


def test_sealed_vectors() -> None:
    for v in portable.load(VECTORS, "sealed.json"):
        if v["direction"] != "up":
            continue
        raw = bytes.fromhex(v["hex"])
        generation = v.get("generation", 1)
        opener = Opener(v["hub_id"], {generation: bytes.fromhex(v["key"])})
        messages, broken = split(raw)
        if "error" not in v:
            assert not broken, v["name"]
            (message,) = messages
            assert [message.generation, message.boot, message.seq, 0] == [generation, *v["nonce"]], v["name"]
            assert message.raw == raw
            assert opener.open(message) == bytes.fromhex(v["plaintext"]), v["name"]
            continue
        opened = []
        for message in messages:
            try:
                opened.append(opener.open(message))
            except seal.SealError as error:
                opened.append(error.args[0])
        if v["name"] == "call twice":  # a sequence of two is just that
            assert len(opened) == 2
        elif v["name"] == "call, one byte more":
            assert opened[1:] == ["malformed"]
        else:
            assert broken or len(opened) != 1 or opened == [v["error"]] or v["error"] == "size", v["name"]
            assert not [found for found in opened if isinstance(found, bytes)], v["name"]
