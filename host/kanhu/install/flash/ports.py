"""Where boards are: serial ports by name, and the same board again under another name."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from serial.tools import list_ports

# USB vendors of ESP32 boards: their own port or the bridge on the board (usb.org's list of vendors).
BRIDGES = {0x10C4: "CP210x", 0x1A86: "CH340", 0x0403: "FTDI", 0x303A: "Espressif", 0x067B: "PL2303"}
USB_FOLDER = Path("/sys/bus/usb/devices")


@dataclass(frozen=True)
class Port:
    """url: what pyserial opens; serial: the USB serial number, or ""; location: of the socket."""

    url: str
    serial: str = ""
    location: str = ""
    maker: str = ""

    @property
    def remote(self) -> bool:
        """Whether it is a URL and no port of this computer."""
        return "://" in self.url


Listing = Callable[[], Iterable[Any]]


def discover(wanted: Sequence[str] = (), listing: Listing = list_ports.comports) -> list[Port]:
    """The ports asked for by name, URL, USB serial number or MAC, or else all with an ESP32 board's USB."""
    there = _listed(listing)
    if not wanted:
        return sorted((port for port in there if port.maker), key=lambda port: port.url)
    found: dict[str, Port] = {}
    for name in wanted:
        same = [port for port in there if _same(port, name)]
        port = same[0] if same else Port(name)
        found.setdefault(port.url, port)
    return list(found.values())


def again(port: Port, mac: str = "", listing: Listing = list_ports.comports) -> Port | None:
    """Where a board is now: its own USB may come back under another name. None: not plugged in."""
    if port.remote:
        return port
    there = _listed(listing)
    for one in there:
        if mac and plain(one.serial) == plain(mac):
            return one
    for one in there:
        if one.serial and one.serial == port.serial:
            return one
    if os.path.exists(port.url):
        return port
    return next((one for one in there if one.location and one.location == port.location), None)


def plain(text: str) -> str:
    """A MAC or serial number without what people put between its digits."""
    return text.replace(":", "").replace("-", "").lower()


def without_driver(platform: str = sys.platform, folder: Path = USB_FOLDER) -> list[str]:
    """Names of boards' USB bridges that are plugged in and have no port; only Linux tells."""
    found = []
    if platform.startswith("linux"):
        for device in sorted(folder.glob("*/idVendor")):
            try:
                vendor = int(device.read_text(), 16)
            except (OSError, ValueError):
                continue
            if vendor in BRIDGES and not any(device.parent.glob("*/tty*")):
                found.append(BRIDGES[vendor])
    return found


def _listed(listing: Listing) -> list[Port]:
    """All ports; a serial number that several bridges have (many leave their maker as 0001) names none."""
    there = [_port(one) for one in listing()]
    often = Counter(port.serial for port in there)
    return [port if often[port.serial] == 1 else replace(port, serial="") for port in there]


def _port(one: Any) -> Port:
    return Port(one.device, one.serial_number or "", one.location or "", BRIDGES.get(one.vid or 0, ""))


def _same(port: Port, name: str) -> bool:
    return name in (port.url, port.serial) or (
        len(plain(name)) == 12 and plain(port.serial) == plain(name) != ""
    )
