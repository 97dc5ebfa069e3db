"""SHA-512 and Ed25519 of the hub: published vectors, a library as oracle, and what must be refused."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers_micropython import run_micropython

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
# RFC 8032 section 7.1: secret key, public key, message, signature.
RFC = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
)  # fmt: skip
SCRIPT = """
import asyncio, binascii, json, sys
from kanhu_hub.ed25519 import verify
from kanhu_hub.sha512 import sha512
async def pause():
    pauses[0] += 1
with open(sys.argv[1]) as file:
    asked = json.load(file)
for row in asked["sha512"]:
    print(binascii.hexlify(sha512(binascii.unhexlify(row))).decode())
for row in asked["verify"]:
    pauses = [0]
    print(asyncio.run(verify(*[binascii.unhexlify(part) for part in row], pause)), pauses[0])
"""


def ask(tmp_path: Path, digests: list[bytes], signed: list[tuple[bytes, bytes, bytes]]) -> list[str]:
    """Lines that the hub's own code prints."""
    asked = {
        "sha512": [one.hex() for one in digests],
        "verify": [[part.hex() for part in row] for row in signed],
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    return run_micropython(SCRIPT, tmp_path / "asked.json", heap="256k").splitlines()


def test_sha512(tmp_path: Path) -> None:
    chance = random.Random(7)
    data = [
        b"abc",
        *(chance.randbytes(size) for size in (0, 1, 55, 111, 112, 119, 120, 127, 128, 129, 240, 300)),
    ]
    assert ask(tmp_path, data, []) == [hashlib.sha512(one).hexdigest() for one in data]


def test_good_signatures(tmp_path: Path) -> None:
    rows = []
    for secret, public, message, signature in RFC:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
        assert key.public_key().public_bytes_raw().hex() == public
        assert key.sign(bytes.fromhex(message)).hex() == signature
        rows.append((bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)))
    chance = random.Random(8)
    for size in (20, 52, 100):
        key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        message = chance.randbytes(size)
        rows.append((key.public_key().public_bytes_raw(), message, key.sign(message)))
    for line in ask(tmp_path, [], rows):
        good, pauses = line.split()
        assert good == "True"
        assert int(pauses) > 60  # in slices: the hub's other tasks have their turn


def test_bad_signatures(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public, message = key.public_key().public_bytes_raw(), b"a release"
    signature = key.sign(message)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")

    def le(number: int) -> bytes:
        return number.to_bytes(32, "little")

    # Points of small order, by their y (order 8 twice), and encodings that are not the one of any point.
    small = [le(1), le(P - 1), le(0), le(1 << 255), le(1 | 1 << 255)]
    small += [bytes.fromhex(one) for one in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )]  # fmt: skip
    not_canonical = [le(P), le(P + 1), le(P + 3), le((1 << 255) - 1), b"\xff" * 32]
    off_curve = [le(2), le(7)]
    bad = [
        (public, message + b"x", signature),
        (public, message, r + le(s ^ 1)),
        (public, message, r + le(s + L)),
    ]
    bad += [
        (public, message, r + le(s | 1 << 255)),
        (public, message, signature[:-1]),
        (public[:-1], message, signature),
    ]
    bad += [(public, message, b""), (b"", message, signature), (public, message, bytes(64))]
    for one in (*small, *not_canonical, *off_curve):
        bad.append((one, message, signature))
        bad.append((public, message, one + signature[32:]))
        # A key of small order would sign anything: R the identity, S nothing.
        bad += [(one, bytes([n]), le(1) + le(0)) for n in range(2)]
    for bit in range(0, 512, 23):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        bad.append((public, message, bytes(flipped)))
    lines = ask(tmp_path, [], bad)
    assert len(lines) == len(bad)
    assert {line.split()[0] for line in lines} == {"False"}
