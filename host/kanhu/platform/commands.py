"""What a platform can ask of the daemon, each answered: what people do about alarms, missing, ping."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kanhu.platform.address import Address
from kanhu.platform.errors import CommandRefused, ConnectError, NoAnswer
from kanhu.platform.link import Link
from kanhu.uplink import commands as contract

COMMANDS = "kanhu/1/commands"
REPLIES = "kanhu/1/replies"
ANSWER_S = 10.0  # what a person at a desk will wait for
RESEND_S = 2.0  # doubling; an answer takes milliseconds
PONG_S = 35.0  # the daemon waits up to 30 s for the hub


class Commands:
    """Sends commands over one connection; an asynchronous context manager."""

    def __init__(self, url: str, *, ca: Path | None = None, wait_for_broker: bool = False) -> None:
        """AddressError when url cannot be read."""
        self.address = Address.parse(url)
        self._ca = ca
        self._wait_for_broker = wait_for_broker
        self._waiting: dict[str, asyncio.Future[str | None]] = {}
        self._link: Link | None = None

    async def __aenter__(self) -> Self:
        """ConnectError when the broker cannot be reached."""
        self._link = Link(self.address, [REPLIES], self._received, ca=self._ca)
        await self._link.start(wait_for_broker=self._wait_for_broker)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._link is not None:
            await self._link.stop()

    def _received(self, topic: str, payload: bytes) -> None:
        if topic != REPLIES or len(payload) > contract.MAX_BYTES:
            return
        try:
            answer = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
            return
        future = self._waiting.get(answer["id"])
        if future is not None and not future.done():
            error = answer.get("error")
            future.set_result(None if answer.get("ok") is True else str(error or "refused without a reason"))

    async def ask(self, command: dict[str, Any], timeout: float = ANSWER_S) -> None:
        """Send one command, wait for its answer; CommandRefused (also when it is malformed) or NoAnswer."""
        if self._link is None:
            raise ConnectError('not connected: use "async with"')
        command_id = secrets.token_hex(8)
        payload = json.dumps({**command, "id": command_id}).encode()
        # The daemon's own check, before anything is sent.
        for item in contract.parse(payload):
            if isinstance(item, contract.CommandError):
                raise CommandRefused(str(item))
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[command_id] = future
        try:
            async with asyncio.timeout(timeout):
                error = await self._until_answered(self._link, payload, future)
        except TimeoutError:
            if not self._link.up.is_set():
                raise NoAnswer(
                    f"no connection to {self.address} for {timeout:g} s: check the broker"
                ) from None
            raise NoAnswer(
                f"no answer within {timeout:g} s: check that kanhu run uses the broker at {self.address}"
            ) from None
        finally:
            del self._waiting[command_id]
        if error is not None:
            raise CommandRefused(error)

    @staticmethod
    async def _until_answered(link: Link, payload: bytes, answer: asyncio.Future[str | None]) -> str | None:
        # A broker that dies may take a command or its answer along; doing a command twice does it once.
        delay = RESEND_S
        while True:
            await link.up.wait()
            try:
                await link.publish(COMMANDS, payload)
            except ConnectError:
                await asyncio.sleep(0.05)
                continue
            done, _ = await asyncio.wait([answer], timeout=delay)
            if done:
                return answer.result()
            delay *= 2

    async def accept(self, alarm: str, *, operator: str, timeout: float = ANSWER_S) -> None:
        """A person takes the alarm; the elder is shown it. CommandRefused says who has it already."""
        await self.ask({"command": "accept", "alarm": alarm, "operator": operator}, timeout)

    async def dispatch(self, alarm: str, *, operator: str, timeout: float = ANSWER_S) -> None:
        """Somebody is on the way; the elder is shown it. CommandRefused before a person has accepted."""
        await self.ask({"command": "dispatch", "alarm": alarm, "operator": operator}, timeout)

    async def on_scene(self, alarm: str, *, operator: str, timeout: float = ANSWER_S) -> None:
        """Somebody has arrived. CommandRefused before a person has accepted."""
        await self.ask({"command": "on_scene", "alarm": alarm, "operator": operator}, timeout)

    async def hand_over(self, alarm: str, *, operator: str, to: str, timeout: float = ANSWER_S) -> None:
        """Another operator has the alarm from now on. CommandRefused before a person has accepted."""
        await self.ask({"command": "hand_over", "alarm": alarm, "operator": operator, "to": to}, timeout)

    async def close(self, alarm: str, *, operator: str, reason: str, timeout: float = ANSWER_S) -> None:
        """A person closes the alarm; reason is a code or short text without personal data."""
        await self.ask({"command": "close", "alarm": alarm, "operator": operator, "reason": reason}, timeout)

    async def correct(self, alarm: str, *, operator: str, reason: str, timeout: float = ANSWER_S) -> None:
        """A person gives a closed alarm another reason; the rule that raised it learns of it."""
        command = {"command": "correct", "alarm": alarm, "operator": operator, "reason": reason}
        await self.ask(command, timeout)

    async def check_in(
        self, hub: str, *, who: str, code: str | None = None, timeout: float = ANSWER_S
    ) -> None:
        """Somebody has come; who is a pseudonym, code the home's of the day. CommandRefused: a wrong one."""
        command = {"command": "check_in", "hub": hub, "who": who}
        await self.ask(command if code is None else command | {"code": code}, timeout)

    async def check_out(self, hub: str, *, who: str, timeout: float = ANSWER_S) -> None:
        """Somebody has left. CommandRefused when they are not checked in."""
        await self.ask({"command": "check_out", "hub": hub, "who": who}, timeout)

    async def missing(
        self, hub: str, ranges: Sequence[tuple[int, int, int]], timeout: float = ANSWER_S
    ) -> None:
        """Have events published again; ranges are (boot, first seq, last seq)."""
        await self.ask({"command": "missing", "hub": hub, "ranges": [list(span) for span in ranges]}, timeout)

    async def ping(self, hub: str, timeout: float = PONG_S) -> None:
        """Is the hub there? CommandRefused when it is not known or does not answer."""
        await self.ask({"command": "ping", "hub": hub}, timeout)
