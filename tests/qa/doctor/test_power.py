"""Supplies of a bench: a program uhubctl that only looks like one, a relay at a pty and at a socket."""

from __future__ import annotations

import os
import select
import socket
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from kanhu.qa import power
from kanhu.qa.bench_file import NoPower, RelayPower, StimulusPower, UhubctlPower
from kanhu.qa.capabilities import NeedsCapability

UHUBCTL = """#!/bin/sh
echo "$@" >> "{folder}/calls"
while [ $# -gt 0 ]; do
  case "$1" in -l) at="$2";; -p) port="$2";; -a) act="$2";; esac
  shift
done
{begin}
if [ "$at" != "1-1.4" ]; then
  echo "No compatible devices detected at location $at!"
  echo "Run with -h to get usage info."
  exit 1
fi
[ "$act" = on ] && now="0103 power enable connect [10c4:ea60]" || now="0000 off"
echo "Current status for hub 1-1.4 [2109:2813 USB2.0 Hub, USB 2.10, 4 ports, ppps]"
echo "  Port $port: 0103 power enable connect [10c4:ea60]"
echo "Sent power $act request"
echo "New status for hub 1-1.4 [2109:2813 USB2.0 Hub, USB 2.10, 4 ports, ppps]"
echo "  Port $port: ${{forced-$now}}"
"""


@pytest.fixture
def uhubctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Makes one; its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(begin: str = "") -> Path:
        program = folder / "uhubctl"
        program.write_text(UHUBCTL.format(folder=folder, begin=begin))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder / "calls"

    return make


def test_uhubctl_switches_one_port(uhubctl) -> None:  # type: ignore[no-untyped-def]
    calls = uhubctl()
    supply = power.of(UhubctlPower(kind="uhubctl", location="1-1.4", port=2))
    supply.switch(False)
    supply.switch(True)
    assert calls.read_text().splitlines() == ["-l 1-1.4 -p 2 -a off", "-l 1-1.4 -p 2 -a on"]


def test_a_stimulus_feeds_no_hub_that_another_switch_has_cut(uhubctl) -> None:  # type: ignore[no-untyped-def]
    said: list[object] = []

    class Stimulus:
        def set(self, line: str, level: int | None) -> int:
            said.append((line, level, calls.read_text().split()[-1] if calls.exists() else ""))
            return 0

    calls = uhubctl()
    supply = power.of(UhubctlPower(kind="uhubctl", location="1-1.4", port=2), Stimulus())
    supply.switch(False)
    supply.switch(True)
    assert said == [("power", 0, ""), ("power", None, "on")]
    assert supply.kind == "uhubctl"
    uhubctl("exit 3")
    with pytest.raises(power.PowerTrouble):
        supply.switch(False)
    assert said[-1][:2] == ("power", None)  # type: ignore[index]


def test_a_missing_uhubctl_is_said_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(power.PowerTrouble, match="apt install uhubctl"):
        power.UhubctlSupply("1-1.4", 2).switch(False)


@pytest.mark.parametrize(
    ("location", "begin", "said"),
    [
        ("1-9", "", "no switchable port 2 at location 1-9"),
        ("1-1.4", 'echo "There were permission problems while accessing USB."; exit 0', "no permission"),
        ("1-1.4", 'forced="0103 power enable connect"', "still on after uhubctl -a off"),
        ("1-1.4", "exit 0", "does not say that it switched"),
        ("1-1.4", 'echo "usb error -99"; exit 3', "usb error -99"),
    ],
)
def test_what_uhubctl_refuses_is_one_sentence(uhubctl, location: str, begin: str, said: str) -> None:  # type: ignore[no-untyped-def]
    uhubctl(begin)
    with pytest.raises(power.PowerTrouble) as trouble:
        power.UhubctlSupply(location, 2).switch(False)
    assert said in str(trouble.value)
    assert "\n" not in str(trouble.value)


def test_a_uhubctl_that_hangs_is_ended(uhubctl, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    uhubctl("exec sleep 60")
    monkeypatch.setattr(power, "UHUBCTL_S", 0.5)
    with pytest.raises(power.PowerTrouble, match="did not end"):
        power.UhubctlSupply("1-1.4", 2).switch(True)


@pytest.fixture
def relay_tty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(master)
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def _read(master: int, length: int) -> bytes:
    data = b""
    while len(data) < length and select.select([master], [], [], 10)[0]:
        data += os.read(master, length - len(data))
    return data


def test_a_relay_at_a_serial_port_is_pulled_in_to_cut(relay_tty: tuple[int, str]) -> None:
    master, url = relay_tty
    supply = power.of(RelayPower(kind="relay", port=url, channel=2))
    supply.switch(False)
    assert _read(master, 4) == bytes.fromhex("a00201a3")
    supply.switch(True)
    assert _read(master, 4) == bytes.fromhex("a00200a2")


def test_a_relay_at_a_socket() -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                while data := client.recv(64):
                    heard.extend(data)

        thread = threading.Thread(target=serve)
        thread.start()
        power.RelaySupply(f"socket://127.0.0.1:{server.getsockname()[1]}", 1).switch(False)
        thread.join(10)
    assert bytes(heard) == bytes.fromhex("a00101a2")


def test_frames_of_the_boards_manual() -> None:
    assert power.frame(1, True).hex() == "a00101a2"
    assert power.frame(1, False).hex() == "a00100a1"
    assert power.frame(8, True).hex() == "a00801a9"


def test_a_missing_relay_and_one_in_use_are_said(relay_tty: tuple[int, str], tmp_path: Path) -> None:
    import serial

    with pytest.raises(power.PowerTrouble, match="plug it in"):
        power.RelaySupply(str(tmp_path / "none")).switch(False)
    _, url = relay_tty
    with serial.Serial(url, exclusive=True), pytest.raises(power.PowerTrouble, match="in use by another"):
        power.RelaySupply(url).switch(False)
    assert "USB permissions" in power._port_trouble(url, PermissionError(13, "Permission denied"))


class Lines:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int | None]] = []

    def set(self, line: str, level: int | None) -> int:
        self.calls.append((line, level))
        return 0


def test_the_stimulus_cuts_by_its_line_and_releases_it_for_on() -> None:
    lines = Lines()
    supply = power.of(StimulusPower(kind="stimulus"), lines)
    supply.switch(False)
    supply.switch(True)
    assert lines.calls == [("power", 0), ("power", None)]
    with pytest.raises(power.PowerTrouble, match="stimulus"):
        power.of(StimulusPower(kind="stimulus"))


def test_nothing_cuts_nothing() -> None:
    supply = power.of(NoPower(kind="none"))
    supply.switch(True)
    with pytest.raises(NeedsCapability, match="no power"):
        supply.switch(False)
