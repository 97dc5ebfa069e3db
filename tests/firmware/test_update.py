"""Over-the-air updates at the hub, under MicroPython."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.install import release, signing

BODIES = ("update_cases",)
FILES = {
    "/a/kanhu_hub/app.mpy": bytes(range(256)) * 60,
    "/a/kanhu_hub/board/__init__.mpy": b"board" * 300,
    "/a/kanhu_hub/empty.mpy": b"",
    "/a/kanhu_protocol/down.mpy": b"down" * 1000,
}


def by_hand(
    key: Ed25519PrivateKey, manifest: Any, data: bytes = b"x = 1\n", raw: bytes | None = None
) -> bytes:
    """An archive whatever its manifest says."""
    plain = cbor2.dumps(manifest, canonical=True) if raw is None else raw
    signature = key.sign(signing.APPLICATION + hashlib.sha256(plain).digest())
    return release.MAGIC + len(plain).to_bytes(4, "big") + plain + signature + data


def malformed(key: Ed25519PrivateKey) -> dict[str, bytes]:
    """What no honest builder signs: each is refused whole."""
    data = b"x = 1\n"
    digest = hashlib.sha256(data).digest()
    good: dict[str, Any] = {
        "format": 1,
        "version": "9.0.0",
        "number": 9 << 20,
        "files": [["a.mpy", 6, digest]],
    }

    def with_path(path: Any) -> bytes:
        return by_hand(key, {**good, "files": [[path, 6, digest]]})

    paths = (
        *(
            "../main.py",
            "/main.py",
            "a/../../main.py",
            "a//b.mpy",
            "a/",
            "",
            ".",
            "..",
            "manifest",
            "manifest/a",
        ),
        *("manifest.tmp", "a\\b", "a b", "\0", "\u4e2d.mpy", "x" * 65, 7, None, b"a.mpy"),
    )
    found = {f"path_{n}": with_path(path) for n, path in enumerate(paths)}
    twice = [["a.mpy", 6, digest], ["a.mpy", 6, digest]]
    rows: dict[str, Any] = {
        "none": [], "no_list": 7, "null": None, "twice": twice, "order": [["b", 6, digest], ["a", 0, digest]],
        "short_row": [["a.mpy", 6]], "long_row": [["a.mpy", 6, digest, 1]], "negative": [["a.mpy", -6, digest]],
        "huge": [["a.mpy", 2**63, digest]], "text_size": [["a.mpy", "6", digest]], "short": [["a.mpy", 5, digest]],
        "digest": [["a.mpy", 6, bytes(32)]], "no_digest": [["a.mpy", 6, b""]], "row": ["a.mpy"],
        "clash": [["a", 6, digest], ["a/b", 0, hashlib.sha256(b"").digest()]],
    }  # fmt: skip
    found |= {name: by_hand(key, {**good, "files": files}) for name, files in rows.items()}
    found |= {
        "format": by_hand(key, {**good, "format": 2}),
        "number": by_hand(key, {**good, "number": (9 << 20) + 1}),
        "number_text": by_hand(key, {**good, "number": "9"}),
        "version": by_hand(key, {**good, "version": 9}),
        "lacking": by_hand(key, {"format": 1}),
        "list": by_hand(key, [1, 2, 3]),
        "text": by_hand(key, "manifest"),
        "no_cbor": by_hand(key, None, raw=b"\xff\xff\xff"),
        "empty": by_hand(key, None, raw=b""),
        "deep": by_hand(key, None, raw=b"\x81" * 2000 + b"\x80"),
        "long": by_hand(key, None, raw=b"\x00" * 20_000),
        "indefinite": by_hand(key, None, raw=b"\xbf" + cbor2.dumps(good, canonical=True)[1:] + b"\xff"),
    }
    return found


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A folder with archives that one key has signed, and the hub's trusted keys."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    (tmp_path / "new.kfw").write_bytes(release.make_archive(FILES, key, "9.0.0"))
    (tmp_path / "old.kfw").write_bytes(release.make_archive(FILES, key, "0.0.9"))
    (tmp_path / "stranger.kfw").write_bytes(release.make_archive(FILES, other, "9.0.0"))
    for name, data in malformed(key).items():
        (tmp_path / f"bad_{name}.kfw").write_bytes(data)
    (tmp_path / "keys").write_bytes(bytes(32) + signing.public_bytes(key))
    return tmp_path


def test_under_micropython(case: str, signed: Path, run_case) -> None:
    run_case(case)
