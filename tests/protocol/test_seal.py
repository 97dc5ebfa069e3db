"""seal against pycose, both ways, with Partial IV, kid and external AAD."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import AESCCM1664128
from pycose.headers import IV, KID, Algorithm, PartialIV
from pycose.keys import SymmetricKey
from pycose.messages import Enc0Message

from helpers_micropython import run_micropython
from helpers_strategies import HUB_ID, POSITIVE, U32
from kanhu.aead import AesCcm
from kanhu_protocol import cbor, seal

KEY = st.binary(min_size=16, max_size=16)
GENERATION = st.integers(1, 65535)
WAY = st.one_of(
    st.tuples(st.just(seal.UP), POSITIVE, U32, st.just(0)), st.tuples(st.just(seal.DOWN), POSITIVE, U32, U32)
)
PLAIN = st.binary(max_size=200)


def nonce(way: tuple[int, int, int, int]) -> bytes:
    return bytes(way[:1]) + b"".join(part.to_bytes(4, "big") for part in way[1:])


def kid(generation: int) -> bytes:
    return generation.to_bytes(1 if generation < 256 else 2, "big")


@given(KEY, GENERATION, HUB_ID, WAY, PLAIN)
def test_pycose_opens_what_we_seal(key: bytes, generation: int, hub_id: str, way: Any, plain: bytes) -> None:
    protected, unprotected, _ = message = cbor.loads(
        seal.seal(AesCcm(key), generation, hub_id, *way, plain), seal.MAX_SEALED
    )
    full = nonce(way)
    assert unprotected[4] == kid(generation)
    assert unprotected[6] == full[1:].lstrip(b"\0")
    # pycose takes the full nonce in IV where it has no context IV: hand it the two combined (RFC 9052, 3.1).
    opened = Enc0Message.from_cose_obj([protected, {4: unprotected[4], 5: full}, message[2]], True)
    assert opened.phdr == {Algorithm: AESCCM1664128}
    assert opened.uhdr[KID] == kid(generation)
    opened.external_aad = hub_id.encode()
    opened.key = SymmetricKey(key)
    assert opened.decrypt() == plain


@given(KEY, GENERATION, HUB_ID, WAY, PLAIN)
def test_we_open_what_pycose_seals(key: bytes, generation: int, hub_id: str, way: Any, plain: bytes) -> None:
    full = nonce(way)
    message = Enc0Message(phdr={Algorithm: AESCCM1664128}, uhdr={IV: full}, payload=plain)
    message.external_aad = hub_id.encode()
    message.key = SymmetricKey(key)
    ciphertext = message.encrypt()
    sent = Enc0Message(
        phdr={Algorithm: AESCCM1664128}, uhdr={KID: kid(generation), PartialIV: full[1:].lstrip(b"\0")}
    )
    raw = cbor.dumps([sent.phdr_encoded, {4: kid(generation), 6: full[1:].lstrip(b"\0")}, ciphertext])
    sealed = seal.parse(raw)
    assert (sealed.generation, sealed.a, sealed.b, sealed.c) == (generation, *way[1:])
    assert sealed.open(AesCcm(key), hub_id, way[0]) == plain
    assert raw == seal.seal(AesCcm(key), generation, hub_id, *way, plain)


@given(KEY, HUB_ID, WAY, PLAIN, st.data())
def test_any_change_is_refused_or_another_key(
    key: bytes, hub_id: str, way: Any, plain: bytes, data: st.DataObject
) -> None:
    raw = bytearray(seal.seal(AesCcm(key), 1, hub_id, *way, plain))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    if bytes(raw) == seal.seal(AesCcm(key), 1, hub_id, *way, plain):
        return
    try:
        sealed = seal.parse(raw)
        if sealed.generation == 1:
            sealed.open(AesCcm(key), hub_id, way[0])
            pytest.fail("a changed message was opened")
    except seal.SealError:
        pass


@given(KEY, HUB_ID, WAY, PLAIN)
def test_only_this_way_hub_and_key(key: bytes, hub_id: str, way: Any, plain: bytes) -> None:
    sealed = seal.parse(seal.seal(AesCcm(key), 1, hub_id, *way, plain))
    other = "0" * 10 if hub_id != "0" * 10 else "1" * 10
    for aead, hub, direction in (
        (AesCcm(key), other, way[0]),
        (AesCcm(bytes(b ^ 1 for b in key)), hub_id, way[0]),
        (AesCcm(key), hub_id, 3 - way[0]),
    ):
        with pytest.raises(seal.SealError, match=r"forged|malformed"):
            sealed.open(aead, hub, direction)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"a": 0}, "range"),
        ({"a": 2**32}, "range"),
        ({"b": -1}, "range"),
        ({"b": 2**32}, "range"),
        ({"c": 1}, "range"),
        ({"direction": 0}, "range"),
        ({"direction": 3}, "range"),
        ({"generation": 0}, "range"),
        ({"generation": 65536}, "range"),
        ({"suite": 11}, "suite"),
        ({"plaintext": bytes(490)}, "size"),
        ({"plaintext": bytes(5000)}, "size"),
    ],
)
def test_what_it_will_not_seal(change: dict[str, Any], word: str) -> None:
    way = {
        "generation": 1,
        "hub_id": "7k3m9q2xwt",
        "direction": seal.UP,
        "a": 1,
        "b": 0,
        "c": 0,
        "plaintext": b"",
    }
    assert seal.seal(AesCcm(bytes(16)), **way)
    with pytest.raises(seal.SealError) as found:
        seal.seal(AesCcm(bytes(16)), **{**way, **change})
    assert found.value.args == (word,)


def test_ccm_of_the_hub_agrees_with_cryptography(tmp_path: Path) -> None:
    rng = random.Random(20260102)
    cases = []
    for number in range(400):
        key, nonce = rng.randbytes(16), rng.randbytes(13)
        aad = rng.randbytes(rng.choice([0, 1, 13, 14, 15, 25, 30, 31, 200]))
        plain = rng.randbytes(rng.randint(0, 70) if number % 10 else rng.randint(400, 1100))
        raw = AesCcm(key).seal(nonce, plain, aad)
        spoilt = bytearray(raw)
        spoilt[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        cases.append(" ".join(part.hex() or "-" for part in (key, nonce, aad, plain, raw, bytes(spoilt))))
    file = tmp_path / "cases"
    file.write_text("\n".join(cases) + "\n", encoding="ascii")
    script = """
import sys
from binascii import unhexlify
from kanhu_hub.ccm import Ccm
done = 0
with open(sys.argv[1]) as file:
    for line in file:
        parts = [b"" if part == "-" else unhexlify(part) for part in line.split()]
        key, nonce, aad, plain, raw, spoilt = parts
        ccm = Ccm(key)
        for _ in range(2):  # the key is kept between messages
            assert ccm.seal(nonce, plain, aad) == raw
            assert ccm.open(nonce, memoryview(raw), bytearray(aad)) == plain
        try:
            ccm.open(nonce, spoilt, aad)
            raise AssertionError("opened")
        except ValueError:
            done += 1
for size in (0, 15, 17, 24, 32):
    try:
        Ccm(bytes(size))
        raise AssertionError("key")
    except ValueError:
        done += 1
print(done)
"""
    assert run_micropython(script, file, heap="256k") == f"{len(cases) + 5}\n"


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_key_has_16_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        AesCcm(bytes(size))
