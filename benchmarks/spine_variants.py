"""The daemon in another shape: as another revision of this repository, or on a disk with slow fsyncs."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Plain prototypes and system calls by number: a compiler is enough, the C library's headers are not needed.
_SLOW_DISK = """
extern long syscall(long number, ...);
extern int usleep(unsigned int us);
#if defined(__x86_64__)
enum { FSYNC = 74, FDATASYNC = 75 };
#elif defined(__aarch64__)
enum { FSYNC = 82, FDATASYNC = 83 };
#else
#error "numbers of fsync and fdatasync on this processor"
#endif
int fsync(int file) { usleep(DELAY_US); return (int)syscall(FSYNC, file); }
int fdatasync(int file) { usleep(DELAY_US); return (int)syscall(FDATASYNC, file); }
"""
_MAKE_REGISTRY = """
import json, sys
from pathlib import Path
from kanhu.registry import Registry
folder = Path(sys.argv[1])
registry = Registry.open(folder)
home = registry.add_home("cn/42/01/06/03")
hubs = [registry.add_hub(home) for _ in range(int(sys.argv[2]))]
registry.close()
(folder / "hubs.json").write_text(json.dumps([(hub, key.hex()) for hub, key in hubs]))
"""
_LEDGER = """
import json, sys
from pathlib import Path
from kanhu.ledger import recompute
print(json.dumps(recompute(Path(sys.argv[1]))))
"""
_AS_PROGRAM = (
    "import os, sys; os.environ.update({env!r}); "
    "os.execv(sys.executable, [sys.executable, '-m', 'kanhu', *sys.argv[1:]])"
)


def revision(name: str, folder: Path) -> dict[str, str]:
    """Unpack host/ and protocol/ of a revision; the environment in which Python imports them."""
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", name, "host", "protocol"],
        capture_output=True,
        check=False,
    )
    if packed.returncode:
        raise SystemExit(f"git knows no revision {name}: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # none before Python 3.11.4
        archive.extractall(folder)  # noqa: S202  # of our own repository
    env = {"PYTHONPATH": f"{folder / 'host'}{os.pathsep}{folder / 'protocol'}"}
    where = [
        sys.executable,
        "-c",
        "import kanhu.daemon, kanhu_protocol.seal as s; print(kanhu.daemon.__file__, s.__file__)",
    ]
    found = subprocess.run(
        where, env={**os.environ, **env}, capture_output=True, text=True, check=True
    ).stdout
    assert found.count(str(folder)) == 2, found
    return env


def make_registry(folder: Path, hubs: int, env: dict[str, str]) -> None:
    """registry.db and hubs.json, made by the daemon's own revision: a newer one reads an older one's."""
    command = [sys.executable, "-c", _MAKE_REGISTRY, str(folder), str(hubs)]
    subprocess.run(command, env={**os.environ, **env}, check=True)


def ledger(journal: Path, env: dict[str, str]) -> dict[str, dict[str, int]]:
    """Each hub's ledger, recomputed from a journal by the revision that wrote it."""
    command = [sys.executable, "-c", _LEDGER, str(journal)]
    told = subprocess.run(
        command, env={**os.environ, **env}, check=True, capture_output=True, text=True
    ).stdout
    books: dict[str, dict[str, int]] = json.loads(told)
    return books


def slow_disk(delay_ms: float, folder: Path) -> dict[str, str]:
    """Build a library that adds a delay to every fsync and fdatasync; the environment that loads it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        raise SystemExit("--fsync-delay-ms needs Linux and a C compiler: apt install gcc")
    source, library = folder / "slow_disk.c", folder / "slow_disk.so"
    source.write_text(_SLOW_DISK, encoding="ascii")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-nostdlib", f"-DDELAY_US={round(delay_ms * 1000)}",
         "-o", str(library), str(source)],
        check=True,
    )  # fmt: skip
    return {"LD_PRELOAD": str(library)}


def program(env: dict[str, str]) -> list[str]:
    """What Python runs to become the daemon in this environment, its process id unchanged."""
    return ["-c", _AS_PROGRAM.format(env=env)] if env else ["-m", "kanhu"]
