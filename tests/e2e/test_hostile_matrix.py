"""Forged, replayed, reordered, cross-hub and cross-boot messages, on each link and in both directions: what
each is counted as. The table is printed, and docs/hostile.md shows the same one."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_e2e import Metrics, Observer, key_of, wait_for
from helpers_serial import PlayedHub, Tap
from kanhu.aead import AesCcm
from kanhu.sim.city import City
from kanhu.sim.town import Home, Town
from kanhu_protocol import cbor, down, events, frame, seal
from kanhu_protocol import kinds as k

DOCUMENT = Path(__file__).parents[2] / "docs" / "hostile.md"
FAST = 10  # simulated seconds per second of the hubs, whose heartbeats tell what they refused
WRONG = AesCcm(bytes(range(16)))
BOOT = 5  # of the played hubs


class Scene:
    """One town: two real hubs to be lied to, two played ones that lie, and a stranger's key and hub."""

    def __init__(self, folder: Path) -> None:
        self.played = PlayedHub()
        self.port = folder / "tap.tty"
        self.town = Town(
            folder / "town",
            daemon={
                "hubs": {"serial": [self.played.path, str(self.port)]},
                "metrics": {"enabled": True, "port": 0},
            },
        )
        registry = self.town.registry
        place = registry.add_home()
        self.other, _ = registry.add_hub(place)
        self.liar = {"mqtt": registry.add_hub(place)[0], "serial": registry.add_hub(place)[0]}
        self.link = {"mqtt": "mqtt", "serial": f"serial:{self.played.path}"}
        self.seq = {"mqtt": 0, "serial": 0}
        self.made_up: set[bytes] = set()

    def start(self) -> None:
        self.hub: dict[str, Home] = {}
        for name, link in (("north", "mqtt"), ("south", "serial")):
            self.hub[link] = self.town.add_home(name, links=(link,), buttons={"bedroom": 4}, speed=FAST)
        self.tap = Tap(self.hub["serial"].hub.tty)
        self.port.symlink_to(self.tap.path)
        self.town.start()
        self.metrics = Metrics(self.town)
        for home in self.hub.values():
            home.hub.wait_log("kanhu: lamp well", 30)  # so fast a lamp cannot be read on a busy machine

    # Up

    def sealed(self, link: str, seq: int, kind: int = k.CALL, **how: Any) -> bytes:
        """An event of the liar on this link; how: aead, hub, generation, way, boot."""
        hub = how.get("hub", self.liar[link])
        aead = how.get("aead") or key_of(self.town, hub)
        fields = {k.RESET: 1, k.FIRMWARE: "0.1.0", k.VERSIONS: [1, 0]} if kind == k.BOOT else {k.DEVICE: 1}
        plain = events.encode(kind, 1000 + seq, fields)
        way, boot = how.get("way", seal.UP), how.get("boot", BOOT)
        return bytes(seal.seal(aead, how.get("generation", 1), hub, way, boot, seq, 0, plain))

    def say(self, link: str, *messages: bytes, hub: str = "") -> None:
        """As the liar on this link would, or as another hub."""
        hub = hub or self.liar[link]
        if link == "mqtt":
            self.wire.publish(f"kanhu/1/hubs/{hub}/up/p1", *messages)
            return
        for message in messages:
            self.played.send(frame.HELLO, cbor.dumps({0: 1, 1: hub, 2: BOOT}))
            self.played.send(frame.UP, message)

    def genuine(self, link: str, kind: int = k.STILL) -> bytes:
        seq = self.seq[link]
        self.seq[link] += 1
        return self.sealed(link, seq, k.BOOT if seq == 0 else kind)

    def counters(self, link: str) -> dict[str, float]:
        """Everything the daemon counts of what comes in on a link and is not simply stored."""
        found: dict[str, float] = {}
        for key, value in self.metrics.read().items():
            if key[0] == "kanhu_refused_total" and key[1] == self.link[link]:
                found[f'kanhu_refused_total{{reason="{key[2]}"}}'] = value
            elif key[0] == "kanhu_events_said_again_total" and key[1] == self.link[link]:
                found["kanhu_events_said_again_total"] = value
        return found

    # Down

    def down_of(self, link: str) -> list[bytes]:
        """What the daemon has said to the real hub of this link, without what was made up here."""
        if link == "serial":
            return list(self.tap.down)
        there = [one.payload for one in self.wire.on(f"{self.hub['mqtt'].hub_id}/down")]
        return [one for one in there if one not in self.made_up]

    def tell(self, link: str, *messages: bytes) -> None:
        self.made_up.update(set(messages) - set(self.down_of(link)))
        if link == "serial":
            self.tap.say(*messages)
        else:
            self.wire.publish(f"kanhu/1/hubs/{self.hub['mqtt'].hub_id}/down", *messages)

    def order(self, link: str, **how: Any) -> bytes:
        """A PING for the real hub of this link; how: aead, hub, generation, way, boot, epoch, counter."""
        hub = how.get("hub", self.hub[link].hub_id)
        aead = how.get("aead") or key_of(self.town, hub)
        way = how.get("way", seal.DOWN)
        nonce = (how.get("boot", 1), how.get("epoch", 0xFFFF0000), how.get("counter", 1))
        plain = down.encode(k.PING, {k.NUMBER: 1})
        return bytes(seal.seal(aead, how.get("generation", 1), hub, way, *nonce, plain))

    def refused(self, link: str) -> dict[str, int]:
        """What the real hub's newest heartbeat tells."""
        hub = self.hub[link].hub_id
        beats = [one for one in self.city.events("heartbeat") if one.hub == hub]
        newest = max(beats, key=lambda one: int(one.id.partition("-")[2]), default=None)
        return dict(newest.data["refused"]) if newest else {}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("matrix")
    scene = Scene(folder)
    with scene.town, contextlib.ExitStack() as after:
        after.callback(scene.played.close)
        scene.start()
        after.callback(scene.tap.close)
        scene.city = City(scene.town.platform_url, folder / "city.db")
        scene.city.auto_accept = False
        scene.city.start()
        after.callback(scene.city.stop)
        assert scene.city.up.wait(15)
        scene.wire = after.enter_context(Observer(scene.town.broker.port, "kanhu/1/#"))
        for link in ("mqtt", "serial"):
            for _ in range(4):
                scene.say(link, scene.genuine(link))
        yield scene


