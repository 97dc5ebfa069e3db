"""esptool, run as a program of its own: one process a port, its progress and what it found."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kanhu.install.flash import troubles

CONNECT_BAUD = 115_200  # every ROM loader's
SECTOR = 4096  # bytes
SILENT_S = 120.0  # longest without a word: erasing 16 MB takes an old flash chip 60 s
_ENDS = re.compile(rb"[\r\n]+")
_WRITING = re.compile(r"Writing '(?P<name>.*)' at 0x(?P<at>[0-9a-f]+)\.\.\.")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%\s+[\d.]+\s?[kMG]?B/")
_SKIPPED = "skipping write"

Progress = Callable[[str, float], None]  # what is being written, and how much of all of it, 0 to 1


@dataclass(frozen=True)
class Chip:
    """What a board says of itself: chip as esptool's --chip has it, mac 12 hexadecimal digits."""

    chip: str
    mac: str
    flash_size: int  # bytes; 0: not known


@dataclass
class Done:
    """How a run ended."""

    code: int
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Part:
    """A region to write: the path is what esptool opens, and may be /proc/self/fd/N."""

    name: str
    offset: int
    size: int
    path: str


async def run(
    port: str,
    *command: str,
    baud: int = CONNECT_BAUD,
    after: str = "no-reset",
    heard: Callable[[str], None] = lambda line: None,
    keep: Sequence[int] = (),
) -> Done:
    """One run to its end; `keep` are file descriptors it inherits. Cancelled, it is ended first."""
    arguments = [
        sys.executable, "-m", "esptool", "--port", port, "--baud", str(baud), "--after", after, *command
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_environment(os.environ),
        **_apart(keep),
    )
    done = Done(-1)
    try:
        async for line in _lines(process):
            done.lines.append(line)
            heard(line)
        done.code = await process.wait()
    except TimeoutError:
        done.lines.append("error: it stopped responding")
    finally:
        if process.returncode is None:
            process.kill()
            await asyncio.shield(process.wait())
    return done


async def identify(port: str) -> Chip:
    """Which chip is at a port; it stays in its loader. Trouble."""
    done = await run(port, "flash-id")
    if done.code:
        raise troubles.esptool_said(done.lines, port)
    chip = re.search(r"Connected to (ESP\S+) on", done.text)
    mac = re.search(r"^(?:BASE )?MAC:\s+((?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2})", done.text, re.MULTILINE)
    size = re.search(r"Detected flash size: (\d+)([kM])B", done.text)
    if not chip or not mac:
        raise troubles.Trouble(f"{port}: esptool does not say which chip this is: {done.lines[-1:]}")
    unit = {"k": 1024, "M": 1024 * 1024}
    return Chip(
        chip[1].lower().replace("-", ""),
        mac[1].replace(":", "").lower(),
        int(size[1]) * unit[size[2]] if size else 0,
    )


async def write(
    port: str, chip: str, parts: Sequence[Part], baud: int, progress: Progress, keep: Sequence[int] = ()
) -> dict[str, str]:
    """Write what differs; region -> written or kept. Trouble; the chip stays in its loader."""
    tally = Tally(parts, progress)
    files = [text for part in parts for text in (hex(part.offset), part.path)]
    done = await run(
        port, "--chip", chip, "write-flash", "--skip-flashed", *files, baud=baud, heard=tally.heard, keep=keep
    )  # fmt: skip
    if done.code:
        raise troubles.esptool_said(done.lines, port)
    return tally.found


async def verify(
    port: str,
    chip: str,
    parts: Sequence[Part],
    baud: int,
    keep: Sequence[int] = (),
    after: str = "hard-reset",
) -> list[str]:
    """Names of the parts that the flash does not hold, byte by byte; Trouble when it cannot be told."""
    files = [text for part in parts for text in (hex(part.offset), part.path)]
    done = await run(
        port, "--chip", chip, "verify-flash", *files, baud=baud, keep=keep, after=after
    )  # fmt: skip
    said = re.findall(r"^Verification (successful|failed)", done.text, re.MULTILINE)
    if len(said) != len(parts):
        raise troubles.esptool_said(done.lines, port)
    return [part.name for part, word in zip(parts, said, strict=True) if word == "failed"]


async def read(port: str, chip: str, offset: int, size: int, path: str) -> None:
    """Copy a piece of flash into a file; Trouble; the chip stays in its loader."""
    done = await run(port, "--chip", chip, "read-flash", hex(offset), hex(size), path)
    if done.code:
        raise troubles.esptool_said(done.lines, port)


async def restart(port: str) -> None:
    """Let a chip leave its loader and start what is on it, as far as the port can."""
    await run(port, "--no-stub", "read-mac", after="hard-reset")


class Tally:
    """How far a write has come, out of esptool's lines."""

    def __init__(self, parts: Sequence[Part], progress: Progress) -> None:
        self._parts = {part.offset: part for part in parts}
        self._total = sum(part.size for part in parts) or 1
        self._progress = progress
        self._done = 0
        self._now: Part | None = parts[0] if len(parts) == 1 else None
        self.found = dict.fromkeys((part.name for part in parts), "written")

    def heard(self, line: str) -> None:
        if begun := _WRITING.search(line):
            if self._now:
                self._done += self._now.size
            self._now = self._parts.get(int(begun["at"], 16))
        if self._now is None:
            return
        if _SKIPPED in line:
            self.found[self._now.name] = "kept"
        elif percent := _PERCENT.search(line):
            share = float(percent[1]) / 100 * self._now.size
            self._progress(self._now.name, min(1.0, (self._done + share) / self._total))


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    assert process.stdout is not None  # noqa: S101  # it was asked for
    rest = b""
    while True:
        async with asyncio.timeout(SILENT_S):
            data = await process.stdout.read(4096)
        if not data:
            break
        *whole, rest = _ENDS.split(rest + data)
        for line in whole:
            yield line.decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in own.items() if not name.startswith(("ESPTOOL_", "KANHU_"))}
    return kept | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "500",  # no line of it is folded
    }


def _apart(keep: Sequence[int]) -> dict[str, Any]:
    # Ctrl-C in the terminal is for us alone: what we start is ended in order.
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True, "pass_fds": tuple(keep)}
