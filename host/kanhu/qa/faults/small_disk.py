"""The daemon's data on a disk so small that it can be filled, for as long as somebody wants that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kanhu.qa.capabilities import NeedsCapability
from kanhu.sim.daemon import DaemonProcess
from kanhu.sim.faults import disk

SIZE = "64m"  # of which a session's journal takes a few
SHARED = "-shm"  # SQLite makes it anew
HOW = (
    "not on this platform: this bench has no disk that may be filled: run as root, or in a namespace of your "
    "own (unshare --user --map-root-user --mount pytest ...)"
)


@contextmanager
def moved(daemon: DaemonProcess) -> Iterator[disk.SmallDisk]:
    """Its data lies on a tmpfs meanwhile and is back afterwards; a daemon that runs is started anew for each
    move. Other descriptors of the files stay good: they are written in place. NeedsCapability."""
    if not disk.may_mount():
        raise NeedsCapability(why=HOW)
    data = daemon.data_dir
    with tempfile.TemporaryDirectory(dir=daemon.folder, prefix="moving-") as room:
        copy = Path(room) / "data"
        running = _stop(daemon)
        _put(data, copy)
        small = disk.SmallDisk(data, SIZE)
        try:
            _put(copy, data)
            if running:
                daemon.start()
            yield small
        finally:
            small.free()
            running = _stop(daemon)
            shutil.rmtree(copy)
            _put(data, copy)
            small.close()
            _put(copy, data)
            if running:
                daemon.start()


def _stop(daemon: DaemonProcess) -> bool:
    running = daemon.running
    if running:
        daemon.stop()
    return running


def _put(source: Path, target: Path) -> None:
    """The files of source, and no others, in target: into the very files that are there."""
    names = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in [one for one in target.rglob("*") if one.is_file()]:
        if path.relative_to(target) not in names:
            path.unlink()
    for name in names:
        if name.name.endswith(SHARED):
            continue
        place = target / name
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not place.exists()
        with place.open("wb") as file:
            file.write((source / name).read_bytes())
        if new:
            shutil.copymode(source / name, place)
