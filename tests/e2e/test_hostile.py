"""A malformed, truncated, bit-flipped, forged or replayed message is counted and refused, nothing of it
reaches the platform, and the link lives on: towards the daemon, over MQTT, and from the platform."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_e2e import Metrics, Observer, flips, identities, key_of, open_down, split, truncations, wait_for
from kanhu.aead import AesCcm
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import cbor, events, seal
from kanhu_protocol import kinds as k

BYTES = random.Random(2)


class Ghost:
    """A registered hub that the test plays: it seals what it is told to, with the right key or another."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.hub_id, _ = town.registry.add_hub(town.registry.add_home())
        self.boot, self.seq = 1, 0

    def seal(
        self, seq: int, fields: dict[int, Any], *, generation: int = 1, key: AesCcm | None = None
    ) -> bytes:
        """One sealed event of this boot."""
        plain = events.encode(fields[k.KIND], fields.get(k.UP_MS, 1000 + seq), fields)
        return self.seal_plain(seq, plain, generation=generation, key=key)

    def seal_plain(self, seq: int, plain: bytes, *, generation: int = 1, key: AesCcm | None = None) -> bytes:
        aead = key or key_of(self.town, self.hub_id)
        return seal.seal(aead, generation, self.hub_id, seal.UP, self.boot, seq, 0, plain)

    def next(self, kind: int = k.MOTION, **fields: int) -> bytes:
        """The next genuine event."""
        fields_by_key = {k.KIND: kind, k.DEVICE: 2} if kind != k.BOOT else {k.KIND: kind, k.RESET: 1}
        if kind == k.BOOT:
            fields_by_key |= {k.FIRMWARE: "0.1.0", k.VERSIONS: [1, 0]}
        sealed = self.seal(self.seq, fields_by_key | dict(fields))
        self.seq += 1
        return sealed


class Place:
    """A running town with metrics, a real home, a ghost, the city, and a raw client that hears all topics."""

    def __init__(self, town: Town, city: City, wire: Observer, home: Home) -> None:
        self.town, self.city, self.wire, self.home = town, city, wire, home
        self.metrics = Metrics(town)
        self.ghost = Ghost(town)
        time.sleep(1.5)  # the daemon looks for new hubs once a second
        self.lives()

    def say(self, *payloads: bytes, hub_id: str = "", cls: int = 1) -> None:
        """Publish as a hub would, or as somebody who says so."""
        self.wire.publish(f"kanhu/1/hubs/{hub_id or self.ghost.hub_id}/up/p{cls}", *payloads)

    def lives(self) -> None:
        """The link lives: the ghost's next genuine event is stored, receipted and at the platform."""
        kind = k.MOTION if self.ghost.seq else k.BOOT
        sealed = self.ghost.next(kind)
        (pair,) = identities(sealed)
        start = len(self.wire.heard)
        self.say(sealed, cls=k.class_of(kind))
        self.city.wait(lambda event: event.id == f"{pair[0]}-{pair[1]}" and self.is_ghosts(event.source))
        wait_for(lambda: pair in self.receipted(start), 10, "no receipt")

    def is_ghosts(self, source: str) -> bool:
        return source == f"/kanhu/hubs/{self.ghost.hub_id}"

    def receipted(self, start: int) -> set[tuple[int, int]]:
        """Identities of the ghost that STORED messages have named since then."""
        found = set()
        for one in self.wire.on(f"{self.ghost.hub_id}/down", start):
            message = open_down(self.town, self.ghost.hub_id, one.payload)
            if message[k.TYPE] == k.STORED:
                found |= {(boot, seq) for boot, limit in message.get(k.UPTO, ()) for seq in range(limit + 1)}
                found |= {(row[0], seq) for row in message.get(k.SINGLE, ()) for seq in row[1:]}
        return found

    def ghosts_events(self) -> int:
        """How many events of the ghost the platform has."""
        return sum(self.is_ghosts(event.source) for event in self.city.events())

    def kept(self) -> int:
        """Rows of the journal that are not the real home's or the daemon's."""
        with closing(sqlite3.connect(self.town.daemon.data_dir / "journal.db")) as db:
            (count,) = db.execute(
                "SELECT count(*) FROM events WHERE hub NOT IN "
                "(?, (SELECT value FROM meta WHERE key='daemon_id'))",
                (self.home.hub_id,),
            ).fetchone()
        return int(count)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("hostile")
    with Town(folder / "town", daemon={"metrics": {"enabled": True, "port": 0}}) as town:
        town.start()
        home = town.add_home("north", buttons={"bedroom": 4})
        city = City(town.platform_url, folder / "city.db")
        city.auto_accept = False
        city.start()
        assert city.up.wait(15)
        with Observer(town.broker.port, "kanhu/1/#") as wire:
            try:
                town.bench.wait_indicator(home.hub, "well", 15)
                yield Place(town, city, wire, home)
            finally:
                city.stop()


