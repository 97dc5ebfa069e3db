"""Broker killed, daemon killed, hub without power while a backlog waits: the next press goes first, and
everything that was heard arrives exactly once."""

from __future__ import annotations

import sqlite3
import struct
import threading
import time
from binascii import crc32
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from helpers_e2e import Heard, Observer, Pair, account, identities, open_up, split, wait_for
from kanhu.sim.city import City
from kanhu.sim.hub import Hub
from kanhu.sim.town import Town
from kanhu_protocol import kinds as k

BACKLOG = 520  # P5 events on the hub's flash when all three are down
STILL_TO_COME = 200  # P5 events the call must have overtaken, or the run proves nothing
FAST = 100  # simulated seconds per second while the backlog grows
WAY_S = 2.0  # for one call, hub to broker or broker to daemon to broker, on a busy machine
UNDER_WAY = 32  # events: two publishes of at most 16 may have begun when the press was heard


def on_flash(hub: Hub) -> set[Pair]:
    """(boot, seq) of the P5 events that a power cut now would leave on flash."""
    found = set()
    for path, raw in hub.flash_files().items():
        if "/bulk/" not in path:
            continue
        position = 0
        while position + 15 <= len(raw):
            # length, CRC-32, class, boot, seq, sealed
            length, crc, cls, boot, seq = struct.unpack_from(">HIBII", raw, position)
            body, position = raw[position + 6 : position + 15 + length], position + 15 + length
            if crc32(body) == crc and cls == 5:
                found.add((boot, seq))
    return found


def sent_by(wire: Observer, hub_id: str) -> set[Pair]:
    """Everything one hub put on the wire."""
    up = f"kanhu/1/hubs/{hub_id}/up/"
    return {pair for one in wire.heard if one.topic.startswith(up) for pair in identities(one.payload)}


def stored_at(town: Town, hub_id: str, boot: int, seq: int) -> float:
    """When the daemon took an event in, on the observer's clock."""
    with closing(sqlite3.connect(town.daemon.data_dir / "journal.db")) as db:
        (ms,) = db.execute(
            "SELECT received_ms FROM events WHERE hub=? AND boot=? AND seq=?", (hub_id, boot, seq)
        ).fetchone()
    return float(ms / 1000 - time.time() + time.monotonic())


def first_times(wire: Observer, town: Town, hub_id: str) -> tuple[dict[Pair, float], dict[Pair, float]]:
    """When each P5 event of the hub was first on the wire, and first published to the platform."""
    up: dict[Pair, float] = {}
    out: dict[Pair, float] = {}
    for one in wire.heard:
        if one.topic == f"kanhu/1/hubs/{hub_id}/up/p5":
            for pair in identities(one.payload):
                up.setdefault(pair, one.at)
        elif one.topic == "kanhu/1/events/p5" and f"/kanhu/hubs/{hub_id}".encode() in one.payload:
            out.setdefault(published(one), one.at)
    return up, out


def published(message: Heard) -> Pair:
    """(boot, seq) of a CloudEvent."""
    boot, _, seq = message.payload.partition(b'"id":"')[2].partition(b'"')[0].partition(b"-")
    return int(boot), int(seq)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def heard_at(wire: Observer, town: Town, hub_id: str, call: dict[int, Any], boot: int) -> float:
    """When the hub had the press, at the latest, on the observer's clock: its own clock cannot be further
    behind than the quickest of its messages says."""
    offsets = [
        one.at - open_up(town, hub_id, sealed)[k.UP_MS] / 1000
        for one in wire.heard
        if one.topic.startswith(f"kanhu/1/hubs/{hub_id}/up/")
        for sealed in split(one.payload)
        if identities(sealed)[0][0] == boot
    ]
    return float(min(offsets) + call[k.UP_MS] / 1000)


