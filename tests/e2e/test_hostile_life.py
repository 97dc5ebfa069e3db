"""Life of keys and identity with real processes: an older registry, another board in a hub's place, the old
one back, and what was revoked. A call is never silently lost by any of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import cbor2

from helpers_e2e import Observer, wait_for
from kanhu.aead import AesCcm
from kanhu.install.firmware import build_files
from kanhu.journal.past import past
from kanhu.registry import Registry
from kanhu.sim import flash
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu.status import read_status
from kanhu_protocol import events, seal
from kanhu_protocol import kinds as k


def put_registry(town: Town, data: bytes) -> None:
    """Another copy of registry.db in its place, as a restore does."""
    path = town.registry.path
    town.registry.close()
    path.write_bytes(data)
    town.registry = Registry.open(town.daemon.data_dir)


def press_and_answer(town: Town, city: City, home: Home) -> None:
    """All four receipts, seen at the hub's lamp."""
    town.bench.press(f"{home.name}/bedroom")
    town.bench.wait_indicator(home.hub, "delivered", 20)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 20)


def calls_of(city: City, home: Home) -> list[str]:
    return [event.id for event in city.events("call") if event.source == f"/kanhu/hubs/{home.hub_id}"]


def test_a_week_old_registry_still_delivers_receipts(town: Town, make_city: Callable[..., City]) -> None:
    """Hubs it knows are answered; what was added since is refused, told of, and kept by its hub; who was
    revoked stays so; and when the newer copy is back, nothing is missing and nothing came twice."""
    north = town.add_home("north", buttons={"bedroom": 4})
    stolen, stolen_key = town.registry.add_hub(town.registry.add_home())
    city = make_city(town)
    town.bench.wait_indicator(north.hub, "well", 20)
    press_and_answer(town, city, north)
    week_old = town.registry.path.read_bytes()
    south = town.add_home("south", buttons={"bedroom": 4})
    town.registry.revoke_hub(stolen)
    town.bench.wait_indicator(south.hub, "well", 20)
    time.sleep(1.5)  # the daemon remembers what it saw
    newer = town.registry.path.read_bytes()
    town.daemon.stop()
    put_registry(town, week_old)
    town.daemon.start()

    press_and_answer(town, city, north)
    town.bench.press("south/bedroom")
    refused = wait_for(
        lambda: [one for one in read_status(town.daemon.data_dir).refused if one.hub_id == south.hub_id],
        20,
        "the refusal is not told of",
    )
    assert refused[0].reason == "unknown_hub"
    assert refused[0].means == "heard before, and not in this registry: is that an older copy?"
    assert read_status(town.daemon.data_dir).registry_older is not None
    with Observer(town.broker.port, f"kanhu/1/hubs/{south.hub_id}/down") as wire:
        plain = events.encode(k.CALL, 1000, {k.DEVICE: 1})
        wire.publish(
            f"kanhu/1/hubs/{stolen}/up/p1",
            bytes(seal.seal(AesCcm(stolen_key), 1, stolen, seal.UP, 1, 0, 0, plain)),
        )
        town.bench.wait_indicator(south.hub, "unanswered", 20)
        assert not [one for one in wire.heard if one.topic.endswith("/down")]  # nothing is acknowledged
    assert not calls_of(city, south)
    assert not [event for event in city.events("call") if event.hub == stolen]
    assert not Registry.open(town.daemon.data_dir).knows(stolen)

    town.daemon.stop()
    put_registry(town, newer)
    town.daemon.start()
    town.bench.wait_indicator(south.hub, "unanswered", 5)
    wait_for(lambda: len(calls_of(city, south)) == 1, 30, "the kept call does not arrive")
    city.accept_all()
    town.bench.wait_indicator(south.hub, "accepted", 20)
    assert city.tally.repeats == 0


class OldBoard:
    """The board that was taken out, as the key it still has lets it speak."""

    def __init__(self, town: Town, home: Home, boot: int) -> None:
        self.hub_id, self.boot, self.seq = home.hub_id, boot, 0
        generation, key = min(town.registry.keys(home.hub_id).items())
        self._generation, self._aead = generation, AesCcm(key)

    def say(self, wire: Observer, kind: int, fields: dict[int, Any], seq: int | None = None) -> str:
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        plain = events.encode(kind, 1000 + seq, fields)
        sealed = seal.seal(self._aead, self._generation, self.hub_id, seal.UP, self.boot, seq, 0, plain)
        wire.publish(f"kanhu/1/hubs/{self.hub_id}/up/p{k.class_of(kind)}", bytes(sealed))
        return f"{self.boot}-{seq}"


