"""Hostile messages towards a hub, over MQTT and over serial: it counts them in its heartbeat, its lamp claims
no answer that nobody gave, and the next press is delivered."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers_e2e import Observer, flips, key_of, open_down, open_up, split, truncations, wait_for
from helpers_serial import Tap
from kanhu.aead import AesCcm
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import cbor, down, frame, seal
from kanhu_protocol import kinds as k

BYTES = random.Random(3)
NEVER = {"accepted", "delivered", "stored"}  # what a replayed receipt or answer would make the lamp claim
LATE = (0xFFFF0000, 1)  # epoch, counter above all that a daemon has used


def refused(city: City, home: Home, after: int) -> dict[str, int]:
    """What the hub's heartbeats tell of refusals, from the after-th event at the platform on."""
    found = city.events()[after:]
    beats = [one for one in found if one.name == "heartbeat" and one.hub == home.hub_id]
    return dict(beats[-1].data["refused"]) if beats else {}


def hostile(town: Town, home: Home, genuine: bytes, boot: int) -> tuple[list[bytes], int]:
    """Messages that no honest host of this hub sends, and how many of them look like messages."""
    other, other_key = town.registry.add_hub(town.registry.add_home())
    right, wrong = key_of(town, home.hub_id), AesCcm(bytes(range(16)))
    answer = down.encode(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: [boot, 2], k.ALARM_STATE: k.ACCEPTED})

    def sealed(aead: AesCcm, hub_id: str, generation: int = 1, way: int = seal.DOWN) -> bytes:
        epoch, counter = LATE if way == seal.DOWN else (7, 0)
        return bytes(seal.seal(aead, generation, hub_id, way, boot, epoch, counter, answer))

    look_alike = [
        sealed(wrong, home.hub_id),
        sealed(AesCcm(other_key), other),
        sealed(right, other),
        sealed(right, home.hub_id, generation=2),
        sealed(right, home.hub_id, way=seal.UP),
    ]
    noise = [BYTES.randbytes(size) for size in range(1, 80)]
    plain = [b"ACCEPTED", cbor.dumps({k.TYPE: k.ALARM_IS}), cbor.dumps([1, 2, 3])]
    return [*noise, *plain, *truncations(genuine)[1:], *flips(genuine), *look_alike], len(look_alike)


def answered_and_closed(town: Town, home: Home, city: City) -> None:
    """A press that a person takes and closes: its receipts and answers are on the wire."""
    town.bench.press("north/bedroom")
    city.wait(lambda event: event.name == "call" and event.hub == home.hub_id)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 10)
    town.bench.wait_indicator(home.hub, "well", 15)


def count_of(city: City, home: Home, wanted: dict[str, int]) -> dict[str, int]:
    """The hub's counts once a heartbeat tells at least this many, all together."""
    after = len(city.events())
    wait_for(
        lambda: sum(refused(city, home, after).values()) >= sum(wanted.values()),
        40,
        f"the hub counts {refused(city, home, after)}, not {wanted}",
    )
    return refused(city, home, after)


def lamp_is_well(town: Town, home: Home) -> None:
    """Now, or once a blink that hundreds of messages held up is over; no answer shows in between."""

    def well() -> bool:
        shown = town.bench.indicator(home.hub).pattern
        assert shown not in NEVER
        return shown == "well"

    wait_for(well, 5, "the lamp is not well")


def press_is_delivered(town: Town, home: Home, city: City) -> None:
    before = len(city.events("call"))
    town.bench.press("north/bedroom")
    wait_for(lambda: len(city.events("call")) == before + 1, 15, "the press does not arrive")
    town.bench.wait_indicator(home.hub, "delivered", 5)


@pytest.fixture
def home(town: Town) -> Home:
    made = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(made.hub, "well", 15)
    return made


@pytest.fixture
def wire(town: Town, home: Home) -> Iterator[Observer]:
    with Observer(town.broker.port, "kanhu/1/hubs/+/down", "kanhu/1/hubs/+/up/#") as observer:
        yield observer


