"""A disk small enough to be filled: a tmpfs, which an ordinary user gets in a namespace of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SIZE = "16m"  # journal, its log and the registry of a short run take about 1 MB
IN_NAMESPACE = "KANHU_OWN_MOUNTS"


def may_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("mount") is not None and _mounts()


def _program(name: str) -> str:
    return shutil.which(name) or f"/bin/{name}"


def _mounts() -> bool:
    script = 'd=$(mktemp -d) && mount -t tmpfs -o size=1m tmpfs "$d" && umount "$d" && rmdir "$d"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
    return done.returncode == 0


def namespace_command(command: list[str]) -> list[str] | None:
    """The command so that it may mount, for a user who may not; None where that is not to be had."""
    program = shutil.which("unshare")
    if program is None or os.environ.get(IN_NAMESPACE):
        return None
    enter = [program, "--user", "--map-root-user", "--mount"]
    trial = [*enter, "/bin/sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    if subprocess.run(trial, capture_output=True, check=False).returncode:
        return None
    return [*enter, "env", f"{IN_NAMESPACE}=1", *command]


class SmallDisk:
    """A folder with a tmpfs on it, until close(). OSError when it cannot be mounted."""

    def __init__(self, folder: Path, size: str = SIZE) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = subprocess.run(
            [_program("mount"), "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise OSError(done.stderr.strip())

    def fill(self) -> None:
        """Not one byte is left."""
        block = bytes(1 << 20)
        fd = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while block:
                try:
                    os.write(fd, block)
                except OSError:
                    block = block[: len(block) // 2]
        finally:
            os.close(fd)

    def free(self) -> None:
        """There is room again."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount; what was on it is gone."""
        subprocess.run([_program("umount"), "-l", str(self.folder)], capture_output=True, check=False)
