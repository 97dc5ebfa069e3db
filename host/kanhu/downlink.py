"""Receipts and commands down to hubs: sealed, numbered, on the link each hub was last heard on.

Receipts are gathered for a moment (bulk) or leave at once (P1) and are not confirmed: a lost one is
repaired when the hub says its event again. Commands are said again until the hub confirms them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from kanhu.journal.commands import REPLACES
from kanhu.links.hub_link import HubLink
from kanhu_protocol import down, kinds, seal

log = structlog.get_logger("kanhu.downlink")

GATHER_S = 0.05  # bulk receipts wait this long for company
COMMAND_FIRST_S, COMMAND_MAX_S = 2.0, 60.0  # contracts, section 5
LINK_STICKS_S = 2.0  # a hub heard on two links at a time: counters must not overtake each other
TIME_AGAIN_S = 30.0  # a hub without a clock is told the time at most this often
FLUSH_AT_ONCE = 50  # hubs in one turn of the loop: some 5 ms
SINGLES_MAX = 20  # identities in one receipt and, below, cumulative pairs: at the longest 11 bytes each,
UPTO_MAX = 10  # so a receipt stays below seal.MAX_SEALED

# Another daemon may begin the same epoch, in the same second: then no nonce of one is one of the other's.
COUNTER_START = 1 << 30

Identity = tuple[int, int]  # (boot, seq)


class Aead(Protocol):
    def seal(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes: ...
    def open(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes: ...


@dataclass
class Command:
    """One command on its way to a hub."""

    number: int
    type: int
    fields: dict[int, Any]
    due: float = 0.0
    delay: float = COMMAND_FIRST_S
    sent: float | None = None  # when a link last took it


@dataclass
class _Hub:
    boot: int = 0
    links: dict[str, float] = field(default_factory=dict)  # link name: when last heard, monotonic s
    link: str | None = None  # the one that took the last message
    stored_upto: dict[int, int] = field(default_factory=dict)
    stored_single: list[Identity] = field(default_factory=list)
    delivered_single: list[Identity] = field(default_factory=list)
    commands: dict[int, Command] = field(default_factory=dict)
    time_said: float = float("-inf")
    overtaken: int = 0  # times it had heard a later message than ours

    def ways(self) -> list[str]:
        """Links, the best one first: that heard last, but the one in use while it is hardly older."""
        names = sorted(self.links, key=self.links.__getitem__, reverse=True)
        if self.link in self.links and self.links[names[0]] - self.links[self.link] < LINK_STICKS_S:
            names.remove(self.link)
            names.insert(0, self.link)
        return names

    def may_hear(self, command: Command) -> bool:
        """Whether saying a command now is of use: a hub that is away finds it in its session already."""
        if command.sent is None or command.delay < COMMAND_MAX_S:
            return True
        return any(heard > command.sent for heard in self.links.values())


def _by_boot(singles: Iterable[Identity]) -> list[list[int]]:
    rows: dict[int, list[int]] = {}
    for boot, seq in singles:
        rows.setdefault(boot, [boot]).append(seq)
    return list(rows.values())


class Downlink:
    """All hubs' way down. `key_of(hub_id)` gives (generation, AEAD) of a hub, None for an unknown one."""

    def __init__(
        self,
        key_of: Callable[[str], tuple[int, Aead] | None],
        next_epoch: Callable[[int], int],
    ) -> None:
        self._key_of = key_of
        self._next_epoch = next_epoch
        self._epoch = next_epoch(int(time.time()))
        self._counter = secrets.randbelow(COUNTER_START)
        self._hubs: dict[str, _Hub] = {}
        self._links: dict[str, HubLink] = {}
        self._wake = asyncio.Event()
        self._gathering: dict[str, float] = {}  # hubs with receipts for them: when these leave, rising
        self._next_flush: asyncio.TimerHandle | None = None
        self.sent = 0
        self.overtaken = 0  # times a hub had heard a later message than ours
        self.unsent = 0  # no link could take it; repaired by the next resend

    def attach(self, link: HubLink) -> None:
        self._links[link.name] = link

    def _hub(self, hub_id: str) -> _Hub:
        hub = self._hubs.get(hub_id)
        if hub is None:
            hub = self._hubs[hub_id] = _Hub()
        return hub

    # What the daemon tells us

    def present(self, hub_id: str, link: str) -> None:
        """A link can reach this hub (not authenticated: used only while no event has been heard)."""
        self._hub(hub_id).links.setdefault(link, 0.0)

    def heard(self, hub_id: str, boot: int, link: str) -> None:
        """An authentic event of the hub came over this link; boot is the one it is in now."""
        hub = self._hub(hub_id)
        hub.links[link] = time.monotonic()
        hub.boot = boot
        if any(command.due <= hub.links[link] for command in hub.commands.values()):
            self._wake.set()

    def restore(self, hub_id: str, boot: int, commands: Iterable[Command]) -> None:
        """At start: the hub's current boot and its unconfirmed commands, from the journal."""
        hub = self._hub(hub_id)
        hub.boot = max(hub.boot, boot)
        hub.commands = {command.number: command for command in commands}

    def forget(self, hub_id: str) -> None:
        """A hub is being erased: nothing is said to it any more."""
        self._hubs.pop(hub_id, None)
        self._gathering.pop(hub_id, None)

    def boot(self, hub_id: str) -> int:
        """The boot that messages to the hub are sealed for; 0 when it was never heard."""
        hub = self._hubs.get(hub_id)
        return hub.boot if hub is not None else 0

    def reported(self, hub_id: str, epoch: int, counter: int) -> bool:
        """A heartbeat told the (epoch, counter) its hub last opened; ours must stay above. True when that
        shows another host at work: once may be what this one said before its journal was restored."""
        if (epoch, counter) <= (self._epoch, self._counter):
            return False
        log.warning("a hub has heard a later message than ours; raising our epoch", hub=hub_id, epoch=epoch)
        self._epoch, self._counter = self._next_epoch(epoch + 1), secrets.randbelow(COUNTER_START)
        self.overtaken += 1
        hub = self._hub(hub_id)
        hub.overtaken += 1
        return hub.overtaken > 1

    def stored(self, hub_id: str, upto: Iterable[Identity], single: Iterable[Identity]) -> None:
        """Events are on disk: UPTO pairs and single identities; singles leave at once."""
        hub = self._hub(hub_id)
        for boot, seq in upto:
            if seq > hub.stored_upto.get(boot, -1):
                hub.stored_upto[boot] = seq
        at_once = len(hub.stored_single)
        hub.stored_single.extend(single)
        self._schedule(hub_id, hub, at_once=len(hub.stored_single) > at_once)

    def delivered(self, hub_id: str, single: Iterable[Identity]) -> None:
        """The platform has acknowledged these P1 events."""
        hub = self._hub(hub_id)
        hub.delivered_single.extend(single)
        self._schedule(hub_id, hub, at_once=True)

    # Receipts

    def _schedule(self, hub_id: str, hub: _Hub, at_once: bool) -> None:
        if at_once:
            self._gathering.pop(hub_id, None)
            self._flush(hub_id, hub)
        elif hub_id not in self._gathering:
            loop = asyncio.get_running_loop()
            self._gathering[hub_id] = loop.time() + GATHER_S
            if self._next_flush is None:
                self._next_flush = loop.call_later(GATHER_S, self._flush_some)

    def _flush_some(self) -> None:
        # A few in one turn of the loop: receipts of thousands of hubs would keep a call waiting.
        loop = asyncio.get_running_loop()
        now = loop.time()
        for _ in range(FLUSH_AT_ONCE):
            hub_id = next(iter(self._gathering), None)
            if hub_id is None or self._gathering[hub_id] > now:
                break
            del self._gathering[hub_id]
            self._flush(hub_id, self._hubs[hub_id])
        due = next(iter(self._gathering.values()), None)
        self._next_flush = None if due is None else loop.call_later(max(0.0, due - now), self._flush_some)

    def _flush(self, hub_id: str, hub: _Hub) -> None:
        while hub.stored_upto or hub.stored_single:
            message: dict[int, Any] = {}
            upto = sorted(hub.stored_upto.items())[:UPTO_MAX]
            if upto:
                message[kinds.UPTO] = [list(pair) for pair in upto]
                for boot, _ in upto:
                    del hub.stored_upto[boot]
            single, hub.stored_single = hub.stored_single[:SINGLES_MAX], hub.stored_single[SINGLES_MAX:]
            if single:
                message[kinds.SINGLE] = _by_boot(single)
            self._send(hub_id, hub, kinds.STORED, message)
        while hub.delivered_single:
            single = hub.delivered_single[:SINGLES_MAX]
            hub.delivered_single = hub.delivered_single[SINGLES_MAX:]
            self._send(hub_id, hub, kinds.DELIVERED, {kinds.SINGLE: _by_boot(single)})

    def _send(self, hub_id: str, hub: _Hub, message_type: int, fields: dict[int, Any]) -> bool:
        key = self._key_of(hub_id)
        if key is None or not hub.boot:
            self.unsent += 1
            return False
        generation, aead = key
        plain = down.encode(message_type, fields)
        self._counter += 1
        data = seal.seal(aead, generation, hub_id, seal.DOWN, hub.boot, self._epoch, self._counter, plain)
        for name in hub.ways():
            link = self._links.get(name)
            if link is not None and link.send_down(hub_id, data):
                hub.link = name
                self.sent += 1
                return True
        self.unsent += 1
        return False

    def chunk(self, hub_id: str, offset: int, data: bytes) -> bool:
        """A piece of a release, not confirmed and not kept; False: no link took it."""
        fields = {kinds.CHUNK_OFFSET: offset, kinds.CHUNK_DATA: data}
        return self._send(hub_id, self._hub(hub_id), kinds.CHUNK, fields)

    # Commands

    def time_is_due(self, hub_id: str) -> bool:
        """Whether a hub without a clock may be told the time now; True at most every 30 s."""
        hub = self._hub(hub_id)
        now = time.monotonic()
        if now - hub.time_said < TIME_AGAIN_S:
            return False
        hub.time_said = now
        return True

    def say_time(self, hub_id: str, number: int) -> None:
        """Tell a hub the time; said again with a new number and the new time, never resent as it is."""
        hub = self._hub(hub_id)
        now_ms = int(time.time() * 1000)
        self._send(hub_id, hub, kinds.TIME, {kinds.NUMBER: number, kinds.TIME_MS: now_ms})

    def command(self, hub_id: str, command: Command) -> None:
        """Send a command now and again until confirm(); it replaces older ones it makes obsolete."""
        hub = self._hub(hub_id)
        for old in list(hub.commands.values()):
            same_alarm = old.fields.get(kinds.ALARM_NAME) == command.fields.get(kinds.ALARM_NAME)
            if old.type in REPLACES.get(command.type, ()) and same_alarm:
                del hub.commands[old.number]
        command.due = time.monotonic()
        hub.commands[command.number] = command
        self._wake.set()

    def confirm(self, hub_id: str, number: int) -> Command | None:
        """The hub has done or refused command `number`; the command, when it was still being sent."""
        return self._hub(hub_id).commands.pop(number, None)

    def booted(self, hub_id: str) -> None:
        """A boot event: everything unconfirmed is due again, and the hub has no clock."""
        hub = self._hub(hub_id)
        hub.time_said = float("-inf")
        for command in hub.commands.values():
            command.due, command.delay, command.sent = time.monotonic(), COMMAND_FIRST_S, None
        self._wake.set()

    async def run(self) -> None:
        """Send commands as they fall due, until cancelled."""
        while True:
            now = time.monotonic()
            following = now + COMMAND_MAX_S
            for hub_id, hub in self._hubs.items():
                for command in hub.commands.values():
                    if command.due <= now:
                        if not hub.may_hear(command):
                            continue  # until heard() wakes us
                        fields = {kinds.NUMBER: command.number, **command.fields}
                        if self._send(hub_id, hub, command.type, fields):
                            command.sent = now
                        command.due = now + command.delay
                        command.delay = min(command.delay * 2, COMMAND_MAX_S)
                    following = min(following, command.due)
            self._wake.clear()
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the event.
                async with asyncio.timeout(max(0.001, following - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                continue