def captured(place: Place) -> bytes:
    """A real sealed event of the real hub, as it was on the wire."""
    found = wait_for(lambda: place.wire.on(f"{place.home.hub_id}/up/p5"), 20, "the real hub says nothing")
    return split(found[0].payload)[0]


def array(*items: Any) -> bytes:
    return bytes(cbor.dumps(list(items)))


def other_suite(place: Place) -> list[bytes]:
    """Sealed in another suite (A256GCM), and a suite that is no number."""
    header, unprotected, cipher = cbor.loads(place.ghost.seal(999, {k.KIND: k.CALL}))
    assert cbor.loads(header) == {1: seal.AES_CCM_16_64_128}
    return [array(cbor.dumps({1: 3}), unprotected, cipher), array(cbor.dumps({1: "3"}), unprotected, cipher)]


CALL = {k.KIND: k.CALL, k.DEVICE: 1}
# name: (messages, the reason they are counted under or None when there may be several)
UP: dict[str, tuple[Callable[[Place], list[bytes]], str | None]] = {
    "empty": (lambda place: [b""], "malformed"),
    "garbage": (lambda place: [BYTES.randbytes(size) for size in range(1, 200)], "malformed"),
    "text": (lambda place: [b"CALL bedroom", b'{"kind": 1}', b"\xff" * 1019], "malformed"),
    "too long for intake": (lambda place: [place.ghost.seal(999, CALL) + bytes(17_000)], "malformed"),
    "deeply nested": (lambda place: [b"\x81" * 500, b"\xa1\x00" * 200], "malformed"),
    "other CBOR": (lambda place: [cbor.dumps(one) for one in (0, "x", [1, 2, 3], {1: 2}, [])], "malformed"),
    "truncated": (lambda place: truncations(captured(place)), "malformed"),
    "another key": (lambda place: [place.ghost.seal(999, CALL, key=AesCcm(bytes(16)))], "forged"),
    "another hub's": (lambda place: [captured(place)], "forged"),
    "a down message": (
        lambda place: [
            seal.seal(
                key_of(place.town, place.ghost.hub_id), 1, place.ghost.hub_id, seal.DOWN, 1, 2, 0, b"\xa0"
            )
        ],
        "forged",
    ),
    "unknown generation": (lambda place: [place.ghost.seal(999, CALL, generation=7)], "unknown_key"),
    "another suite": (other_suite, "suite"),
    "flipped": (lambda place: flips(place.ghost.seal(999, CALL)), None),
}


@pytest.mark.parametrize("name", UP)
def test_up_over_mqtt(place: Place, name: str) -> None:
    build, reason = UP[name]
    messages = build(place)
    before, kept, at_city = place.metrics.refused("mqtt"), place.kept(), place.ghosts_events()
    place.say(*messages)

    def refused() -> int:
        after = place.metrics.refused("mqtt")
        if reason is not None:
            return after.get(reason, 0) - before.get(reason, 0)
        return sum(after.values()) - sum(before.values())

    wait_for(lambda: refused() >= len(messages), 10, f"{name}: {refused()} of {len(messages)} counted")
    assert place.kept() == kept
    place.lives()
    assert place.kept() == kept + 1
    assert place.ghosts_events() == at_city + 1


def test_each_flipped_bit_of_a_captured_event_on_its_own_topic(place: Place) -> None:
    sealed = captured(place)
    before = sum(place.metrics.refused("mqtt").values())
    said_again = place.metrics.read().get(("kanhu_events_said_again_total", "mqtt"), 0)
    messages = flips(sealed)
    place.say(*messages, hub_id=place.home.hub_id, cls=5)

    def counted() -> bool:
        return sum(place.metrics.refused("mqtt").values()) - before >= len(messages)

    wait_for(counted, 15, "not every flipped message was counted")
    place.say(sealed, hub_id=place.home.hub_id, cls=5)  # the genuine one is known, and answered again
    wait_for(
        lambda: place.metrics.read().get(("kanhu_events_said_again_total", "mqtt"), 0) > said_again,
        10,
        "a genuine event said again was not recognised",
    )
    with closing(sqlite3.connect(place.town.daemon.data_dir / "journal.db")) as db:
        kept = {row[0] for row in db.execute("SELECT sealed FROM events WHERE hub=?", (place.home.hub_id,))}
    assert sealed in kept
    assert kept.isdisjoint(messages)
    assert place.city.tally.repeats == 0
    place.lives()