def relabelled(sealed: bytes, boot: int, seq: int, counter: int = 0) -> bytes:
    """The same ciphertext under another name: what is authentic is the name too."""
    protected, unprotected, cipher = cbor.loads(sealed)
    nonce = b"".join(number.to_bytes(4, "big") for number in (boot, seq, counter)).lstrip(b"\0")
    return bytes(cbor.dumps([protected, {**unprotected, 6: nonce}, cipher]))


def other_suite(sealed: bytes) -> bytes:
    _, unprotected, cipher = cbor.loads(sealed)
    return bytes(cbor.dumps([cbor.dumps({1: 3}), unprotected, cipher]))


REFUSED = 'kanhu_refused_total{{reason="{}"}}'.format
KNOWN = "kanhu_events_said_again_total"
# message: (how it is made, what counts it)
UP: dict[str, tuple[Callable[[Scene, str], list[bytes]], str]] = {
    "garbage": (lambda s, link: [b"\xff\x00garbage"], REFUSED("malformed")),
    "cut short": (lambda s, link: [s.sealed(link, 900)[:-3]], REFUSED("malformed")),
    "forged: another key": (lambda s, link: [s.sealed(link, 900, aead=WRONG)], REFUSED("forged")),
    "forged: one bit": (
        lambda s, link: [(raw := s.sealed(link, 900))[:-1] + bytes((raw[-1] ^ 1,))], REFUSED("forged"),
    ),
    "cross-hub: another hub's event": (lambda s, link: [s.sealed(link, 900, hub=s.other)], REFUSED("forged")),
    "cross-hub: sealed as another's": (
        lambda s, link: [s.sealed(link, 900, hub=s.other, aead=key_of(s.town, s.liar[link]))],
        REFUSED("forged"),
    ),
    "cross-boot: an event under another boot": (
        lambda s, link: [relabelled(s.sealed(link, 3), BOOT + 1, 3)], REFUSED("forged"),
    ),
    "reordered: an event under another seq": (
        lambda s, link: [relabelled(s.sealed(link, 3), BOOT, 900)], REFUSED("forged"),
    ),
    "cross-direction: what the host says": (
        lambda s, link: [s.sealed(link, 900, way=seal.DOWN)], REFUSED("forged"),
    ),
    "unknown key generation": (lambda s, link: [s.sealed(link, 900, generation=7)], REFUSED("unknown_key")),
    "another suite": (lambda s, link: [other_suite(s.sealed(link, 900))], REFUSED("suite")),
    "same identity, other content": (lambda s, link: [s.sealed(link, 1, k.MOTION)], REFUSED("identity")),
    "replayed": (lambda s, link: [s.sealed(link, 1, k.STILL)], KNOWN),
}  # fmt: skip
DOWN: dict[str, tuple[Callable[[Scene, str], list[bytes]], str]] = {
    "garbage": (lambda s, link: [b"\xff\x00garbage"], "malformed"),
    "cut short": (lambda s, link: [s.order(link)[:-9]], "malformed"),
    "forged: another key": (lambda s, link: [s.order(link, aead=WRONG)], "forged"),
    "forged: one bit": (lambda s, link: [(raw := s.order(link))[:-1] + bytes((raw[-1] ^ 1,))], "forged"),
    "cross-hub: another hub's message": (lambda s, link: [s.order(link, hub=s.other)], "forged"),
    "cross-hub: sealed as another's": (
        lambda s, link: [s.order(link, hub=s.other, aead=key_of(s.town, s.hub[link].hub_id))], "forged",
    ),
    "cross-boot: sealed for an earlier boot, under this one": (
        lambda s, link: [relabelled(s.order(link, boot=7), 1, 0xFFFF0000, 1)], "forged",
    ),
    "cross-boot: sealed for another boot": (lambda s, link: [s.order(link, boot=7)], "replayed"),
    "cross-direction: what a hub says": (lambda s, link: [s.order(link, way=seal.UP, counter=0)], "forged"),
    "unknown key generation": (lambda s, link: [s.order(link, generation=2)], "forged"),
    "replayed": (lambda s, link: [s.down_of(link)[-1]], "replayed"),
    "reordered: an older one after a newer": (lambda s, link: [s.down_of(link)[-2]], "replayed"),
}  # fmt: skip
LINKS = ("mqtt", "serial")


