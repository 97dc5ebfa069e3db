"""What can be wrong with ports and boards: each is one sentence with its cure, for the computer at hand."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from kanhu.errors import KanhuError

MAX_SAID = 200  # characters of a program's own words
LAST = 8  # lines of a program that ends without calling anything an error
_ERROR = re.compile(r"error occurred|Traceback|^error:|ERROR:", re.IGNORECASE)
_GONE = re.compile(
    r"device disconnected|Input/output error|ClearCommError|WriteFile failed|No such device|Broken pipe"
    r"|connection closed|Connection reset|Device not configured"
)


class Trouble(KanhuError):
    """Something went wrong with one board: one sentence; again: another try may help."""

    def __init__(self, text: str, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


class Refused(KanhuError):
    """This board is not to be written: one sentence that says why and what to do."""


def printable(text: str) -> str:
    """What boards and programs say, without anything that steers a terminal or breaks a report."""
    return "".join(char if char.isprintable() else "?" for char in text)


def is_kind(platform: str) -> str:
    """linux, macos or windows."""
    return {"darwin": "macos", "win32": "windows"}.get(platform, "linux")


def denied(port: str, platform: str = sys.platform) -> str:
    """This user may not open the port."""
    if is_kind(platform) == "linux":
        return (
            f"{port}: you may not open it; once: kanhu flash --udev-rules | sudo tee "
            "/etc/udev/rules.d/60-kanhu.rules && sudo udevadm control --reload, then plug the board in again"
        )
    if is_kind(platform) == "macos":
        return (
            f"{port}: you may not open it; allow accessories in System Settings, Privacy & Security, and "
            "plug the board in again"
        )
    return f"{port}: Windows does not let you open it; close every program that uses it"


def busy(port: str, platform: str = sys.platform, who: str | None = None) -> str:
    """Another program has the port."""
    if who:
        return f"{port}: {who} has it open; end that first (a running kanhu daemon, a terminal, mpremote)"
    look = {
        "linux": f"sudo fuser -v {port} says which",
        "macos": f"lsof {port} says which",
        "windows": "close serial monitors and terminals, then plug the board in again",
    }[is_kind(platform)]
    return f"{port}: another program has it open; end that first ({look})"


def missing(port: str, platform: str = sys.platform) -> str:
    """There is no such port."""
    if "://" in port:
        return (
            f"{port}: nothing answers there; start the bench or the port server, and check address and port"
        )
    look = {
        "linux": "ls /dev/serial/by-id",
        "macos": "ls /dev/cu.*",
        "windows": "Device Manager, Ports (COM & LPT)",
    }[is_kind(platform)]
    return f"{port}: there is no such port; plug the board in, or look for its name ({look})"


def none_found(platform: str = sys.platform, driverless: list[str] | None = None) -> str:
    """No board at all."""
    if driverless:
        names = ", ".join(sorted(set(driverless)))
        return (
            f"no port, but a {names} is plugged in for which this computer has no driver; sudo modprobe -a "
            "cp210x ch341 ftdi_sio cdc_acm, and on Debian or Ubuntu remove brltty, which takes ports away"
        )
    cure = {
        "linux": "or does lsusb not show it? Then the cable only charges",
        "macos": "or install its USB driver (CP210x from Silicon Labs, CH34x from WCH) and allow it in "
        "System Settings, Privacy & Security",
        "windows": "or, if Device Manager shows it with a yellow mark, install its USB driver (CP210x "
        "from Silicon Labs, CH340 from WCH)",
    }[is_kind(platform)]
    return f"no board found: plug one in with a cable that carries data, {cure}; or name it with --port"


def unplugged(port: str) -> str:
    """It went away and did not come back."""
    return f"{port}: the board went away in the middle; plug it in again, and run kanhu flash --resume"


def silent(port: str) -> str:
    """The chip's loader does not answer."""
    return (
        f"{port}: the chip does not answer; hold BOOT, press and release RESET (EN), let BOOT go, and run it "
        "again; else try another cable or socket"
    )


