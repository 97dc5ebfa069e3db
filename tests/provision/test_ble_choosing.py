"""Which hub is meant, and what is said where Bluetooth is of no use."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from bleak.backends.device import BLEDevice
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakError,
)

from kanhu.install.code import ProvisionError
from kanhu.install.provision import bluetooth
from kanhu.install.provision.bluetooth import BleWire
from kanhu.links.gatt import Found, trouble
from kanhu.sim import Bench
from kanhu.sim.bleak_bumble import Computer

Why = BleakBluetoothNotAvailableReason


def found(hub: str, rssi: int, address: str = "F0:00:00:00:00:01") -> Found:
    return Found(BLEDevice(address, None, None), hub, rssi)


NEAR, FAR = found("7m3k0xq2fz", -45), found("q2fz7m3k", -75, "F0:00:00:00:00:02")


@pytest.mark.parametrize(
    ("which", "hub_id", "heard", "chosen"),
    [
        ("", "7m3k0xq2fz", [NEAR, FAR], NEAR),
        ("", "q2fz7m3k00", [NEAR, FAR], FAR),  # by the beginning that the advertisement has
        ("", None, [NEAR, FAR], NEAR),  # the nearest by far
        ("7m3k", None, [NEAR, FAR], NEAR),
        ("f0:00:00:00:00:02", None, [NEAR, FAR], FAR),
        (" Q2FZ ", None, [NEAR, FAR], FAR),
    ],
)
def test_who_is_meant(which: str, hub_id: str | None, heard: list[Found], chosen: Found) -> None:
    assert BleWire(which, hub_id)._choose(heard) is chosen


@pytest.mark.parametrize(
    ("which", "hub_id", "heard", "said"),
    [
        ("", "0000000000", [NEAR], r"0000000000 is not heard .* press its button .* heard were 7m3k0xq2fz"),
        ("", None, [], r"a hub is not heard over Bluetooth"),
        ("", None, [NEAR, found("q2fz7m3k", -50)], r"several hubs listen here: name one with --hub-id"),
    ],
)
def test_nobody_or_too_many(which: str, hub_id: str | None, heard: list[Found], said: str) -> None:
    with pytest.raises(ProvisionError, match=said):
        BleWire(which, hub_id)._choose(heard)


@pytest.mark.parametrize(
    ("error", "platform", "said"),
    [
        (BleakBluetoothNotAvailableError("", Why.NO_BLUETOOTH), "linux", "plug in an adapter"),
        (BleakBluetoothNotAvailableError("", Why.POWERED_OFF), "win32", "Bluetooth is off: switch it on"),
        (BleakBluetoothNotAvailableError("", Why.DENIED_BY_USER), "darwin", "System Settings"),
        (BleakBluetoothNotAvailableError("", Why.DENIED_BY_SYSTEM), "win32", "Settings, Privacy"),
        (BleakBluetoothNotAvailableError("", Why.UNKNOWN), "linux", "off and on again"),
        (BleakDBusError("org.bluez.Error.NotReady", []), "linux", "Bluetooth is off"),
        (BleakDBusError("org.freedesktop.DBus.Error.AccessDenied", ["x"]), "linux", "usermod -aG bluetooth"),
        (BleakDBusError("org.freedesktop.DBus.Error.ServiceUnknown", ["x"]), "linux", "start bluetooth"),
        (FileNotFoundError(errno.ENOENT, "no socket"), "linux", "install bluez"),
        (PermissionError(errno.EACCES, "dbus"), "linux", "usermod -aG bluetooth"),
        (TimeoutError(), "linux", "did not answer over Bluetooth: go nearer"),
        (BleakDeviceNotFoundError("F0", "F0 was not found"), "linux", "F0 was not found: go nearer"),
        (BleakError("two\nlines"), "linux", "Bluetooth: two lines: go nearer"),
        (EOFError(), "linux", "Bluetooth: EOFError"),
    ],
)
def test_bluetooths_own_troubles(error: Exception, platform: str, said: str) -> None:
    text = trouble(error, platform)
    assert said in text
    assert "\n" not in text


def test_a_radio_that_is_off_and_a_hub_that_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bluetooth, "SCAN_S", 0.5)
    with Bench(tmp_path) as bench:
        computer = Computer(bench._air.link())
        with pytest.raises(ProvisionError, match="7m3k0xq2fz is not heard over Bluetooth: stand beside it"):
            bench.run(BleWire("", "7m3k0xq2fz", computer).open(lambda data: None))
        computer.unavailable = Why.POWERED_OFF
        with pytest.raises(ProvisionError, match="Bluetooth is off"):
            bench.run(BleWire("", "7m3k0xq2fz", computer).open(lambda data: None))
