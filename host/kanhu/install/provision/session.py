"""The talk with one hub (docs/commissioning.md): sealed messages there and back, over any wire."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from kanhu.aead import AesCcm
from kanhu.install.code import ProvisionError
from kanhu_protocol import VERSION, cbor, frame, seal
from kanhu_protocol.checks import is_id

from .wires import Wire

GENERATION = 1  # of every commissioning key
OPEN = 33  # key of a hub's hello: commissioning is open
HELLO_S = 2.0  # between hellos of ours, until the hub says its own
FOUND_S = 20.0  # for a hub that has just got power: start, and one of its own hellos
ANSWER_S = 6.0  # then it is asked again
TRIES = 3
SCAN_S = 20.0
TRIAL_S = 180.0  # a trial takes two minutes at most
CA_PIECE = 700  # bytes
STEPS = ("join", "address", "time", "broker", "proof", "done")


@dataclass(frozen=True)
class Settings:
    """What a hub is to try; what is None stays as it is."""

    wifi: tuple[str, str] | None = None  # name, password
    broker: tuple[str, int, str | None, str | None] | None = None  # host, port, user, password
    ca: bytes | None = None  # DER; given: TLS
    network: str | None = None  # "wifi" or "ppp"
    more: dict[str, Any] = field(default_factory=dict)  # apn, modem, ntp

    def message(self) -> dict[str, Any]:
        """The `set` of it; the bundle goes before, in pieces."""
        found: dict[str, Any] = {"do": "set", **self.more}
        if self.wifi is not None:
            found["wifi"] = list(self.wifi)
        if self.network is not None:
            found["network"] = self.network
        if self.broker is not None:
            found["broker"] = list(self.broker)
            found["tls"] = self.ca is not None
        if self.ca is not None:
            found["ca"] = True
        return found


@dataclass(frozen=True)
class Step:
    """One step of a trial, as the hub told it."""

    step: str
    ok: bool
    why: str = ""
    rssi: int | None = None
    more: str = ""


@dataclass(frozen=True)
class Heard:
    """A network around the hub."""

    ssid: str
    rssi: int
    open: bool


class Session:
    """`async with Session(wire, key, hub_id) as hub`; hub_id None: whichever hub answers to the key."""

    def __init__(self, wire: Wire, key: bytes, hub_id: str | None = None) -> None:
        self.hub_id = hub_id or ""
        self._wire, self._aead, self._wanted = wire, AesCcm(key), hub_id
        self._decoder = frame.Decoder()
        self._boot = 0
        self._last = 0  # n of the newest message of this boot
        # In microseconds, so that the next session's are higher even within this second.
        self._epoch, self._counter = divmod(time.time_ns() // 1000, 1_000_000)
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
        self._greeted = asyncio.Event()
        self._open = False
        self._lost = False

    async def __aenter__(self) -> Session:
        await self._wire.open(self._came)
        try:
            await self._find()
        except BaseException:
            await self._wire.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    # What may be asked

    async def status(self) -> dict[str, Any]:
        """How the hub stands; ProvisionError when it does not answer to this key."""
        found = await self._ask({"do": "status"}, "status")
        if found is None:
            raise ProvisionError(
                f"hub {self.hub_id} does not answer to this code: read it from its label again; after ten "
                f"wrong "
                "ones, or once its network works, it listens to none until its button is pressed while it "
                "is offline"
            )
        return found

    async def set_time(self) -> bool:
        """Tell the hub what time it is here; False when it knows that it is later."""
        found = await self._ask({"do": "time", "utc_ms": time.time_ns() // 1_000_000}, "time")
        return bool(found and found.get("ok"))

    async def identify(self) -> None:
        """Its lamp and buzzer, for some seconds."""
        await self._ask({"do": "identify"}, "status")

    async def scan(self) -> list[Heard]:
        """The networks around it, strongest first."""
        await self._say({"do": "scan"})
        found: list[Heard] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SCAN_S):
                while True:
                    message = await self._next()
                    if message.get("is") == "scan":
                        found += [one for row in message.get("networks") or () if (one := _network(row))]
                        if message.get("last", True):
                            break
                    elif message.get("is") == "refused":
                        raise ProvisionError(refusal(self.hub_id, str(message.get("why"))))
        return found

    async def trial(self, settings: Settings) -> AsyncIterator[Step]:
        """Have the hub try settings: each step as it ends; the last one is `done`, or not ok."""
        if settings.ca is not None:
            await self._send_ca(settings.ca)
        await self._say(settings.message())
        heard_any = tried = False
        end = asyncio.get_running_loop().time() + TRIAL_S
        while (left := end - asyncio.get_running_loop().time()) > 0:
            try:
                async with asyncio.timeout(min(left, left if heard_any else 3 * ANSWER_S)):
                    message = await self._next()
            except TimeoutError:
                if heard_any or tried:
                    break
                # Not a step yet: was it lost? A hub that is at it says "busy", which is an answer too.
                tried = True
                await self._say(settings.message())
                continue
            if message.get("is") == "refused":
                if str(message.get("why")) == "busy" and (heard_any or tried):
                    heard_any = True
                    continue
                raise ProvisionError(refusal(self.hub_id, str(message.get("why"))))
            if message.get("is") != "step":
                continue
            heard_any = True
            step = _step(message)
            yield step
            if not step.ok or step.step == "done":
                return
        raise ProvisionError(
            f"hub {self.hub_id} stopped telling how it goes: look at its lamp, and run this again in two "
            f"minutes"
        )

    # Inside

    async def _send_ca(self, ca: bytes) -> None:
        at = tries = 0
        while at < len(ca):
            piece = {"do": "ca", "at": at, "data": ca[at : at + CA_PIECE]}
            found = await self._ask(piece, "ca")
            size = found.get("size") if found else None
            tries += 1
            if type(size) is not int or not 0 <= size <= len(ca) or tries > 20:
                raise ProvisionError(
                    f"hub {self.hub_id} does not take the CA bundle: {len(ca)} bytes, of which it keeps "
                    f"1,024 at most"
                )
            at = size

    async def _find(self) -> None:
        """Until a hello that tells who it is, and that it listens."""
        end = asyncio.get_running_loop().time() + FOUND_S
        while not self._greeted.is_set() and asyncio.get_running_loop().time() < end:
            await self._wire.write(frame.encode(frame.HELLO, cbor.dumps({0: VERSION})))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HELLO_S):
                    await self._greeted.wait()
            if self._lost:
                raise ProvisionError(_gone(self._wire.name))
        if not self._greeted.is_set():
            raise ProvisionError(
                f"{self._wire.name}: no hub answers there; if its network works it takes no other: press its "
                "button while it is offline, and see that this is its port and that it has power"
            )
        if self._wanted and self.hub_id != self._wanted:
            raise ProvisionError(
                f"{self._wire.name}: this is hub {self.hub_id}, not {self._wanted}: take the other hub, "
                f"or name this one"
            )
        if not self._open:
            raise ProvisionError(
                f"hub {self.hub_id} takes no settings now: while it reaches nobody press its button (that "
                f"is a call, "
                "too), and run this within ten minutes"
            )

    def _came(self, data: bytes) -> None:
        if not data:
            self._lost = True
            self._put({"is": "lost"})
            self._greeted.set()
            return
        for kind, body in self._decoder.feed(data):
            if kind == frame.HELLO:
                self._hello(body)
            elif kind == frame.COMMISSION_UP:
                self._up(body)

    def _hello(self, body: bytes) -> None:
        try:
            hello = cbor.loads(body)
        except cbor.CborError:
            return
        if not isinstance(hello, dict) or hello.get(0) != VERSION or not is_id(hello.get(1, "")):
            return
        boot = hello.get(2)
        if type(boot) is not int or not 0 < boot < 1 << 32:
            return
        if self._greeted.is_set() and hello[1] != self.hub_id:
            return
        if boot != self._boot:
            self._boot, self._last = boot, 0
        self.hub_id = hello[1]
        self._open = hello.get(OPEN) == 1
        self._greeted.set()

    def _up(self, body: bytes) -> None:
        try:
            sealed = seal.parse(body)
            if sealed.a != self._boot or sealed.b <= self._last or sealed.generation != GENERATION:
                return
            message = cbor.loads(sealed.open(self._aead, self.hub_id, seal.UP))
        except ValueError:  # SealError and CborError are; somebody else's, or damaged
            return
        if isinstance(message, dict):
            self._last = sealed.b
            self._put(message)

    def _put(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # nobody waits for that many
            self._heard.put_nowait(message)

    async def _next(self) -> dict[str, Any]:
        message = await self._heard.get()
        if message.get("is") == "lost":
            raise ProvisionError(_gone(self._wire.name))
        return message

    async def _say(self, message: dict[str, Any]) -> None:
        self._counter += 1
        nonce = (self._boot, self._epoch, self._counter)
        sealed = seal.seal(self._aead, GENERATION, self.hub_id, seal.DOWN, *nonce, cbor.dumps(message))
        await self._wire.write(frame.encode(frame.COMMISSION_DOWN, sealed))

    async def _ask(self, message: dict[str, Any], answer: str) -> dict[str, Any] | None:
        """The first answer of that kind, asked for again when none comes; None: none."""
        for _ in range(TRIES):
            await self._say(message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    while True:
                        found = await self._next()
                        if found.get("is") == answer:
                            return found
                        if found.get("is") == "refused":
                            raise ProvisionError(refusal(self.hub_id, str(found.get("why"))))
        return None


def refusal(hub_id: str, why: str) -> str:
    """What a hub says to a message that it does not carry out."""
    return {
        "busy": f"hub {hub_id} is trying other settings at this moment: run this again in two minutes",
        "no_ca": f"hub {hub_id} lost the CA bundle on the way: run this again",
        "unknown": f"hub {hub_id} has an older firmware that does not know this: update it first",
        "malformed": f"hub {hub_id} does not take these settings: look at what was given, or update it first",
    }.get(why, f"hub {hub_id} refuses: {why}")


def _gone(name: str) -> str:
    return (
        f"{name}: the connection to the hub was lost: stay near it, see to its cable and power, and run "
        f"this again"
    )


def _network(row: Any) -> Heard | None:
    if not (isinstance(row, list) and len(row) >= 3 and type(row[1]) is int):
        return None
    name = row[0].decode("utf-8", "replace") if isinstance(row[0], bytes) else row[0]
    return Heard(_shown(name), row[1], bool(row[2])) if isinstance(name, str) else None


def _shown(text: object) -> str:
    # A network's name is whatever its owner likes, and no terminal is to be steered by it.
    return "".join(char if char.isprintable() else "\ufffd" for char in str(text or ""))


def _step(message: dict[str, Any]) -> Step:
    rssi = message.get("rssi")
    return Step(
        _shown(message.get("step")),
        message.get("ok") is True,
        _shown(message.get("why")),
        rssi if type(rssi) is int else None,
        _shown(message.get("more")),
    )
