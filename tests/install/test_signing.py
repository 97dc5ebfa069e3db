"""Signing keys: made once, never written over, read strictly."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers_firmware import public_key, test_key
from kanhu.install import signing
from kanhu.install.signing import SigningError

# RFC 8032, section 7.1, test 2.
RFC_SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
RFC_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
RFC_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def test_published_vector() -> None:
    key = Ed25519PrivateKey.from_private_bytes(RFC_SECRET)
    assert signing.public_bytes(key) == RFC_PUBLIC
    assert signing.sign(key, b"", b"\x72") == RFC_SIGNATURE
    assert signing.signer([RFC_PUBLIC], b"", b"\x72", RFC_SIGNATURE) == RFC_PUBLIC
    assert signing.signer([RFC_PUBLIC], b"", b"\x73", RFC_SIGNATURE) is None


def test_context_and_key_count() -> None:
    signature = signing.sign(test_key(), signing.BUNDLE, b"data")
    other = signing.public_bytes(Ed25519PrivateKey.generate())
    assert signing.signer([other, public_key()], signing.BUNDLE, b"data", signature) == public_key()
    assert signing.signer([public_key()], signing.APPLICATION, b"data", signature) is None
    assert signing.signer([other], signing.BUNDLE, b"data", signature) is None
    assert signing.signer([], signing.BUNDLE, b"data", signature) is None
    assert signing.signer([b"short", bytes(32)], signing.BUNDLE, b"data", b"") is None


def test_made_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "release.pem"
    public = signing.generate(path)
    half = signing.public_path(path)
    assert half.name == "release.pub.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing.public_bytes(signing.load_private(path)) == public == signing.load_public(half)
    assert b"PRIVATE" not in half.read_bytes()


@pytest.mark.parametrize("there", ["release.pem", "release.pub.pem"])
def test_a_key_is_never_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(SigningError, match="never written over"):
        signing.generate(tmp_path / "release.pem")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_private_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "release.pem"
    signing.generate(path)
    path.chmod(0o640)
    with pytest.raises(SigningError, match="chmod 600"):
        signing.load_private(path)


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    signing.generate(path)
    half = signing.public_path(path)
    with pytest.raises(SigningError, match=r"private key: give its .pub.pem"):
        signing.load_public(path)
    with pytest.raises(SigningError, match="no private key"):
        signing.load_private(half)
    with pytest.raises(SigningError, match="No such file"):
        signing.load_public(tmp_path / "none")
    with pytest.raises(SigningError, match="No such file"):
        signing.load_private(tmp_path / "none")
    for content in (b"", b"\xff\x00", b"-----BEGIN PUBLIC KEY-----\n"):
        half.write_bytes(content)
        with pytest.raises(SigningError, match="no public key"):
            signing.load_public(half)
        path.write_bytes(content)
        with pytest.raises(SigningError, match="no private key"):
            signing.load_private(path)


def test_keys_of_another_kind(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "key.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        curve.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    path.chmod(0o600)
    with pytest.raises(SigningError, match="not an Ed25519"):
        signing.load_private(path)
    half = tmp_path / "pub.pem"
    half.write_bytes(
        curve.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with pytest.raises(SigningError, match="not an Ed25519"):
        signing.load_public(half)
    path.write_bytes(
        test_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
    )
    with pytest.raises(SigningError, match="passphrase"):
        signing.load_private(path)