def test_another_board_in_a_hubs_place_and_the_old_one_back(town: Town, city: City) -> None:
    home = town.add_home("north", buttons={"bedroom": 4})
    hub, hub_id = home.hub, home.hub_id
    town.bench.wait_indicator(hub, "well", 20)
    town.bench.cut_power(hub)
    old = OldBoard(town, home, hub.boots + 1)
    # Another board: empty flash, and in its NVS what `kanhu registry hub export` writes.
    generation, key, floor = town.registry.new_key(hub_id, past(town.daemon.data_dir, hub_id))
    nvs = town.folder / "bench" / f"{hub_id}.nvs"
    stored = cbor2.loads(nvs.read_bytes())
    stored["kanhu"].update({"key": key, "generation": generation, "boot": floor})
    hub._nvs.stored = stored
    nvs.write_bytes(cbor2.dumps(stored))
    image = town.folder / "bench" / f"{hub_id}.flash"
    image.unlink()
    flash.install(image, build_files())
    time.sleep(1.5)  # the daemon looks for keys once a second
    town.bench.power(hub)
    town.bench.wait_indicator(hub, "well", 30)
    press_and_answer(town, city, home)
    assert calls_of(city, home)[-1].startswith(f"{floor + 1}-")
    assert not city.events("identity.fault")
    city.accept_all()
    town.bench.wait_indicator(hub, "well", 20)

    with Observer(town.broker.port, f"kanhu/1/hubs/{hub_id}/down") as wire:
        old.say(wire, k.BOOT, {k.RESET: 1, k.FIRMWARE: "0.1.0", k.VERSIONS: [1, 0], k.PREVIOUS: [1, 3]})
        pressed = old.say(wire, k.CALL, {k.DEVICE: 1})
        call = city.wait(lambda event: event.name == "call" and event.id == pressed)
        assert (call.hub, call.event_class) == (hub_id, "p1")
        fault = city.wait(lambda event: event.name == "identity.fault")
        assert (fault.hub, fault.event_class) == (hub_id, "p3")
        assert fault.data["detail"] == "replaced_board_heard"
        # What the new board has said already, with other content: refused, and yet somebody pressed.
        twin = OldBoard(town, home, floor + 1)
        twin._generation, twin._aead = generation, AesCcm(key)
        twin.say(wire, k.CALL, {k.DEVICE: 7}, seq=0)
        told = city.wait(lambda event: event.name == "call" and "subject" in event.data)
        assert (told.data["subject"], told.data["device"]) == (hub_id, 7)
        assert told.data["alarm"] == f"{hub_id}/{floor + 1}-0"
        assert told.data["flags"] == ["unverified"]
        fault = city.wait(lambda event: event.name == "identity.fault" and "alarm" in event.data)
        assert (fault.data["detail"], fault.data["alarm"]) == (
            "same_identity_other_bytes",
            told.data["alarm"],
        )
        status = read_status(town.daemon.data_dir)
        assert [one.identity for one in status.hubs if one.hub_id == hub_id] == ["same_identity_other_bytes"]
        wire.publish(
            "kanhu/1/commands",
            json.dumps(
                {"command": "accept", "alarm": told.data["alarm"], "operator": "op-7", "id": "1"}
            ).encode(),
        )
        city.wait(lambda event: event.name == "alarm.accepted" and event.data["alarm"] == told.data["alarm"])
    # The answer reaches the board in use, which never lost its host and shows it.
    town.bench.wait_indicator(hub, "accepted", 20)
    town.registry.revoke_hub(hub_id)
    time.sleep(1.5)
    kept = len(city.events())
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(hub, "unanswered", 30)  # its receipts have stopped
    refused = wait_for(
        lambda: [one for one in read_status(town.daemon.data_dir).refused if one.reason == "unknown_hub"], 20
    )
    assert refused[0].means == "it is revoked and still speaks"
    assert not [event for event in city.events()[kept:] if event.source == f"/kanhu/hubs/{hub_id}"]