def test_down_over_mqtt(town: Town, home: Home, city: City, wire: Observer) -> None:
    answered_and_closed(town, home, city)
    genuine = [one.payload for one in wire.on(f"{home.hub_id}/down")]
    messages, look_alike = hostile(town, home, genuine[-1], 1)
    topic = f"kanhu/1/hubs/{home.hub_id}/down"
    wire.publish(topic, *messages)
    wire.publish(topic, *genuine)
    counts = count_of(city, home, {"any": len(messages) + len(genuine)})
    assert counts["forged"] + counts["malformed"] == len(messages)
    assert counts["forged"] >= look_alike
    assert counts["replayed"] == len(genuine)
    lamp_is_well(town, home)
    press_is_delivered(town, home, city)


def test_an_answer_of_an_earlier_boot_is_none(town: Town, home: Home, city: City, wire: Observer) -> None:
    """An answer was on its way when the hub lost power: sealed for another boot, it proves nothing."""
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "delivered", 5)
    town.bench.cut_power(home.hub)
    (call,) = city.events("call")
    start = len(wire.heard)
    wire.publish(
        "kanhu/1/commands",
        json.dumps({"command": "accept", "alarm": call.alarm, "operator": "op-7"}).encode(),
    )

    def answers() -> list[bytes]:
        return [
            one.payload
            for one in wire.on(f"{home.hub_id}/down", start)
            if open_down(town, home.hub_id, one.payload).get(k.ALARM_STATE) == k.ACCEPTED
        ]

    wait_for(answers, 10, "the daemon says no answer")
    town.daemon.kill()
    everything = [one.payload for one in wire.on(f"{home.hub_id}/down")]
    town.bench.power(home.hub)
    town.bench.wait_indicator(home.hub, "unanswered", 10)
    wait_for(lambda: len(wire.on(f"{home.hub_id}/up/p4", start)), 15, "the hub does not start")
    wire.publish(f"kanhu/1/hubs/{home.hub_id}/down", *everything)

    def replays_counted() -> bool:
        assert town.bench.indicator(home.hub).pattern not in NEVER
        told = [open_up(town, home.hub_id, split(one.payload)[-1]) for one in wire.on("/up/p5", start)]
        return any(one[k.REFUSED][1] >= len(everything) for one in told if k.REFUSED in one)

    wait_for(replays_counted, 20, "the hub does not count the replays")
    town.bench.wait_indicator(home.hub, "unanswered", 1)
    town.daemon.start()  # it says the same again, sealed for this boot
    town.bench.wait_indicator(home.hub, "accepted", 20)


def test_down_over_serial(
    make_town: Callable[..., Town], make_city: Callable[..., City], tmp_path: Path
) -> None:
    port = tmp_path / "tap.tty"
    town = make_town(daemon={"hubs": {"serial": [str(port)]}})
    home = town.add_home("north", links=("serial",), buttons={"bedroom": 4})
    tap = Tap(home.hub.tty)
    try:
        port.symlink_to(tap.path)
        town.start()
        city = make_city(town)
        town.bench.wait_indicator(home.hub, "well", 20)
        answered_and_closed(town, home, city)
        genuine = list(tap.down)
        messages, look_alike = hostile(town, home, genuine[-1], 1)
        tap.say(*messages, *genuine)
        counts = count_of(city, home, {"any": len(messages) + len(genuine)})
        assert counts["forged"] + counts["malformed"] == len(messages)
        assert counts["forged"] >= look_alike
        assert counts["replayed"] == len(genuine)
        lamp_is_well(town, home)
        # Ctrl-C is left out: on a console it stops the hub for whoever works at it, by intent.
        noise = bytes(byte for byte in BYTES.randbytes(4000) if byte not in (3, 4))
        whole = frame.encode(frame.DOWN, genuine[-1])
        damaged = [whole[:half] for half in range(2, len(whole) - 1, 7)]
        damaged += [whole[:9] + bytes((whole[9] ^ 0x40,)) + whole[10:]]
        damaged += [b"~" + b"A" * 3000 + b"~", frame.encode(9, b"x"), frame.encode(frame.UP, genuine[-1])]
        for one in [noise, *damaged]:
            tap.inject(one)
            tap.say(cbor.dumps({0: 1}), kind=frame.HELLO)
        after = count_of(city, home, {"any": sum(counts.values()) + len(damaged)})
        assert after["malformed"] >= counts["malformed"] + len(damaged)
        assert (after["forged"], after["replayed"]) == (counts["forged"], counts["replayed"])
        press_is_delivered(town, home, city)
        city.accept_all()
        town.bench.wait_indicator(home.hub, "accepted", 10)
        assert home.hub.boots == 1
    finally:
        tap.close()
