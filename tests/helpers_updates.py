"""Releases, and hubs that take them, for a daemon without links."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers_intake import HubVoice
from kanhu import config
from kanhu.aead import AesCcm
from kanhu.daemon import Daemon
from kanhu.install import signing
from kanhu.install.release import make_archive
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k

LINK = "lab"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def archive(version: str, size: int = 5000, key: Ed25519PrivateKey = KEY) -> bytes:
    """A signed release; its files are no program."""
    filler = hashlib.shake_256(version.encode()).digest(size)
    return make_archive({"/a/kanhu_hub/app.mpy": filler, "/boot.py": b"stays"}, key, version)


def write_release(folder: Path, version: str, **more: Any) -> tuple[Path, Path]:
    """(archive, public key) as files."""
    folder.mkdir(parents=True, exist_ok=True)
    path, trust = folder / f"{version}.kfw", folder / "trust.pem"
    path.write_bytes(archive(version, **more))
    trust.write_bytes(signing.public_pem(more.get("key", KEY).public_key()))
    return path, trust


class Taker:
    """A hub that does what the contract says of updates, in a process of ours; it speaks when it is let."""

    def __init__(self, hub_id: str, key: bytes, firmware: str = "0.1.0") -> None:
        self.voice = HubVoice(hub_id, key)
        self.hub_id = hub_id
        self.firmware = firmware
        self.good = True
        self.alarm = False
        self.archive = b""
        self.wanted: dict[int, Any] | None = None  # the UPDATE it has taken
        self.heard: list[dict[int, Any]] = []
        self.outbox: list[bytes] = []
        self.chunk_times: list[float] = []

    def say(self, kind: int, fields: dict[int, Any]) -> None:
        self.outbox.append(self.voice.say(kind, fields))

    def start(self, slots: list[int] | None = None) -> None:
        before = (self.voice.boot, max(0, self.voice.seq - 1))
        self.voice.boot, self.voice.seq = before[0] + 1, 0
        fields: dict[int, Any] = {k.RESET: 1, k.FIRMWARE: self.firmware, k.VERSIONS: [1, 0]}
        if before[0] > 1 or before[1]:
            fields[k.PREVIOUS] = list(before)
        if slots:
            fields[k.SLOT] = slots
        self.say(k.BOOT, fields)

    def wish(self) -> None:
        if self.wanted is not None:
            self.say(
                k.UPDATE_PROGRESS,
                {
                    k.COMMAND: self.wanted[k.NUMBER], k.FIRMWARE: self.wanted[k.RELEASE],
                    k.OFFSET: len(self.archive), k.SIZE: self.wanted[k.RELEASE_SIZE],
                },
            )  # fmt: skip

    def take(self, message: dict[int, Any]) -> None:
        """One down message."""
        self.heard.append(message)
        if message[k.TYPE] == k.UPDATE:
            number = message[k.NUMBER]
            if self.alarm:
                self.say(k.COMMAND_REFUSED, {k.COMMAND: number, k.DETAIL: 5})
                return
            self.say(k.COMMAND_DONE, {k.COMMAND: number})
            if not message[k.RELEASE_SIZE]:
                self.wanted = None
            elif self.wanted is None or self.wanted[k.RELEASE_DIGEST] != message[k.RELEASE_DIGEST]:
                self.wanted = message
                self.wish()
        elif message[k.TYPE] == k.CHUNK:
            self.chunk_times.append(asyncio.get_running_loop().time())
            if self.wanted is not None and message[k.CHUNK_OFFSET] == len(self.archive):
                self.archive += message[k.CHUNK_DATA]
                if len(self.archive) == self.wanted[k.RELEASE_SIZE]:
                    self.whole()
                elif len(self.archive) % 3600 == 0:
                    self.wish()

    def whole(self) -> None:
        assert self.wanted is not None
        assert hashlib.sha256(self.archive).digest() == self.wanted[k.RELEASE_DIGEST]
        old, self.firmware = self.firmware, self.wanted[k.RELEASE]
        command = self.wanted[k.NUMBER]
        self.wanted = None
        self.wish()
        if self.good:
            self.start([2, 1])
            self.say(k.UPDATE_DONE, {k.FIRMWARE: self.firmware, k.COMMAND: command})
        else:
            release, self.firmware = self.firmware, old
            self.start()
            self.say(k.UPDATE_FAILED, {k.FIRMWARE: release, k.DETAIL: 5, k.COMMAND: command})

    def updates(self) -> list[dict[int, Any]]:
        """The UPDATE commands it has heard."""
        return [one for one in self.heard if one[k.TYPE] == k.UPDATE]


class Lab:
    """A daemon over a data_dir, its parts for updates running, and takers on a link of the test's."""

    name, connected = LINK, True

    def __init__(self, data_dir: Path, takers: list[Taker]) -> None:
        settings = {
            "data_dir": str(data_dir), "hubs": {"serial": ["/dev/null"]}, "metrics": {"enabled": False},
        }  # fmt: skip
        self.daemon = Daemon(config.parse(settings, "test"))
        self.daemon.updates.provable = lambda: self.provable
        self.provable = True
        self.daemon.downlink.attach(self)
        self.takers = {taker.hub_id: taker for taker in takers}
        self.tasks = [
            asyncio.ensure_future(self.daemon.updates.run()),
            asyncio.ensure_future(self.daemon.downlink.run()),
            asyncio.ensure_future(self._carry()),
        ]

    @property
    def updates(self) -> Any:
        return self.daemon.updates

    def send_down(self, hub_id: str, data: bytes) -> bool:
        taker = self.takers.get(hub_id)
        if taker is None:
            return False
        message = seal.parse(data, seal.MAX_DOWN)
        if message.a == taker.voice.boot:
            taker.take(down.decode(message.open(AesCcm(taker.voice.key), hub_id, seal.DOWN)))
        return True

    async def run(self) -> None:
        raise AssertionError("not run here")

    async def _carry(self) -> None:
        """What the takers say goes in, in order; what is not acknowledged would come again."""
        while True:
            for taker in self.takers.values():
                while taker.outbox:
                    receipts = await self.daemon.submit(taker.hub_id, taker.outbox[0], LINK)
                    if receipts:
                        taker.outbox.pop(0)
            await asyncio.sleep(0.005)

    async def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """The condition's value once it is true."""
        async with asyncio.timeout(seconds):
            while not (value := condition()):
                for task in self.tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.01)
        return value

    def states(self) -> dict[str, str]:
        engine = self.daemon.updates.engine
        return {} if engine is None else {hub: unit.state for hub, unit in engine.units.items()}

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.daemon.journal.close()
        self.daemon.registry.close()

    async def kill(self) -> None:
        """As close, but nothing more is written than what is on its way."""
        await self.close()