def test_hub_names_that_are_none(place: Place) -> None:
    kept = place.kept()
    for hub_id in ("0000000000", "UPPERCASE1", "x", "%2e%2e", "h" * 300, "看护"):
        before = place.metrics.refused("mqtt").get("unknown_hub", 0)
        place.say(place.ghost.seal(999, CALL), hub_id=hub_id)
        wait_for(lambda: place.metrics.refused("mqtt").get("unknown_hub", 0) > before, 10, hub_id)  # noqa: B023
    assert place.kept() == kept
    place.lives()


def test_a_message_too_long_to_be_read_is_counted(place: Place) -> None:
    before = place.metrics.read()["kanhu_oversize_total", "hubs"]
    place.say(bytes(70_000))
    wait_for(lambda: place.metrics.read()["kanhu_oversize_total", "hubs"] == before + 1, 10)
    place.lives()


def test_what_is_good_beside_what_is_bad_is_kept(place: Place) -> None:
    kept = place.kept()
    first, bad, last = place.ghost.next(), flips(place.ghost.seal(999, CALL))[-1], place.ghost.next()
    place.say(first + bad + last + b"\xff", cls=5)
    wait_for(lambda: place.kept() == kept + 2, 10)
    place.lives()


def test_a_replay_is_answered_and_changes_nothing(place: Place) -> None:
    press = place.ghost.next(k.CALL)
    (pair,) = identities(press)
    place.say(press)
    place.city.wait(lambda event: event.id == f"{pair[0]}-{pair[1]}" and place.is_ghosts(event.source))
    place.lives()
    kept, at_city, start = place.kept(), place.ghosts_events(), len(place.wire.heard)
    for _ in range(3):
        place.say(press)
    wait_for(lambda: pair in place.receipted(start), 10, "a replay was not answered")
    place.lives()
    assert place.kept() == kept + 1
    assert place.ghosts_events() == at_city + 1
    again = [
        one for one in place.wire.on("/events/p1", start) if f'"{pair[0]}-{pair[1]}"'.encode() in one.payload
    ]
    assert not again


def test_one_identity_with_two_contents_is_a_fault(place: Place) -> None:
    place.lives()
    seq = place.ghost.seq - 1
    kept, before = place.kept(), place.metrics.refused("mqtt").get("identity", 0)
    place.say(place.ghost.seal(seq, {k.KIND: k.CALL, k.DEVICE: 9}))
    fault = place.city.wait(lambda event: event.name == "identity.fault")
    assert fault.hub == place.ghost.hub_id
    assert fault.event_class == "p3"
    assert place.metrics.refused("mqtt")["identity"] == before + 1
    assert place.kept() == kept
    assert fault.data["alarm"] == f"{place.ghost.hub_id}/1-{seq}"
    # A person may have pressed: the daemon calls in its own name, and a person can take it.
    call = place.city.wait(lambda event: event.name == "call" and event.data.get("device") == 9)
    assert (call.data["subject"], call.data["flags"]) == (place.ghost.hub_id, ["unverified"])
    place.lives()
    assert not place.is_ghosts(call.source)


def test_what_is_authentic_and_no_event_is_recorded_as_lost(place: Place) -> None:
    seq = place.ghost.seq
    place.ghost.seq += 1
    sealed, start = place.ghost.seal_plain(seq, b"\x83\x01\x02\x03"), len(place.wire.heard)
    place.say(sealed)
    lost = place.city.wait(
        lambda event: event.name == "events.lost" and [place.ghost.boot, seq, seq] in event.data["lost"]
    )
    assert lost.hub == place.ghost.hub_id
    wait_for(lambda: (place.ghost.boot, seq) in place.receipted(start), 10, "it would come again for ever")
    assert place.metrics.read()["kanhu_unreadable_total", "mqtt"] >= 1
    place.lives()


# From the platform

