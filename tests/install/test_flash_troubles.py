"""What an installer reads when a port or a board is not as it should be: one sentence, with its cure."""

from __future__ import annotations

import errno
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kanhu.install.flash import ports, troubles

PLATFORMS = ("linux", "darwin", "win32")
RULES = Path(__file__).parents[2] / "deploy" / "60-kanhu.rules"


@pytest.mark.parametrize(
    ("platform", "error", "words"),
    [
        (
            "linux",
            OSError(errno.EACCES, "Permission denied"),
            ("may not open", "udev-rules", "60-kanhu.rules"),
        ),
        ("darwin", OSError(errno.EACCES, "Permission denied"), ("may not open", "Privacy & Security")),
        (
            "win32",
            OSError("could not open port: PermissionError(13, 'Access is denied.')"),
            ("another program",),
        ),
        ("linux", OSError(errno.EBUSY, "Device or resource busy"), ("another program", "fuser")),
        ("linux", OSError("Could not exclusively lock port X: [Errno 11]"), ("another program", "fuser")),
        ("darwin", OSError(errno.EBUSY, "Resource busy"), ("another program", "lsof")),
        ("linux", OSError(errno.ENOENT, "No such file or directory"), ("no such port", "by-id")),
        ("darwin", OSError(errno.ENOENT, "No such file or directory"), ("no such port", "/dev/cu")),
        ("win32", OSError("could not open port: FileNotFoundError(2)"), ("no such port", "Device Manager")),
    ],
)
def test_a_port_that_cannot_be_opened(platform: str, error: OSError, words: tuple[str, ...]) -> None:
    said = str(troubles.opening(error, "PORT", platform))
    assert all(word in said for word in words), said
    assert "\n" not in said


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_board_at_all(platform: str) -> None:
    said = troubles.none_found(platform)
    assert said.startswith("no board found: ")
    assert "--port" in said
    assert {"linux": "lsusb", "darwin": "System Settings", "win32": "yellow mark"}[platform] in said


FATAL, EXCEPTION = "A fatal error occurred: ", "A serial exception error occurred: "
BAUD = "Changing baud rate to 921600..."


@pytest.mark.parametrize(
    ("error", "words", "again"),
    [
        (f"{FATAL}Failed to connect to ESP32: No serial data received.", "hold BOOT", True),
        (f"{FATAL}Failed to connect: Wrong boot mode detected (0x13)!", "download mode", True),
        (f"{FATAL}MD5 of file does not match data in flash!", "bad", True),
        (f"{FATAL}The chip stopped responding.", "every speed", True),
        (f"{FATAL}Invalid head of packet (0x46): Possible serial noise", "every speed", True),
        (f"{EXCEPTION}device reports readiness to read (device disconnected?)", "went away", True),
        (f"{EXCEPTION}write failed: [Errno 5] Input/output error", "went away", True),
        (f"{FATAL}Secure Boot V1 detected, writing to flash regions < 0x8000", "locked", False),
        (f"{FATAL}Could not open x\n([Errno 13] Permission denied: 'x')", "udev-rules", False),
        (f"{FATAL}something new", "something new", True),
        ("", "could not go on", True),
    ],
)
def test_what_esptool_says_becomes_a_sentence(error: str, words: str, again: bool) -> None:
    trouble = troubles.esptool_said([BAUD, *error.splitlines()], "PORT", "linux")
    assert words in str(trouble)
    assert str(trouble).startswith("PORT: ")
    assert "\n" not in str(trouble)
    assert trouble.again is again


def test_who_has_a_port_open() -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    holds = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holds, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert str(other.pid) in (troubles.holder(name) or "")
        assert str(other.pid) in str(troubles.opening(OSError(errno.EBUSY, "busy"), name, "linux"))
        other.kill()
    os.close(ours)
    os.close(theirs)
    assert troubles.holder(str(Path(__file__))) is None


