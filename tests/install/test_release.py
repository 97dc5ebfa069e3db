"""Application archives: what a signature covers, and what is refused even when it is right."""

from __future__ import annotations

import hashlib
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from helpers_firmware import public_key, test_key
from kanhu.install import release, signing
from kanhu.install.firmware import build_files
from kanhu.install.release import ReleaseError, make_archive, number, read_archive

FILES = {
    "/boot.py": b"import sys",
    "/a/kanhu_hub/app.mpy": b"app" * 100,
    "/a/kanhu_hub/__init__.mpy": b"",
    "/a/kanhu_protocol/cbor.mpy": b"cbor",
}


def archive(version: str = "1.2.3") -> bytes:
    return make_archive(FILES, test_key(), version)


def signed(plain: Any, contents: bytes = b"") -> bytes:
    """An archive with whatever manifest, rightly signed."""
    manifest = plain if isinstance(plain, bytes) else cbor2.dumps(plain, canonical=True)
    signature = test_key().sign(b"kanhu application 1\n" + hashlib.sha256(manifest).digest())
    return b"KFW1" + len(manifest).to_bytes(4, "big") + manifest + signature + contents


def row(path: str, data: bytes) -> list[Any]:
    return [path, len(data), hashlib.sha256(data).digest()]


def manifest(*rows: Any, **other: Any) -> dict[str, Any]:
    return {"format": 1, "version": "1.2.3", "number": number("1.2.3"), "files": list(rows)} | other


def test_layout_is_the_contract() -> None:
    """Read with nothing of ours: cbor2, hashlib, the public key."""
    data = archive()
    size = int.from_bytes(data[4:8], "big")
    plain = cbor2.loads(data[8 : 8 + size])
    assert data[:4] == b"KFW1"
    assert plain == manifest(
        row("kanhu_hub/__init__.mpy", b""),
        row("kanhu_hub/app.mpy", b"app" * 100),
        row("kanhu_protocol/cbor.mpy", b"cbor"),
    )
    assert data[8 : 8 + size] == cbor2.dumps(plain, canonical=True)
    assert data[8 + size + 64 :] == b"app" * 100 + b"cbor"
    signed_text = b"kanhu application 1\n" + hashlib.sha256(data[8 : 8 + size]).digest()
    test_key().public_key().verify(data[8 + size : 8 + size + 64], signed_text)
    assert signed(plain, b"app" * 100 + b"cbor") == data


def test_read_back() -> None:
    data = archive()
    found = read_archive(data, [bytes(32), public_key()])
    assert found.files == {path[3:]: content for path, content in FILES.items() if path != "/boot.py"}
    assert (found.version, found.number) == ("1.2.3", 1 << 20 | 2 << 10 | 3)
    assert (found.size, found.digest) == (len(data), hashlib.sha256(data).hexdigest())
    assert data.startswith(found.manifest)
    assert data[len(found.manifest) :] == b"app" * 100 + b"cbor"
    assert found.signer == public_key()


def test_the_real_application() -> None:
    files = build_files()
    data = make_archive(files, test_key())
    assert data == make_archive(dict(reversed(files.items())), test_key())  # whatever order
    found = read_archive(data, [public_key()])
    assert {"/a/" + path for path in found.files} == {path for path in files if path.startswith("/a/")}
    assert "kanhu_hub/app.mpy" in found.files
    assert len(found.manifest) < 8192  # a hub holds it in RAM