HUB = "0123456789"
COMMANDS: dict[str, bytes] = {
    "not JSON": b"accept everything",
    "not UTF-8": b"\xff\xfe{}",
    "empty": b"",
    "cut off": b'{"command": "accept", "alarm": "',
    "NaN": b'{"command": NaN}',
    "nested": b"[" * 50_000,
    "long number": b'{"command": ' + b"9" * 10_000 + b"}",
    "a number": b"42",
    "nothing": b"[]",
    "unknown command": b'{"id": "a1", "command": "explode"}',
    "no command": b'{"id": "a2"}',
    "wrong types": b'{"id": "a3", "command": ["accept"], "alarm": 7}',
    "id of a wrong type": b'{"id": 7, "command": "ping", "hub": "0123456789"}',
    "alarm of a wrong type": b'{"id": "a4", "command": "accept", "alarm": {"x": 1}, "operator": "op"}',
    "no operator": f'{{"id": "a5", "command": "accept", "alarm": "{HUB}/1-1"}}'.encode(),
    "operator with markup": json.dumps(
        {"id": "a6", "command": "accept", "alarm": f"{HUB}/1-1", "operator": "<script>"}
    ).encode(),
    "unknown alarm": json.dumps(
        {"id": "a7", "command": "accept", "alarm": f"{HUB}/1-1", "operator": "op-7"}
    ).encode(),
    "close of an unknown alarm": json.dumps(
        {"id": "a8", "command": "close", "alarm": f"{HUB}/1-1", "operator": "op-7", "reason": "visited"}
    ).encode(),
    "never published": json.dumps(
        {"id": "a9", "command": "acknowledge", "events": [{"source": f"/kanhu/hubs/{HUB}", "id": "1-1"}]}
    ).encode(),
    "events of a wrong type": b'{"id": "b1", "command": "acknowledge", "events": {"1": "2"}}',
    "ping of an unknown hub": f'{{"id": "b2", "command": "ping", "hub": "{HUB}"}}'.encode(),
    "missing of an unknown hub": json.dumps(
        {"id": "b3", "command": "missing", "hub": HUB, "ranges": [[1, 0, 9]]}
    ).encode(),
    "backward range": f'{{"id": "b4", "command": "missing", "hub": "{HUB}", "ranges": [[1, 9, 0]]}}'.encode(),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_from_the_platform(place: Place, name: str) -> None:
    payload = COMMANDS[name]
    key = ("kanhu_platform_commands_total", "refused")
    before, kept, start = place.metrics.read().get(key, 0), place.kept(), len(place.wire.heard)
    place.wire.publish("kanhu/1/commands", payload)
    reply = json.loads(
        wait_for(lambda: place.wire.on("/replies", start), 10, f"{name}: no answer")[0].payload
    )
    assert reply["ok"] is False
    assert 0 < len(reply["error"]) < 200
    assert "\n" not in reply["error"]
    asked: Any = json.loads(payload) if b'"id": "' in payload else {}
    assert reply.get("id") == asked.get("id")
    assert place.metrics.read()[key] == before + 1
    assert place.kept() == kept
    assert "Traceback" not in place.town.daemon.log()


def test_a_command_too_long_to_be_read_is_counted_and_the_daemon_lives_on(place: Place) -> None:
    before = place.metrics.read()["kanhu_oversize_total", "platform"]
    place.wire.publish("kanhu/1/commands", b"[" + b" " * 600_000 + b"]")
    wait_for(lambda: place.metrics.read()["kanhu_oversize_total", "platform"] == before + 1, 10)
    start = len(place.wire.heard)
    place.wire.publish(
        "kanhu/1/commands", json.dumps({"id": "live", "command": "ping", "hub": place.home.hub_id}).encode()
    )
    reply = wait_for(lambda: place.wire.on("/replies", start), 10, "the daemon does not answer")[0]
    assert json.loads(reply.payload) == {"id": "live", "ok": True}
    place.lives()


def test_good_commands_beside_bad_ones_are_carried_out(place: Place) -> None:
    start = len(place.wire.heard)
    message = [{"id": "g1", "command": "ping", "hub": place.home.hub_id}, 7, {"id": "g2", "command": "x"}]
    place.wire.publish("kanhu/1/commands", json.dumps(message).encode())
    wait_for(lambda: len(place.wire.on("/replies", start)) >= 3, 10)
    replies = [json.loads(one.payload) for one in place.wire.on("/replies", start)]
    assert {(one.get("id"), one["ok"]) for one in replies} == {("g1", True), (None, False), ("g2", False)}


def test_a_real_press_still_arrives_after_all_of_it(place: Place, tmp_path: Path) -> None:
    place.town.bench.press("north/bedroom")
    call = place.city.wait(lambda event: event.name == "call" and event.hub == place.home.hub_id)
    place.town.bench.wait_indicator(place.home.hub, "delivered", 5)
    place.city.accept_all()
    place.town.bench.wait_indicator(place.home.hub, "accepted", 5)
    assert call.alarm