def test_a_bridge_without_a_driver(tmp_path: Path) -> None:
    for name, vendor, tty in (("1-1", "10c4", True), ("1-2", "1a86", False), ("1-3", "046d", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "idVendor").write_text(vendor + "\n")
        if tty:
            (tmp_path / name / f"{name}:1.0").mkdir()
            (tmp_path / name / f"{name}:1.0" / "ttyUSB0").mkdir()
    assert ports.without_driver("linux", tmp_path) == ["CH340"]
    assert ports.without_driver("darwin", tmp_path) == []
    said = troubles.none_found("linux", ["CH340"])
    assert "CH340" in said
    assert "modprobe" in said


def usb(device: str, serial: str | None, vid: int | None, location: str | None = None) -> SimpleNamespace:
    return SimpleNamespace(device=device, serial_number=serial, vid=vid, location=location)


LISTED = [
    usb("/dev/ttyUSB0", "0001", 0x10C4, "1-1"),
    usb("/dev/ttyACM0", "24:0A:C4:00:00:01", 0x303A, "1-2"),
    usb("/dev/ttyS0", None, None),
]


def test_boards_are_found_by_usb_and_by_name() -> None:
    assert [one.url for one in ports.discover((), lambda: LISTED)] == ["/dev/ttyACM0", "/dev/ttyUSB0"]
    wanted = ["240ac4000001", "0001", "rfc2217://bench:7000", "/dev/ttyS0", "/dev/ttyUSB0"]
    found = [one.url for one in ports.discover(wanted, lambda: LISTED)]
    assert found == ["/dev/ttyACM0", "/dev/ttyUSB0", "rfc2217://bench:7000", "/dev/ttyS0"]


def test_a_board_comes_back_under_another_name() -> None:
    moved = [usb("/dev/ttyACM7", "240AC4000001", 0x303A, "1-2"), usb("/dev/ttyUSB3", "0001", 0x10C4, "1-1")]
    there = ports.Port("/dev/ttyACM0", "x", "1-9")
    assert (ports.again(there, "240ac4000001", lambda: moved) or there).url == "/dev/ttyACM7"
    assert (ports.again(ports.Port("/dev/gone", "0001"), "", lambda: moved) or there).url == "/dev/ttyUSB3"
    assert (ports.again(ports.Port("/dev/gone", "", "1-1"), "", lambda: moved) or there).url == "/dev/ttyUSB3"
    assert ports.again(ports.Port("/dev/gone", "", "9-9"), "", lambda: moved) is None


def test_a_serial_number_that_two_bridges_have_names_neither() -> None:
    twins = [usb("/dev/ttyUSB0", "0001", 0x10C4, "1-1"), usb("/dev/ttyUSB1", "0001", 0x10C4, "1-2")]
    (second,) = ports.discover(["/dev/ttyUSB1"], lambda: twins)
    assert (second.serial, second.location) == ("", "1-2")
    assert ports.again(second, "", lambda: twins[:1]) is None  # not the first one, while it is away
    renamed = [twins[0], usb("/dev/ttyUSB5", "0001", 0x10C4, "1-2")]
    assert (ports.again(second, "", lambda: renamed) or second).url == "/dev/ttyUSB5"
    assert ports.discover(["0001"], lambda: twins) == [ports.Port("0001")]
    assert len(ports.discover((), lambda: twins)) == 2


def test_the_rule_is_whole_and_for_every_bridge() -> None:
    lines = [line for line in RULES.read_text().splitlines() if line and not line.startswith("#")]
    pair = r'[A-Z_]+(\{\w+\})?(==|!=|\+=|=)"[^"]*"'
    assert all(re.fullmatch(rf"{pair}(, {pair})*", line) for line in lines)
    vendors = {int(found[1], 16) for line in lines if (found := re.search(r'idVendor\}=="(\w{4})"', line))}
    assert vendors == set(ports.BRIDGES)
    assert all('TAG+="uaccess"' in line for line in lines)