def no_download_mode(port: str) -> str:
    """The board started its application instead of the loader."""
    return (
        f"{port}: the board does not go into download mode by itself; hold BOOT, press and release RESET "
        "(EN), let BOOT go, and run it again"
    )


def boot_loop(port: str, reason: str) -> str:
    """What was written does not start."""
    return (
        f"{port}: the board starts over and over ({reason}); its flash chip or its power is bad: try another "
        "cable and socket, then put it aside"
    )


def started_again(port: str) -> str:
    """It was reset while it was asked."""
    return (
        f"{port}: the board started again in the middle of the self-test; its power is weak, or its RESET "
        "was pressed: use another cable, and a socket of the computer itself"
    )


def opening(error: OSError, port: str, platform: str = sys.platform) -> Trouble:
    """Why a port could not be opened; error as pyserial raises it."""
    text = str(error)
    number = getattr(error, "errno", None) or _number(text)
    windows = is_kind(platform) == "windows"
    if "exclusively lock" in text or number in (errno.EBUSY, errno.EAGAIN):
        return Trouble(busy(port, platform, holder(port)))
    if number == errno.EACCES or "PermissionError" in text or "Access is denied" in text:
        return Trouble(busy(port, platform) if windows else denied(port, platform))
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or "FileNotFoundError" in text or "://" in port:
        return Trouble(missing(port, platform), again=True)
    return Trouble(f"{port}: {text[:MAX_SAID]}", again=True)


def esptool_said(lines: list[str], port: str, platform: str = sys.platform) -> Trouble:
    """Why esptool ended with an error, from what it printed."""
    begin = next((n for n, line in enumerate(lines) if _ERROR.search(line)), max(0, len(lines) - LAST))
    text = "\n".join(lines[begin:])
    if "Could not open" in text:
        return opening(OSError(text[text.index("Could not open") :]), port, platform)
    if _GONE.search(text):
        return Trouble(unplugged(port), again=True)
    if "Wrong boot mode" in text or "serial TX path seems to be down" in text:
        return Trouble(no_download_mode(port), again=True)
    if re.search(r"Failed to connect|No serial data received|Failed to start stub", text):
        return Trouble(silent(port), again=True)
    if "Secure Boot" in text or "Secure Download Mode" in text or "flash encryption" in text.lower():
        return Trouble(f"{port}: this board is locked (secure boot or encrypted flash): use one that is not")
    if "MD5 of file does not match" in text or "Verification failed" in text:
        return Trouble(
            f"{port}: the flash does not hold what was written, at no speed; its flash chip is bad: put it "
            "aside",
            again=True,
        )
    if re.search(
        r"stopped responding|serial noise|head of packet|Corrupt data|Timed? ?out|set baud rate", text
    ):
        return Trouble(
            f"{port}: the connection breaks off at every speed; use a shorter cable, a socket of the "
            "computer itself instead of a hub, and one board at a time",
            again=True,
        )
    said = next(
        (line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "nothing"
    )
    return Trouble(f"{port}: esptool could not go on: {said.strip()[:MAX_SAID]}", again=True)


def holder(port: str, processes: Path = Path("/proc")) -> str | None:
    """Which other program has a port of this computer open, where the system tells (Linux)."""
    real = os.path.realpath(port)
    for folder in processes.glob("[0-9]*/fd"):
        number = folder.parent.name
        if number == str(os.getpid()):
            continue
        try:
            if any(os.readlink(one) == real for one in folder.iterdir()):
                name = (folder.parent / "comm").read_text().strip()
                return f"{name} (process {number})"
        except OSError:
            continue  # another user's, or gone meanwhile
    return None


def _number(text: str) -> int | None:
    found = re.search(r"\[Errno (\d+)\]", text)
    return int(found[1]) if found else None
