"""What end-to-end tests need beside a town: raw MQTT clients, the daemon's metrics, the whole account."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, NamedTuple

import aiomqtt
from prometheus_client.parser import text_string_to_metric_families

from kanhu import ledger
from kanhu.aead import AesCcm
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import cbor, seal

Pair = tuple[int, int]  # boot, seq


class Heard(NamedTuple):
    """One message as a raw client got it."""

    at: float  # monotonic s
    topic: str
    payload: bytes


class Observer(threading.Thread):
    """A raw MQTT client of its own, none of this project's code in it; also publishes."""

    def __init__(self, port: int, *topics: str) -> None:
        super().__init__(name="observer", daemon=True)
        self.heard: list[Heard] = []
        self._port, self._topics = port, topics
        self._loop = asyncio.new_event_loop()
        self._client: aiomqtt.Client | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Observer:
        self.start()
        assert self._ready.wait(15), "the observer found no broker"
        assert self._failure is None, self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self.join(10)
        self._loop.close()

    def run(self) -> None:
        self._task = self._loop.create_task(self._run())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            pass
        except aiomqtt.MqttError as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _run(self) -> None:
        async with aiomqtt.Client("127.0.0.1", self._port, max_inflight_messages=1000) as client:
            client.pending_calls_threshold = 10_000
            for topic in self._topics:
                await client.subscribe(topic, qos=1)
            self._client = client
            self._ready.set()
            async for message in client.messages:
                self.heard.append(Heard(time.monotonic(), str(message.topic), bytes(message.payload)))

    def publish(self, topic: str, *payloads: bytes) -> None:
        """At QoS 1; returns when the broker has acknowledged all."""
        assert self._client is not None

        async def all_of_them(client: aiomqtt.Client) -> None:
            for start in range(0, len(payloads), 100):
                await asyncio.gather(
                    *(client.publish(topic, payload, qos=1) for payload in payloads[start : start + 100])
                )

        asyncio.run_coroutine_threadsafe(all_of_them(self._client), self._loop).result(60)

    def on(self, ending: str, start: int = 0) -> list[Heard]:
        """What came on topics with this ending, in order, from the start-th message of all on."""
        return [one for one in list(self.heard)[start:] if one.topic.endswith(ending)]


def wait_for(condition: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """The condition's value once it is true; AssertionError after that many seconds."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, what or f"not within {seconds} s"
        time.sleep(0.02)
    return value


def split(payload: bytes) -> list[bytes]:
    """The sealed events of one publish."""
    parts, position = [], 0
    while position < len(payload):
        _, end = cbor.decode_at(payload, position)
        parts.append(payload[position:end])
        position = end
    return parts


def identities(payload: bytes) -> list[Pair]:
    """(boot, seq) of the sealed events of one publish; needs no key."""
    return [(one.a, one.b) for one in map(seal.parse, split(payload))]


def key_of(town: Town, hub_id: str) -> AesCcm:
    """The newest key of a hub."""
    found = town.registry.key(hub_id)
    assert found is not None
    return AesCcm(found[1])


def open_up(town: Town, hub_id: str, sealed: bytes) -> dict[int, Any]:
    """The plain map of one sealed event."""
    return dict(cbor.loads(seal.parse(sealed).open(key_of(town, hub_id), hub_id, seal.UP)))


def open_down(town: Town, hub_id: str, sealed: bytes) -> dict[int, Any]:
    """The plain map of one sealed down message."""
    return dict(cbor.loads(seal.parse(sealed).open(key_of(town, hub_id), hub_id, seal.DOWN)))


class Metrics:
    """The daemon's Prometheus endpoint; its port stands in the daemon's log."""

    def __init__(self, town: Town) -> None:
        lines = [json.loads(line) for line in town.daemon.log().splitlines() if '"metrics"' in line]
        self.url = [line["url"] for line in lines if line.get("event") == "metrics"][-1]

    def read(self) -> dict[tuple[str, ...], float]:
        """(name, label value, ..) -> value, labels in the order of their names."""
        with urllib.request.urlopen(self.url, timeout=10) as answer:  # noqa: S310  # the daemon said http:
            text = answer.read().decode()
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def refused(self, link: str) -> dict[str, int]:
        """reason -> count for one link."""
        return {
            key[2]: int(value)
            for key, value in self.read().items()
            if key[0] == "kanhu_refused_total" and key[1] == link
        }


def flips(data: bytes) -> list[bytes]:
    """The message with each of its bits flipped, one at a time."""
    return [
        data[:at] + bytes((data[at] ^ 1 << bit,)) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]


def truncations(data: bytes) -> list[bytes]:
    """Every proper beginning of the message, the empty one too."""
    return [data[:length] for length in range(len(data))]


def settled(town: Town, hub_id: str, seconds: float = 60.0) -> ledger.Sums:
    """The hub's sums once nothing is awaited or queued; nothing new may be on its way for long."""

    def sums() -> ledger.Sums | None:
        found = ledger.recompute(town.daemon.data_dir / "journal.db").get(hub_id)
        return found if found and not found["awaited"] and not found["queued"] else None

    found: ledger.Sums = wait_for(sums, seconds, "the ledger does not settle")
    return found


def account(town: Town, city: City, home: Home, sent: Iterable[Pair]) -> dict[str, int]:
    """Everything of one hub stands once in the journal and came once to the platform: (sent, journal, city)
    agree, no seq is missing, the ledger balances. Switches the hub off, once it has said everything."""
    hub_id = home.hub_id
    settled(town, hub_id)
    town.bench.cut_power(home.hub)
    sums = settled(town, hub_id)
    assert sums["announced"] == sums["stored"] + sums["lost"] + sums["awaited"]
    assert sums["stored"] == sums["delivered"] + sums["queued"]
    assert sums["lost"] == 0
    with closing(sqlite3.connect(f"file:{town.daemon.data_dir / 'journal.db'}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT boot, seq FROM events WHERE hub=?", (hub_id,)).fetchall()
    kept = set(rows)
    assert len(rows) == len(kept) == sums["stored"]
    for boot in {boot for boot, _ in kept}:
        seqs = sorted(seq for one, seq in kept if one == boot)
        assert seqs == list(range(len(seqs))), f"boot {boot} has gaps"
    assert set(sent) <= kept
    came = [event.id for event in city.events() if event.source == f"/kanhu/hubs/{hub_id}"]
    assert len(came) == len(set(came))
    assert city.tally.repeats == 0
    assert set(came) == {f"{boot}-{seq}" for boot, seq in kept}
    return {"stored": sums["stored"], "at_the_platform": len(came)}
