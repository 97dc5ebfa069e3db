"""Over-the-air updates at the hub, under MicroPython."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers_micropython import run_micropython
from kanhu.install import release, signing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

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
        "none": [], "no_list": 7, "null": None, "twice": twice, "empty_row": [[]],
        "order": [["b", 6, digest], ["a", 0, digest]], "short_row": [["a.mpy", 6]],
        "long_row": [["a.mpy", 6, digest, 1]], "negative": [["a.mpy", -6, digest]],
        "huge": [["a.mpy", 2**63, digest]], "text_size": [["a.mpy", "6", digest]],
        "short": [["a.mpy", 5, digest]],
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


def test_the_power_cut_at_200_points(tmp_path: Path) -> None:
    """boot.py, program and flash are the hub's own; every cut ends in a whole hub that can be updated."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    for name, version in (("old", "1.0.0"), ("new", "2.0.0"), ("newer", "3.0.0")):
        files = {path: version.encode() + data[:700] for path, data in FILES.items()}
        (tmp_path / f"{name}.kfw").write_bytes(release.make_archive(files, key, version))
    boot = (ROOT / "firmware" / "boot.py").read_text("utf-8")
    assert boot.count('"/a", "/b", "/safe"') == 1
    here = boot.replace('"/a", "/b", "/safe"', '"/flash/a", "/flash/b", "/flash/safe"')
    (tmp_path / "boot.py").write_text(here, "utf-8")
    (tmp_path / "keys").write_bytes(signing.public_bytes(key))
    script = f"import update_cuts\nupdate_cuts.FOLDER = {str(tmp_path)!r}\nupdate_cuts.run()\n"
    out = run_micropython(script, heap="6m", paths=(HERE / "bodies", HERE / "fakes"), timeout_s=300)
    print(out)
    assert sum(map(int, re.findall(r"(\d+) times", out))) == 200
