"""The suite's host with hubs that nobody flashed: the platform's view, the observer, further homes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiomqtt
import pytest

from kanhu.qa.board import BoardTrouble
from kanhu.qa.capabilities import NeedsCapability
from kanhu.qa.host import SERIAL_HOMES, Host, Platform, wait_for
from kanhu.qa.targets.sim_homes import Homes

LONG_S = 90.0


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with Host(tmp_path_factory.mktemp("host"), heartbeat_s=5) as made:
        yield made


def again(host: Host, topic: str, payload: bytes) -> None:
    """Publish a message as somebody would who sends it twice."""

    async def publish() -> None:
        async with aiomqtt.Client(host.town.broker.host, host.town.broker.port) as client:
            await client.publish(topic, payload, qos=1)

    asyncio.run(publish())


@pytest.mark.timeout(300)
def test_a_home_on_the_cable_calls_and_what_comes_twice_is_seen_though_the_sdk_hides_it(host: Host) -> None:
    (board,) = [Homes(host).add(links=["serial"])]
    platform = Platform(host)
    pressed = board.press()
    call = platform.wait_event("call", board.hub_id, LONG_S)
    assert [event.identity for event in platform.events("call", board.hub_id)] == [call.identity]
    ((at, _),) = platform.timed("call", board.hub_id)
    assert at > pressed.at
    assert platform.calls(board.hub_id) == 1
    assert host.journal_calls(board.hub_id) == [(call.identity.boot, call.identity.seq)]
    identity = (call.source, call.id)
    wait_for(lambda: platform.arrivals().get(identity), LONG_S, lambda: "the observer heard nothing")
    assert platform.repeated() == {}
    (raw,) = [one for one in host.observer.heard if f'"{call.id}"'.encode() in one.payload]
    again(host, raw.topic, raw.payload)
    wait_for(lambda: platform.repeated() or None, LONG_S, lambda: "the observer did not hear the second")
    assert platform.repeated() == {identity: 2}
    assert platform.calls(board.hub_id) == 1
    board.wait_indicator("delivered", LONG_S)
    assert host.open_alarms(board.hub_id) == [call.alarm]
    platform.accept_all()
    board.wait_indicator("well", LONG_S)
    wait_for(lambda: not host.open_alarms(board.hub_id) or None, LONG_S, lambda: "the alarm stays open")
    sums = host.wait_settled(board.hub_id)
    assert sums["stored"] == sums["announced"] == len(host.stored(board.hub_id))
    assert Platform(host).events() == []


@pytest.mark.timeout(300)
def test_a_home_over_the_proxy_holds_a_sensor_for_a_while(host: Host) -> None:
    board = Homes(host).add()
    connections = host.proxy.connections
    assert connections
    before = host.newest(board.hub_id)
    with host.paired(board.hub_id, "call", bytes.fromhex("a4c138000001"), "suite") as index:
        assert [one.index for one in host.registry.sensors(board.hub_id)] == [index]
    assert host.registry.sensors(board.hub_id) == []
    host.wait_heard(board.hub_id, before, LONG_S)
    with pytest.raises(NeedsCapability, match="this bench has no flash"):
        board.flash()
    board.power(False)
    with pytest.raises(TimeoutError, match="nothing was heard"):
        host.wait_heard(board.hub_id, host.newest(board.hub_id), 0.5)


def test_the_daemon_has_so_many_ports(host: Host) -> None:
    homes = Homes(host)
    homes._names[True] = iter(())
    with pytest.raises(BoardTrouble, match=f"it has {len(SERIAL_HOMES)} in all"):
        homes.add(links=["serial"])