@given(st.data())
def test_one_flipped_bit_is_refused(data: st.DataObject) -> None:
    whole = archive()
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    broken = bytearray(whole)
    broken[place // 8] ^= 1 << place % 8
    with pytest.raises(ReleaseError):
        read_archive(bytes(broken), [public_key()])


def test_every_cut_is_refused() -> None:
    whole = archive()
    for end in range(len(whole)):
        with pytest.raises(ReleaseError):
            read_archive(whole[:end], [public_key()])
    with pytest.raises(ReleaseError, match="after its end"):
        read_archive(whole + b"\0", [public_key()])


@given(st.binary(max_size=400))
def test_noise_is_refused_with_a_sentence(noise: bytes) -> None:
    for data in (noise, b"KFW1" + noise, signed(noise), signed(noise, noise)):
        with pytest.raises(ReleaseError) as refused:
            read_archive(data, [public_key()])
        assert "\n" not in str(refused.value)


def test_unknown_key() -> None:
    other = signing.public_bytes(Ed25519PrivateKey.generate())
    for trusted in ([], [other], [b""]):
        with pytest.raises(ReleaseError, match="not signed by a key"):
            read_archive(archive(), trusted)


def test_a_bundle_signature_is_none_of_an_application() -> None:
    data = archive()
    size = int.from_bytes(data[4:8], "big")
    text = data[8 : 8 + size]
    wrong = signing.sign(test_key(), signing.BUNDLE, hashlib.sha256(text).digest())
    with pytest.raises(ReleaseError, match="not signed by a key"):
        read_archive(data[: 8 + size] + wrong + data[8 + size + 64 :], [public_key()])


def test_size_that_is_a_lie() -> None:
    for size in (0, 16_385, 2**31, 2**32 - 1):
        with pytest.raises(ReleaseError):
            read_archive(b"KFW1" + size.to_bytes(4, "big") + archive()[8:], [public_key()])
    with pytest.raises(ReleaseError, match="too large"):
        read_archive(archive() + bytes(release.ARCHIVE_MAX), [public_key()])


@pytest.mark.parametrize(
    "path",
    ["../boot.py", "a/../b", "/etc", "a//b", "", ".", "..", "a/", ".hidden", "a\\b", "a\0b", "é", "a b",
     "manifest", "manifest/x", "x" * 65],
)  # fmt: skip
def test_paths_that_leave_the_slot(path: str) -> None:
    with pytest.raises(ReleaseError):
        read_archive(signed(manifest(row(path, b""))), [public_key()])


@pytest.mark.parametrize(
    "plain",
    [
        manifest(),
        manifest(row("b", b""), row("a", b"")),
        manifest(row("a", b""), row("a", b"")),
        manifest(row("a", b""), row("a/b", b"")),
        manifest(["a", -1, bytes(32)]),
        manifest(["a", True, bytes(32)]),
        manifest(["a", 2**40, bytes(32)]),
        manifest(["a", 0, bytes(31)]),
        manifest(["a", 0]),
        manifest("a"),
        manifest(row("a", b""), format=2),
        manifest(row("a", b""), version="1.2.4"),
        manifest(row("a", b""), version="1.2.3-rc1"),
        manifest(row("a", b""), version=3),
        manifest(row("a", b""), number="1"),
        manifest(row("a", b""), more=1),
        manifest(row("a", b"")) | {"files": {}},
        [],
        {"format": 1},
        b"\x5f\xff",
    ],
)
def test_signed_nonsense(plain: Any) -> None:
    with pytest.raises(ReleaseError):
        read_archive(signed(plain), [public_key()])


def test_the_same_shape_without_nonsense_is_taken() -> None:
    assert read_archive(signed(manifest(row("a", b""))), [public_key()]).files == {"a": b""}


def test_changed_file_is_named() -> None:
    data = archive()[:-1] + b"x"
    with pytest.raises(ReleaseError, match=r"kanhu_protocol/cbor\.mpy"):
        read_archive(data, [public_key()])


@given(st.tuples(*[st.integers(0, 1023)] * 3), st.tuples(*[st.integers(0, 1023)] * 3))
def test_numbers_rise_with_versions(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = (".".join(map(str, parts)) for parts in (one, other))
    assert (number(first) < number(second)) == (one < other)
    assert release.version_of(number(first)) == first


@pytest.mark.parametrize(
    "version",
    ["1.2", "1.2.3.4", "1.2.3.dev1", "1.2.3-rc1", "1.2.1024", "1024.0.0", "01.2.3", "a.b.c", "", "1.2.3\n",
     "-1.2.3", "١.٢.٣", "9" * 5000],
)  # fmt: skip
def test_what_is_no_release(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"X\.Y\.Z"):
        number(version)


def test_only_forward() -> None:
    release.refuse_older(number("1.0.1"), number("1.0.0"))
    release.refuse_older(number("0.0.1"), None)
    with pytest.raises(ReleaseError, match=r"1\.0\.0 is older than 1\.0\.1"):
        release.refuse_older(number("1.0.0"), number("1.0.1"))
    with pytest.raises(ReleaseError, match=r"the same as"):
        release.refuse_older(number("1.0.0"), number("1.0.0"))


def test_what_cannot_be_made() -> None:
    with pytest.raises(ReleaseError, match="nothing below"):
        make_archive({"/boot.py": b""}, test_key(), "1.2.3")
    with pytest.raises(ReleaseError, match="too many"):
        make_archive({f"/a/{n:040}": b"" for n in range(300)}, test_key(), "1.2.3")
    with pytest.raises(ReleaseError, match="is no path"):
        make_archive({"/a/../x": b""}, test_key(), "1.2.3")
    with pytest.raises(ReleaseError, match="too large"):
        make_archive({"/a/x": bytes(release.ARCHIVE_MAX)}, test_key(), "1.2.3")
