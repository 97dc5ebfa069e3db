"""The firmware of a release: run only when it is signed, and the same program as its sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.errors import KanhuError
from kanhu.install import release, signing
from kanhu.install.firmware import build_files
from kanhu.qa.incidents import programs
from kanhu.qa.incidents.form import Firmware


def test_a_release(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path = tmp_path / "application.kfw"
    path.write_bytes(release.make_archive(build_files(), key))
    found = programs.of_path(path, [signing.public_bytes(key)])
    own = programs.sources()
    assert (found.version, found.tree) == (own.version, own.tree)
    assert (found.folder / "kanhu_hub" / "app.mpy").exists()
    recorded = Firmware(version=found.version, slot=(1, 1), tree=found.tree, tree_from="archive")
    assert programs.choose(recorded, found, present=False) == (found, [])


def test_what_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "application.kfw"
    path.write_bytes(release.make_archive(build_files(), Ed25519PrivateKey.generate()))
    other = signing.public_bytes(Ed25519PrivateKey.generate())
    for trusted, said in (([], "say with --trust"), ([other], "not signed by a key that is trusted here")):
        with pytest.raises(KanhuError, match=said):
            programs.of_path(path, trusted)
    with pytest.raises(KanhuError, match="No such file"):
        programs.of_path(tmp_path / "not-there.kfw", [other])
    (tmp_path / "large.kfw").write_bytes(bytes(release.ARCHIVE_MAX + 1))
    with pytest.raises(KanhuError, match="too large"):
        programs.of_path(tmp_path / "large.kfw", [other])
