"""Which firmware an incident ran, and the same one to be run again: sources, an archive, or a bundle."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kanhu.install import bundle, release
from kanhu.install.firmware import build_files, source_version
from kanhu.qa.incidents.form import Firmware, IncidentError


class Program(NamedTuple):
    """A firmware that can be run: its version, the digest of its compiled files, where they lie."""

    version: str
    tree: str
    folder: Path
    origin: str  # in words


def tree(files: Mapping[str, bytes]) -> str:
    """Digest of an application's files by path: the same for sources, archive and bundle of one release."""
    lines = [f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def sources() -> Program:
    """The firmware of this checkout or installation; BuildError."""
    return _unpack(source_version(), release.application(build_files()), "the sources of this kanhu")


def of_path(path: Path, trusted: Sequence[bytes]) -> Program:
    """The firmware in a release's archive, a bundle (both signed by a trusted key) or a folder of sources."""
    if (path / "kanhu_hub").is_dir():
        made = build_files(path)
        return _unpack(source_version(path), release.application(made), f"the sources in {path.name}")
    if not trusted:
        raise IncidentError(f"{path} will be run: say with --trust KEY.pub.pem who must have signed it")
    if path.is_dir():
        path = bundle.load(path, trusted).application
    try:
        if path.stat().st_size > release.ARCHIVE_MAX:
            raise IncidentError(f"{path} is too large: give the application.kfw of a release, or its bundle")
        found = release.read_archive(path.read_bytes(), trusted)
    except OSError as error:
        raise IncidentError(f"{path}: {error.strerror}") from None
    return _unpack(found.version, found.files, f"release {found.version}")


def choose(recorded: Firmware, given: Program | None, present: bool) -> tuple[Program, list[str]]:
    """The program to replay on, and what has to be said of the choice; IncidentError with what to give."""
    if present:
        own = given or sources()
        if own.version == recorded.version and own.tree == recorded.tree:
            return own, []
        return own, [
            f"runs {own.origin} (version {own.version}) as was asked; the record's hub ran {_said(recorded)}"
        ]
    if given is not None:
        if given.version != recorded.version:
            raise IncidentError(
                f"{given.origin} is version {given.version}, the record's hub ran {_said(recorded)}: give "
                f"that "
                "release, or add --present to see what this one does"
            )
        if recorded.tree is not None and recorded.tree_from == "archive" and recorded.tree != given.tree:
            raise IncidentError(
                f"{given.origin} calls itself {given.version} and is another program (tree "
                f"{given.tree[:12]}) than "
                f"the record's hub ran (tree {recorded.tree[:12]}): give that release"
            )
        said = (
            [] if recorded.tree == given.tree else ["the record's tree is not proven: the version alone fits"]
        )
        return given, said
    own = sources()
    if own.version == recorded.version and own.tree == recorded.tree:
        return own, []
    why = f"they are version {own.version}" if own.version != recorded.version else "they have another tree"
    raise IncidentError(
        f"the record's hub ran {_said(recorded)}; the sources here are not that program: {why} "
        f"({own.tree[:12]}). Give --firmware application.kfw (or the bundle) of that release with "
        f"--trust, or "
        "--present to see what the present sources do"
    )


def _said(recorded: Firmware) -> str:
    known = f"tree {recorded.tree[:12]}" if recorded.tree else "tree not known"
    return f"{recorded.version} ({known})"


_unpacked: dict[str, Path] = {}


def _unpack(version: str, files: Mapping[str, bytes], origin: str) -> Program:
    digest = tree(files)
    folder = _unpacked.get(digest)
    if folder is None:
        folder = _unpacked[digest] = Path(tempfile.mkdtemp(prefix="kanhu-incident-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for path, data in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    return Program(version, digest, folder, origin)
