"""Whoever stands beside a hub: commissioning by cable or BLE, and Improv's packets, for tests."""

from __future__ import annotations

import asyncio
import os
import select
import time
import tty
from pathlib import Path
from typing import Any, Self

import cbor2
from bumble import hci
from bumble.core import UUID
from bumble.device import Connection, Device
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from kanhu.sim import Bench
from kanhu.sim.gatt import device
from kanhu.sim.hub import Hub
from kanhu_protocol import frame, seal

CODE = bytes(range(16))
SERVICE = UUID("35b02cea-db40-472c-b04b-0ad3860bf027")
TO_HUB = UUID("35b02ceb-db40-472c-b04b-0ad3860bf027")
FROM_HUB = UUID("35b02cec-db40-472c-b04b-0ad3860bf027")
LAPTOP = "C0:00:00:00:00:99"


class Ccm:
    """AES-CCM with a tag of 8 bytes, as seal.py wants it."""

    def __init__(self, key: bytes) -> None:
        self._ccm = AESCCM(key, tag_length=8)

    def seal(self, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
        return self._ccm.encrypt(nonce, plain, aad)

    def open(self, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
        try:
            return self._ccm.decrypt(nonce, sealed, aad)
        except Exception as error:
            raise ValueError from error


class Installer:
    """The sealed talk over some wire: send(bytes), and got(bytes) for what the hub says."""

    def __init__(self, hub: Hub, code: bytes = CODE) -> None:
        self.hub = hub
        self.boot = 0
        self.open = False  # as the last hello said
        self.hellos = 0
        self.messages: list[dict[str, Any]] = []
        self.numbers: list[int] = []  # of the nonces up
        self.bodies: list[bytes] = []  # sent
        self.epoch = int(time.time())
        self.counter = 0
        self._aead = Ccm(code)
        self._decoder = frame.Decoder()

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    def wait(self, seconds: float) -> None:
        """Let that much time pass, taking in what the hub says."""
        raise NotImplementedError

    def got(self, data: bytes) -> None:
        for kind, body in self._decoder.feed(data):
            if kind == frame.HELLO:
                hello = cbor2.loads(body)
                assert hello[1] == self.hub.hub_id
                self.boot, self.open = hello[2], hello.get(33) == 1
                self.hellos += 1
            elif kind == frame.COMMISSION_UP:
                assert len(body) <= 512
                sealed = seal.parse(body)
                assert (sealed.a, sealed.generation) == (self.boot, 1)
                self.numbers.append(sealed.b)
                self.messages.append(cbor2.loads(sealed.open(self._aead, self.hub.hub_id, seal.UP)))

    def hello(self, timeout: float = 10.0) -> bool:
        """Whether the hub answers a hello."""
        self.wait(0.1)  # what was said before is no answer
        before, end = self.hellos, time.monotonic() + timeout
        while self.hellos == before and time.monotonic() < end:
            self.send(frame.encode(frame.HELLO, cbor2.dumps({0: 1})))
            self.wait(0.3)
        return self.hellos > before

    def seal(self, message: dict[str, Any], code: bytes | None = None) -> bytes:
        """The body of a message, under the next nonce."""
        self.counter += 1
        aead = self._aead if code is None else Ccm(code)
        plain = cbor2.dumps(message, canonical=True)
        return seal.seal(aead, 1, self.hub.hub_id, seal.DOWN, self.boot, self.epoch, self.counter, plain)

    def say(self, message: dict[str, Any], code: bytes | None = None) -> None:
        self.say_body(self.seal(message, code))

    def say_body(self, body: bytes) -> None:
        self.bodies.append(body)
        self.send(frame.encode(frame.COMMISSION_DOWN, body))

    def until(self, kind: str, timeout: float = 10.0) -> dict[str, Any]:
        """The next message of that kind; those before it are gone."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            while self.messages:
                message = self.messages.pop(0)
                if message["is"] == kind:
                    return message
            self.wait(0.05)
        raise AssertionError(f"no {kind!r} in {timeout} s; the log ends with {self.hub.log()[-1500:]}")

    def ask(self, message: dict[str, Any], kind: str, timeout: float = 10.0) -> dict[str, Any]:
        self.say(message)
        return self.until(kind, timeout)

    def trial(self, timeout: float = 60.0, **settings: Any) -> list[dict[str, Any]]:
        """Have settings tried: the steps, up to the last."""
        self.say({"do": "set", **settings})
        steps = [self.until("step", timeout)]
        kept = settings.get("broker") is None  # then the trial may end after the address
        while steps[-1]["ok"] and steps[-1]["step"] != "done":
            steps.append(self.until("step", timeout))
        assert kept or steps[-1]["step"] != "address" or not steps[-1]["ok"]
        return steps


class Cable(Installer):
    """On the hub's console."""

    def __init__(self, hub: Hub, code: bytes = CODE) -> None:
        super().__init__(hub, code)
        self._fd = os.open(Path(hub.tty), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        self.raw = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._fd)

    def send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data[:256]) :]

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            left = max(0.0, end - time.monotonic())
            if select.select([self._fd], [], [], left)[0]:
                data = os.read(self._fd, 4096)
                self.raw += data
                self.got(data)
            elif not left:
                return