@pytest.mark.parametrize("link", LINKS)
def test_up(scene: Scene, link: str) -> None:
    """Each is counted under its own counter and no other, and nothing of it reaches the platform."""
    hub = scene.liar[link]
    scene.city.wait(lambda event: event.hub == hub and event.id == f"{BOOT}-3")
    for name, (build, counter) in UP.items():
        messages, before = build(scene, link), scene.counters(link)
        scene.say(link, *messages)
        wait_for(
            lambda: scene.counters(link).get(counter, 0) > before.get(counter, 0),  # noqa: B023
            10,
            f"{name} is not counted",
        )
        changed = {
            key: value - before.get(key, 0)
            for key, value in scene.counters(link).items()
            if value != before.get(key, 0)
        }
        if counter != KNOWN:
            changed.pop(KNOWN, None)  # a real hub on this link may say something again
            assert changed == {counter: 1}, name
        else:
            assert changed.keys() == {KNOWN}, name
    before = scene.metrics.refused(scene.link[link])
    scene.say(link, scene.sealed(link, 900), hub="0000000000")
    wait_for(
        lambda: scene.metrics.refused(scene.link[link]).get("unknown_hub", 0) > before.get("unknown_hub", 0),
        10,
        "a name that is no hub's is not counted",
    )
    # Out of order is no offence: nothing is lost, and nothing comes twice.
    first, second, third = (scene.genuine(link) for _ in range(3))
    scene.say(link, third, first, second, third)
    for seq in range(scene.seq[link] - 3, scene.seq[link]):
        scene.city.wait(lambda event: event.hub == hub and event.id == f"{BOOT}-{seq}")  # noqa: B023
    assert scene.city.tally.repeats == 0
    came = [event.id for event in scene.city.events() if event.source == f"/kanhu/hubs/{hub}"]
    assert sorted(came) == sorted(f"{BOOT}-{seq}" for seq in range(scene.seq[link]))


@pytest.mark.parametrize("link", LINKS)
def test_down(scene: Scene, link: str) -> None:
    """Each is in the hub's next heartbeat under its own count and no other; the hub goes on."""
    home = scene.hub[link]
    assert scene.town.bench.press_watched(f"{home.name}/bedroom")
    call = scene.city.wait(lambda event: event.name == "call" and event.hub == home.hub_id)
    wait_for(lambda: scene.refused(link), 20, "no heartbeat")
    wait_for(lambda: len(scene.down_of(link)) > 4, 20, "the daemon says nothing")
    for name, (build, counter) in DOWN.items():
        messages, before = build(scene, link), scene.refused(link)
        scene.tell(link, *messages)
        wait_for(lambda: scene.refused(link) != before, 20, f"{name} is not counted")  # noqa: B023
        after = scene.refused(link)
        assert {key: after[key] - before[key] for key in after if after[key] != before[key]} == {
            counter: 1
        }, name
    assert scene.town.bench.indicator(home.hub).pattern not in ("accepted", "well")  # its press still waits
    # A newer one overtakes what the daemon says: it hears of that and goes above it.
    epoch = max(seal.parse(one).b for one in scene.down_of(link))
    before = scene.refused(link)
    scene.tell(
        link, scene.order(link, epoch=epoch + 60, counter=5), scene.order(link, epoch=epoch + 60, counter=4)
    )
    wait_for(lambda: scene.refused(link)["replayed"] > before["replayed"], 20, "the older one was taken")
    wait_for(lambda: any(seal.parse(one).b > epoch + 60 for one in scene.down_of(link)), 30, "never above it")
    scene.city.accept_all()
    scene.city.wait(
        lambda event: (
            event.name == "command.done"
            and event.hub == home.hub_id
            and event.data.get("alarm") == call.alarm
            and event.data.get("state") in ("accepted", "closed")
        ),
        30,
    )


def table() -> list[str]:
    """The matrix in Markdown."""
    rows = ["| message | way | MQTT | serial |", "|---|---|---|---|"]
    rows += [f"| {name} | up | `{counter}` | the same |" for name, (_, counter) in UP.items()]
    rows += [
        f"| {name} | down | heartbeat `refused.{counter}` | the same |" for name, (_, counter) in DOWN.items()
    ]
    return rows


def test_the_table_is_published() -> None:
    print("\n".join(table()))
    text = DOCUMENT.read_text(encoding="utf-8")
    published = re.findall(r"^\| .* \|$|^\|---.*$", text, re.MULTILINE)
    assert published[: len(table())] == table()
