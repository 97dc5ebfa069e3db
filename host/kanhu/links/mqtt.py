"""MQTT link to all hubs of one broker: two sessions, so that no backlog stands before a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from kanhu.config import HubsBroker
from kanhu.links.hub_link import Inlet
from kanhu.links.mqtt_refusals import Refusals
from kanhu.links.mqtt_sessions import two_sessions

log = structlog.get_logger("kanhu.mqtt")

ROOT = "kanhu/1/hubs/"
PENDING_MAX = 800  # bulk messages not yet settled; beyond, no more is read: a call waits behind so many
PENDING_LOW = 400


class MqttLink:
    """Subscribes P1 (and availability) and P2..P5 in sessions of their own; publishes `down` on the first."""

    def __init__(self, broker: HubsBroker, daemon_id: str, inlet: Inlet) -> None:
        self.name = "mqtt"
        self._inlet = inlet
        self._pending = 0
        self.refusals = Refusals(broker.log_file) if broker.log_file else None
        self.urgent, self.bulk = two_sessions(broker, f"kanhu-{daemon_id}-hubs", self._message)

    @property
    def connected(self) -> bool:
        return self.urgent.connected

    @property
    def oversize(self) -> int:
        """Messages of hubs too long to be read."""
        return self.urgent.counters.oversize + self.bulk.counters.oversize

    def send_down(self, hub_id: str, data: bytes) -> bool:
        """Publish one sealed down message at QoS 1; False without a broker, or when its queue is full."""
        return self.urgent.publish_nowait(f"{ROOT}{hub_id}/down", data)

    async def run(self) -> None:
        """Both sessions, reconnecting, until cancelled."""

        async def urgent_up() -> None:
            await self.urgent.subscribe([(f"{ROOT}+/up/p1", 1), (f"{ROOT}+/availability", 1)])
            log.info("hubs' broker connected", session="urgent")

        async def bulk_up() -> None:
            await self.bulk.subscribe([(f"{ROOT}+/up/p{n}", 1) for n in (2, 3, 4, 5)])
            log.info("hubs' broker connected", session="bulk")

        async with asyncio.TaskGroup() as group:
            group.create_task(self.urgent.run(urgent_up))
            group.create_task(self.bulk.run(bulk_up))
            if self.refusals is not None:
                group.create_task(self.refusals.watch())

    def _message(self, topic: str, payload: bytes, ack: Callable[[], None]) -> None:
        hub_id, _, rest = topic.removeprefix(ROOT).partition("/")
        if rest == "availability":
            self._inlet.present(hub_id, self.name)  # retained: a hint, never evidence of life
            ack()
            return
        self._inlet.submit(hub_id, payload, self.name).add_done_callback(self._one_less)
        self._pending += 1
        if self._pending >= PENDING_MAX:
            self.bulk.hold(True)
        ack()  # our own receipt, not this PUBACK, lets the hub forget: early, so that the pipe stays full

    def _one_less(self, _: object) -> None:
        self._pending -= 1
        if self._pending <= PENDING_LOW:
            self.bulk.hold(False)
