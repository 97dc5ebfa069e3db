"""Two homes' registry, and a hub of which the test speaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from helpers_intake import Clock
from kanhu.downlink import Command
from kanhu.journal import Event, Journal
from kanhu.journal.commands import Commands
from kanhu.pairing import Pairing
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

BUTTON, OTHER, CUFF = (bytes.fromhex(f"a4c1380000{number:02x}") for number in (1, 2, 3))
MAC = "A4:C1:38:00:00:01"
KEY = bytes(range(1, 17))


def encrypted(key: bytes, address: bytes, mac_included: bool = False) -> bytes:
    info = b"\x43" if mac_included else b"\x41"
    counter = b"\x07\x00\x00\x00"
    sealed = AESCCM(key, tag_length=4).encrypt(address + b"\xd2\xfc" + info + counter, b"\x3a\x01", None)
    return info + (address[::-1] if mac_included else b"") + sealed[:-4] + counter + sealed[-4:]


class Down:
    def __init__(self) -> None:
        self.said: list[Command] = []
        self.quiet: list[int] = []

    def command(self, hub_id: str, command: Command) -> None:
        self.said.append(command)

    def confirm(self, hub_id: str, number: int) -> Command | None:
        self.quiet.append(number)
        return None


class Home:
    """A registry with two homes, and one hub of which the test speaks."""

    def __init__(self, data_dir: Path) -> None:
        self.registry = Registry.open(data_dir)
        self.home = self.registry.add_home(time_zone="Europe/Berlin")
        self.hub, _ = self.registry.add_hub(self.home)
        self.second, _ = self.registry.add_hub(self.home)
        self.far, _ = self.registry.add_hub(self.registry.add_home())
        self.clock = Clock()
        self.journal = Journal.open(data_dir, self.clock)
        self.down = Down()
        self.restart()
        self.seq = 0

    def restart(self) -> None:
        """The daemon anew: what was in memory is gone."""
        self.pairing = Pairing(self.registry, self.journal, Commands(self.journal), self.down)

    def say(
        self, kind: int, fields: dict[int, Any] | None = None, boot: int = 1, seq: int | None = None
    ) -> Event:
        self.seq += 1
        event = Event(
            self.hub,
            boot,
            seq or self.seq,
            k.class_of(kind),
            kind,
            b"sealed",
            b"",
            fields or {},
            self.clock.now_ms,
            "mqtt",
        )
        self.pairing.stored([event])
        return event

    def confirm(self) -> None:
        self.say(k.COMMAND_DONE, {k.COMMAND: self.down.said[-1].number})

    def hear(self, address: bytes, **more: Any) -> None:
        self.say(
            k.SENSOR_HEARD, {k.ADDRESS: address, k.FLAGS: 4, **{getattr(k, n): v for n, v in more.items()}}
        )

    async def opened(self) -> None:
        await self.pairing.open(self.hub)
        self.confirm()

    async def has_table(self) -> None:
        version, _ = self.registry.device_table(self.hub)
        self.pairing.table_reported(self.hub, version)
        await self.pairing._round()
