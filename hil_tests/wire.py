"""What passes the hubs' broker, as somebody without a key sees it, and what such a one may say there."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho

from kanhu.qa.host import wait_for
from kanhu.qa.rig import Rig

TOPICS = "kanhu/1/hubs/+/#"
UP_S = 30.0


class Wire:
    """`with Wire(bench) as wire`: a client of the broker's own, none of this project's code in it."""

    def __init__(self, bench: Rig) -> None:
        broker = bench.host.town.broker
        self.heard: list[tuple[str, bytes]] = []
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "a-listener")
        self._client.on_connect = lambda *_: self._client.subscribe(TOPICS, 1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        self._client.connect(broker.host, broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self._ready.wait(UP_S), "the listener found no broker"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))

    def on(self, ending: str, start: int = 0) -> list[bytes]:
        """Payloads of topics with this ending, in order, from the start-th message of all on."""
        return [payload for topic, payload in list(self.heard)[start:] if topic.endswith(ending)]

    def wait(self, ending: str, start: int = 0, timeout: float = 30.0) -> bytes:
        """The first of them; TimeoutError."""
        return wait_for(
            lambda: next(iter(self.on(ending, start)), None), timeout, lambda: f"nothing on ..{ending}"
        )

    def say(self, topic: str, *payloads: bytes) -> None:
        """At QoS 1; returns when the broker has taken all."""
        for payload in payloads:
            self._client.publish(topic, payload, 1).wait_for_publish(UP_S)
        time.sleep(0.1)