def test_a_press_overtakes_the_backlog_after_all_three_faults(
    make_town: Callable[..., Town], make_city: Callable[..., City], capsys: pytest.CaptureFixture[str]
) -> None:
    town = make_town(heartbeat_s=5)
    town.start()
    home = town.add_home("north", buttons={"bedroom": 4})
    hub = home.hub
    town.bench.wait_indicator(hub, "well", 15)

    town.broker.kill()
    town.bench.cut_power(hub)
    hub.speed = FAST
    town.bench.power(hub)
    begin = time.monotonic()
    wait_for(lambda: time.sleep(0.3) or len(on_flash(hub)) >= BACKLOG, 60, "the backlog does not grow")
    town.bench.cut_power(hub)
    hub.speed = 1
    held = on_flash(hub)
    grown_s = time.monotonic() - begin
    town.daemon.kill()

    town.broker.start()
    town.daemon.start()
    city = make_city(town)
    topics = ("kanhu/1/hubs/+/up/#", "kanhu/1/events/#")
    with Observer(town.broker.port, *topics) as wire:
        town.bench.power(hub)
        wait_for(lambda: wire.on("/events/p5"), 30, "no backlog event reaches the platform")
        pressed = time.monotonic()
        pressing = threading.Thread(target=town.bench.press, args=("north/bedroom",))
        pressing.start()
        call_out = wait_for(lambda: wire.on("/events/p1"), 30, "no call")[0]
        pressing.join()
        call_up = wire.on(f"{home.hub_id}/up/p1")[0]
        call = open_up(town, home.hub_id, call_up.payload)
        wait_for(
            lambda: held <= set(first_times(wire, town, home.hub_id)[1]), 90, "the backlog does not drain"
        )
        city.accept_all()
        town.bench.wait_indicator(hub, "accepted", 10)
        up, out = first_times(wire, town, home.hub_id)
        numbers = account(town, city, home, sent_by(wire, home.hub_id) | held)

    assert call[k.KIND] == k.CALL
    boot, seq = identities(call_up.payload)[0]
    heard = heard_at(wire, town, home.hub_id, call, boot)
    stored = stored_at(town, home.hub_id, boot, seq)
    to_come = {pair for pair in held if out[pair] > call_out.at}
    overtook_the_hub = {pair for pair in up if up[pair] > call_up.at and out[pair] < call_out.at}
    leaving = {pair for pair in up if heard < up[pair] < call_up.at}
    passing = {pair for pair in out if stored < out[pair] < call_out.at}
    with capsys.disabled():
        print(
            f"\n{len(held)} P5 waited on flash (grown in {grown_s:.0f} s); {len(to_come)} still to come when "
            f"the call was at the platform; under way when it was heard: {len(leaving)} P5 at the hub, "
            f"{len(passing)} at the daemon; heard to wire {milliseconds(call_up.at - heard)}, press to "
            f"wire {milliseconds(call_up.at - pressed)}, press to platform "
            f"{milliseconds(call_out.at - pressed)}; {numbers}"
        )
    assert len(held) >= 500
    assert len(to_come) >= STILL_TO_COME
    assert not overtook_the_hub
    assert len(leaving) <= UNDER_WAY
    assert len(passing) <= UNDER_WAY
    assert call_up.at - pressed < WAY_S
    assert call_out.at - call_up.at < WAY_S


@pytest.mark.parametrize("fault", ["broker", "daemon", "power"])
def test_a_press_during_a_fault_arrives_once(town: Town, city: City, fault: str) -> None:
    home = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(home.hub, "well", 15)
    with Observer(town.broker.port, "kanhu/1/hubs/+/up/#") as wire:
        if fault == "daemon":
            town.daemon.kill()
        else:
            town.broker.kill()  # for a power cut too: nothing may have left the hub before it
        town.bench.press("north/bedroom")
        town.bench.wait_indicator(home.hub, "heard", 5)
        sent = sent_by(wire, home.hub_id)
        if fault == "power":
            town.bench.cut_power(home.hub)
            town.bench.power(home.hub)
    if fault == "daemon":
        town.daemon.start()
    else:
        town.broker.start()
    city.wait(lambda event: event.name == "call" and event.hub == home.hub_id, 40)
    if fault == "power":
        city.wait(lambda event: event.name == "boot" and event.id.startswith("2-"), 40)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 20)
    account(town, city, home, sent)
    assert sum(event.data.get("count", 1) for event in city.events("call")) == 1
