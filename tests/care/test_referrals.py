"""Needs go out as events of their own, with nothing in them that was measured or that a person wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from helpers_broker import NatsBroker
from helpers_intake import NOW_MS, Clock, Host, HubVoice
from helpers_mqtt import running, until
from kanhu import config, ledger
from kanhu.broker import free_port
from kanhu.care.referrals import CLOSING, NEEDS, Referrals
from kanhu.config import Broker
from kanhu.daemon import Daemon
from kanhu.ending import end
from kanhu.journal import Event
from kanhu.links.mqtt_client import MqttClient
from kanhu.registry import Home, Registry
from kanhu.uplink.city import City
from kanhu.uplink.referrals import TOPIC, ReferralLine
from kanhu_protocol import kinds as k

NAME = "张秀英"


class Homes:
    def home_of(self, hub_id: str) -> Home | None:
        return Home("home000001", "cn/42", "Asia/Shanghai", NAME, "中山路 7 号", ("+86 1",))


@asynccontextmanager
async def following(host: Host) -> AsyncIterator[Referrals]:
    referrals = Referrals(host.journal)
    task = asyncio.ensure_future(referrals.run())
    await asyncio.sleep(0)
    try:
        yield referrals
    finally:
        await end([task])


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    made = Host(tmp_path, HubVoice(), clock=Clock())
    yield made
    await made.journal.close()


def said(host: Host) -> list[dict[int, Any]]:
    times = (k.KIND, k.UP_MS, k.UTC_MS, k.CLOCK)
    return [
        {key: value for key, value in event.fields.items() if key not in times}
        for event in host.own(k.REFERRAL)
    ]


async def test_a_hub_that_is_forgotten_and_comes_anew_is_followed_again(host: Host) -> None:
    hub = HubVoice()
    async with following(host) as referrals:
        await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
        referrals.forget(hub.hub_id)
        await host.intake.receive(hub.hub_id, hub.say(k.SERVICE_REQUEST, {k.DEVICE: 2}), "mqtt")
        await until(lambda: referrals.made == 1)


async def test_a_service_request_is_referred_once_in_ten_minutes(host: Host) -> None:
    hub = HubVoice()
    async with following(host) as referrals:
        await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
        for _ in range(3):
            await host.intake.receive(hub.hub_id, hub.say(k.SERVICE_REQUEST, {k.DEVICE: 2}), "mqtt")
        await until(lambda: referrals.made == 1)
        host.clock.now_ms += 11 * 60_000
        await host.intake.receive(hub.hub_id, hub.say(k.SERVICE_REQUEST, {k.DEVICE: 2}), "mqtt")
        await until(lambda: referrals.made == 2)
        test = hub.say(k.SERVICE_REQUEST, {k.DEVICE: 3, k.FLAGS: k.TEST})
        await host.intake.receive(hub.hub_id, test, "mqtt")
    assert said(host) == [{k.SUBJECT: hub.hub_id, k.NEED: "service"}] * 2
    sums = ledger.recompute(host.journal.path)
    assert all(map(ledger.balanced, sums.values()))


async def test_a_closing_code_is_a_need_and_a_persons_words_stay_here(host: Host) -> None:
    hub = HubVoice()
    async with following(host) as referrals:
        for seq, reason in enumerate(
            ("needs_meals: 张秀英不能下厨", "helped", "needs_care", "needs_nothing: x")
        ):
            await host.intake.receive(hub.hub_id, hub.start(seq + 1), "mqtt")
            await host.intake.receive(hub.hub_id, hub.say(k.CALL, {k.DEVICE: 1}), "mqtt")
            name = (hub.hub_id, seq + 1, 1)
            await host.alarms.accept(name, "operator-1")
            await host.alarms.close(name, "operator-1", reason)
        await until(lambda: referrals.made == 2)
    assert said(host) == [
        {k.SUBJECT: hub.hub_id, k.NEED: "meals", k.ALARM: [1, 1], k.REASON: "needs_meals"},
        {k.SUBJECT: hub.hub_id, k.NEED: "care", k.ALARM: [3, 1], k.REASON: "needs_care"},
    ]


async def test_hints_missed_visits_and_overdue_faults(host: Host) -> None:
    hub = HubVoice().hub_id
    why = {k.EXPLANATION: ["up at 9:40, usually by 07:00", "九点四十起床"]}
    async with following(host) as referrals:
        await host.journal.host_event(k.RULE_HINT, {k.SUBJECT: hub, k.RULE: "rhythm/1", **why})
        await host.journal.host_event(k.RULE_HINT, {k.SUBJECT: hub, k.RULE: "unheard_of/1", **why})
        await host.journal.host_event(k.MISSED_VISIT, {k.SUBJECT: hub, k.RULE: "missed_visit/1", **why})
        await host.journal.host_event(k.FAULT_OVERDUE, {k.SUBJECT: hub, k.DEVICE: 2, k.DETAIL: 68})
        await until(lambda: referrals.made == 3)
    assert said(host) == [
        {k.SUBJECT: hub, k.NEED: "look_in", k.RULE: "rhythm/1"},
        {k.SUBJECT: hub, k.NEED: "visit", k.RULE: "missed_visit/1"},
        {k.SUBJECT: hub, k.NEED: "equipment"},
    ]
    assert {event.cls for event in host.own(k.REFERRAL)} == {k.P4}
    assert set(CLOSING.values()) <= set(NEEDS)


async def test_over_a_restart_each_need_is_said_once(tmp_path: Path) -> None:
    hub, clock = HubVoice(), Clock()

    async def live(follow: bool, request: bool) -> list[dict[int, Any]]:
        host = Host(tmp_path, hub, clock=clock)
        try:
            async with following(host) as referrals:
                if not follow:
                    referrals._follower._queue.clear()
                    host.journal.on_stored.remove(referrals._follower._stored)  # killed before it could
                if request:
                    await host.intake.receive(hub.hub_id, hub.say(k.SERVICE_REQUEST, {k.DEVICE: 2}), "mqtt")
                await asyncio.sleep(0.1)
            return said(host)
        finally:
            await host.journal.close()

    assert await live(follow=True, request=False) == []
    assert await live(follow=False, request=True) == []
    assert len(await live(follow=True, request=False)) == 1
    assert await live(follow=True, request=False) == []
    assert await live(follow=True, request=True) == []  # within ten minutes of the first, known from disk


def render(host: Host) -> Any:
    city = City(host.journal, host.alarms, Homes(), None)  # type: ignore[arg-type]
    return city.render


async def test_the_line_passes_each_on_although_the_broker_comes_and_goes(host: Host, tmp_path: Path) -> None:
    got: list[dict[str, Any]] = []

    def take(topic: str, payload: bytes, ack: Any) -> None:
        assert topic == TOPIC
        got.append(json.loads(payload))
        ack()

    hub = HubVoice().hub_id
    refer = {k.SUBJECT: hub, k.NEED: "meals", k.REASON: "needs_meals"}
    with NatsBroker(tmp_path / "broker") as broker:
        line = ReferralLine(Broker(host="127.0.0.1", port=broker.port), host.journal, render(host))
        service = MqttClient("127.0.0.1", broker.port, "service-1", on_message=take)
        task = asyncio.ensure_future(line.run())
        async with running(service, TOPIC):
            await host.journal.host_event(k.REFERRAL, refer)
            await host.journal.host_event(k.MODE_SET, {k.SUBJECT: hub, k.MODE: 2, k.DUE_MS: NOW_MS})
            await until(lambda: len(got) == 1)
        broker.kill()
        await host.journal.host_event(k.REFERRAL, refer | {k.NEED: "care"})
        await asyncio.sleep(0.3)
        assert line.passed_on == 1
        broker.start()
        async with running(service, TOPIC):
            await until(lambda: line.passed_on == 2 and len(got) >= 2, 20)
        await end([task])
    assert [one["data"]["need"] for one in got[:2]] == ["meals", "care"]
    assert {one["type"] for one in got} == {"org.kanhu.referral.v1"}
    # What the service platform sees, all of it: pseudonyms, codes, time. No reading, no movement, no name.
    allowed = {"up_ms", "utc_ms", "clock", "subject", "need", "alarm", "rule", "reason"}
    for one in got:
        assert set(one["data"]) <= allowed
        assert NAME not in json.dumps(one, ensure_ascii=False)
        assert one["home"] == "home000001"


async def test_a_killed_daemon_passes_on_what_it_had_not(tmp_path: Path) -> None:
    events: list[Event] = []
    clock, hub = Clock(), HubVoice()
    got: list[str] = []
    with NatsBroker(tmp_path / "broker") as broker:
        at = Broker(host="127.0.0.1", port=broker.port)
        service = MqttClient(
            "127.0.0.1", broker.port, "service-1",
            on_message=lambda topic, payload, ack: (got.append(json.loads(payload)["data"]["need"]), ack()),
        )  # fmt: skip
        async with running(service, TOPIC):
            for need in (None, "meals", None, None):
                host = Host(tmp_path / "data", hub, clock=clock)
                if need:  # said, and the daemon is gone before the line is up
                    events.append(
                        await host.journal.host_event(k.REFERRAL, {k.SUBJECT: hub.hub_id, k.NEED: need})
                    )
                else:
                    task = asyncio.ensure_future(ReferralLine(at, host.journal, render(host)).run())
                    if events:
                        await until(lambda: got == ["meals"])
                    await asyncio.sleep(0.2)
                    await end([task])
                await host.journal.close()
    assert got == ["meals"]


async def test_the_daemon_refers_what_a_hub_asks_for_to_a_service_platform_that_sees_nothing_else(
    tmp_path: Path,
) -> None:
    with closing(Registry.open(tmp_path / "data")) as registry:
        hub = HubVoice(*registry.add_hub(registry.add_home("cn/42", name=NAME)))
    settings: dict[str, object] = {
        "data_dir": tmp_path / "data",
        "broker": {"enabled": True, "port": free_port(), "users": True},
        "platform": {"referrals": True},
        "metrics": {"enabled": False},
    }
    daemon = Daemon(config.parse(settings, "test"))
    stop = asyncio.Event()
    task = asyncio.ensure_future(daemon.run(stop))
    got: list[tuple[str, Any]] = []

    def take(topic: str, payload: bytes, ack: Any) -> None:
        got.append((topic, json.loads(payload)))
        ack()

    try:
        await until(lambda: daemon.referral_line is not None and daemon.referral_line.connected, 20)
        password = (tmp_path / "data" / "broker" / "service.password").read_text().strip()
        port = daemon.config.broker.port
        service = MqttClient(
            "127.0.0.1", port, "service-1", username="service", password=password, on_message=take
        )
        async with running(service, TOPIC):
            said = hub.start(1) + hub.say(k.CHECK_IN, {k.DEVICE: 9}) + hub.say(k.MOTION, {k.DEVICE: 2})
            said += hub.say(k.SERVICE_REQUEST, {k.DEVICE: 3})
            await daemon.submit(hub.hub_id, said, "mqtt")
            await until(lambda: bool(got) and bool(daemon.visits.here(hub.hub_id)), 20)
    finally:
        stop.set()
        await task
    ((topic, event),) = got
    assert (topic, event["type"], event["data"]["need"]) == (TOPIC, "org.kanhu.referral.v1", "service")
    assert event["region"] == "cn/42"
    sums = ledger.recompute(tmp_path / "data" / "journal.db")
    assert all(map(ledger.balanced, sums.values()))