class Air(Installer):
    """A laptop with a BLE radio: Bumble's central on the bench's air."""

    def __init__(self, bench: Bench, hub: Hub, code: bytes = CODE, mtu: int = 185) -> None:
        super().__init__(hub, code)
        self._bench = bench
        self._mtu = mtu
        self._inbox: list[bytes] = []
        self._connection: Connection | None = None
        self._laptop: Device | None = None

    def connect(self, timeout: float = 20.0) -> None:
        """To the hub that advertises the service under the beginning of this hub's id."""

        async def work() -> None:
            if self._laptop is None:
                self._laptop = device(self._bench._air.link(), "laptop", LAPTOP)
                await self._laptop.power_on()
            found: asyncio.Future[hci.Address] = asyncio.get_running_loop().create_future()

            def heard(advertisement: Any) -> None:
                data = bytes(advertisement.data_bytes)
                if b"\x11\x07" + bytes(SERVICE) + b"\x09\x08" + self.hub.hub_id[:8].encode() in data:
                    assert data[:3] == b"\x02\x01\x06"
                    if not found.done():
                        found.set_result(advertisement.address)

            self._laptop.on("advertisement", heard)
            await self._laptop.start_scanning(active=False)
            try:
                address = await asyncio.wait_for(found, timeout)
            finally:
                self._laptop.remove_listener("advertisement", heard)
                await self._laptop.stop_scanning()
            connection = self._connection = await self._laptop.connect(address)
            client = connection.gatt_client
            if self._mtu > 23:
                await client.request_mtu(self._mtu)
            (service,) = await client.discover_service(SERVICE)
            rows = await client.discover_characteristics([], service)
            by_uuid = {one.uuid: one for one in rows}
            assert set(by_uuid) == {TO_HUB, FROM_HUB}
            self._to_hub = by_uuid[TO_HUB]
            await client.discover_descriptors(by_uuid[FROM_HUB])
            await client.subscribe(by_uuid[FROM_HUB], lambda data: self._inbox.append(bytes(data)))

        self._bench.run(work(), timeout + 20)

    @property
    def connected(self) -> bool:
        handle = self._connection.handle if self._connection else None
        return self._laptop is not None and handle in self._laptop.connections

    def send(self, data: bytes) -> None:
        assert self._connection is not None
        size = self._mtu - 3

        async def work() -> None:
            for start in range(0, len(data), size):
                # By turns with and without a response, as clients do either.
                await self._to_hub.write_value(data[start : start + size], with_response=start % 2 == 0)

        self._bench.run(work())

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            while self._inbox:
                self.got(self._inbox.pop(0))
            if time.monotonic() >= end:
                return
            time.sleep(0.01)

    def leave(self) -> None:
        if self._connection is not None and self.connected:
            self._bench.run(self._connection.disconnect())
        self._connection = None


HEADER = b"IMPROV\x01"


def packet(kind: int, data: bytes, version: int = 1) -> bytes:
    """An Improv packet, as the specification has it."""
    head = b"IMPROV" + bytes((version, kind, len(data))) + data
    return head + bytes((sum(head) & 255,))


def rpc(command: int, data: bytes = b"") -> bytes:
    return packet(3, bytes((command, len(data))) + data)


def wifi(ssid: str, password: str) -> bytes:
    name, word = ssid.encode(), password.encode()
    return rpc(1, bytes((len(name),)) + name + bytes((len(word),)) + word)


def packets(raw: bytes) -> list[tuple[int, bytes]]:
    """(type, data) of each packet in what a device said, each with a right checksum on a line of its own."""
    found = []
    start = raw.find(HEADER)
    while start >= 0 and len(raw) > start + 9 and len(raw) >= start + 10 + raw[start + 8]:
        end = start + 9 + raw[start + 8]
        assert raw[end] == sum(raw[start:end]) & 255, raw[start : end + 1]
        assert raw[start - 1 : start] == b"\n", raw[max(0, start - 20) : start]
        found.append((raw[start + 7], bytes(raw[start + 9 : end])))
        start = raw.find(HEADER, end)
    return found


def strings(data: bytes) -> tuple[int, list[str]]:
    """(command, strings) of an RPC result."""
    command, size, rest = data[0], data[1], data[2:]
    assert size == len(rest)
    found = []
    while rest:
        found.append(rest[1 : 1 + rest[0]].decode())
        assert len(rest) > rest[0]
        rest = rest[1 + rest[0] :]
    return command, found
