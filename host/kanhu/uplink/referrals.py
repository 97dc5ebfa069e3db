"""The line to the service platform: referrals alone, on a topic of their own, over a session of its own.

At least once: a referral counts as passed on when the broker has acknowledged it, which is kept on disk; the
service platform keeps a persistent session there, and knows one it had before by source and id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from kanhu.care.following import Follower, Mark
from kanhu.config import Broker
from kanhu.errors import LinkDown
from kanhu.journal import Event, Journal
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_tls import ClientTls
from kanhu_protocol import kinds as k

TOPIC = "kanhu/1/referrals"
ACK_S = 30.0  # for the broker's PUBACK
AGAIN_S = 1.0

log = structlog.get_logger("kanhu.referrals")


class ReferralLine:
    """Publishes the daemon's referral events as CloudEvents, in order. `render` makes an event's message."""

    def __init__(self, broker: Broker, journal: Journal, render: Callable[[Event], bytes]) -> None:
        self._journal = journal
        self._render = render
        tls = None
        if broker.tls is not None:
            tls = ClientTls(broker.tls, broker.host)
            tls.check()
        self._client = MqttClient(
            broker.host, broker.port, f"kanhu-{journal.daemon_id}-referrals", clean=True,
            username=broker.username, password=broker.password(), tls=tls,
        )  # fmt: skip
        self._up = asyncio.Event()
        self._follower = Follower(journal, "referral_line", (k.REFERRAL,), self._pass_on)
        self.passed_on = 0

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._client.connected

    def forget(self, hub: str) -> None:
        """A hub is being erased: its referrals are the daemon's own events, and go by their SUBJECT."""
        self._follower.forget(hub)

    async def run(self) -> None:
        """Keep the session and pass on, until cancelled."""

        async def up() -> None:
            log.info("the line to the service platform is up", topic=TOPIC)
            self._up.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(self._client.run(up))
            group.create_task(self._follower.run())

    async def _pass_on(self, event: Event, mark: Mark) -> None:
        if event.sealed is not None:
            return  # no hub refers anybody
        message = self._render(event)
        while True:
            if not self._client.connected:
                self._up.clear()
                await self._up.wait()
            try:
                async with asyncio.timeout(ACK_S):
                    await self._client.publish(TOPIC, message)
                break
            except (LinkDown, TimeoutError):
                await asyncio.sleep(AGAIN_S)
        batch = self._journal.batch()
        mark(batch)
        await batch.submit()
        self.passed_on += 1
