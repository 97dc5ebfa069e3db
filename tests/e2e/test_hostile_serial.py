"""Hostile bytes on a serial line towards the daemon: counted, refused, nothing of them at the platform, and
the next good frame is taken."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers_e2e import Metrics, flips, key_of, open_down, truncations, wait_for
from helpers_serial import PlayedHub
from kanhu.aead import AesCcm
from kanhu.sim.city import City
from kanhu.sim.town import Town
from kanhu_protocol import cbor, events, frame, seal
from kanhu_protocol import kinds as k

BYTES = random.Random(4)
CALL = {k.DEVICE: 1}


class Line:
    """One registered hub, played over a serial line of a running daemon."""

    def __init__(self, folder: Path) -> None:
        self.hub = PlayedHub()
        self.link = f"serial:{self.hub.path}"
        self.town = Town(
            folder,
            daemon={"hubs": {"serial": [self.hub.path]}, "metrics": {"enabled": True, "port": 0}},
        )
        self.hub_id, _ = self.town.registry.add_hub(self.town.registry.add_home())
        self.other, _ = self.town.registry.add_hub(self.town.registry.add_home())
        self.seq = 0

    def seal(
        self, seq: int, kind: int, fields: dict[int, Any], *, key: AesCcm | None = None, **kw: Any
    ) -> bytes:
        """One sealed event of boot 1."""
        hub_id, generation = kw.get("hub_id", self.hub_id), kw.get("generation", 1)
        aead = key or key_of(self.town, hub_id)
        plain = events.encode(kind, 1000 + seq, fields)
        return bytes(seal.seal(aead, generation, hub_id, seal.UP, 1, seq, 0, plain))

    def hello(self, *, version: Any = 1, hub_id: Any = None) -> None:
        body = cbor.dumps({0: version, 1: self.hub_id if hub_id is None else hub_id, 2: 1})
        self.hub.send(frame.HELLO, body)

    def lives(self) -> None:
        """A hello and the next genuine event: stored, receipted, at the platform."""
        self.hello()
        seq, self.seq, start = self.seq, self.seq + 1, len(self.hub.frames)
        self.hub.send(frame.UP, self.seal(seq, k.MOTION, {k.DEVICE: 2}))
        self.city.wait(lambda event: event.id == f"1-{seq}" and event.hub == self.hub_id)

        def receipted() -> bool:
            told = [open_down(self.town, self.hub_id, one) for one in self.hub.downs(start)]
            # By name only once two boards have spoken under this boot.
            return any(
                [1, seq] in message.get(k.UPTO, [])
                or any(row[0] == 1 and seq in row[1:] for row in message.get(k.SINGLE, []))
                for message in told
                if message[k.TYPE] == k.STORED
            )

        wait_for(receipted, 10, "no receipt")

    def refused(self) -> dict[str, int]:
        return self.metrics.refused(self.link)

    def counted(self, before: dict[str, int], reason: str | None, count: int) -> None:
        """Wait for at least this many more refusals of a reason, or of any."""

        def more() -> int:
            after = self.refused()
            if reason is None:
                return sum(after.values()) - sum(before.values())
            return after.get(reason, 0) - before.get(reason, 0)

        wait_for(lambda: more() >= count, 10, f"{more()} of {count} counted: {self.refused()}")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    line = Line(folder / "town")
    with line.town as town:
        town.start()
        line.city = City(town.platform_url, folder / "city.db")
        line.city.auto_accept = False
        line.city.start()
        try:
            assert line.city.up.wait(15)
            line.metrics = Metrics(town)
            # Before any hello the line has no hub: refused, and the host asks for a hello.
            wait_for(lambda: line.hub.frames, 10, "the host does not say hello")
            asked = len(line.hub.frames)
            line.hub.send(frame.UP, line.seal(0, k.CALL, CALL))
            line.counted({}, "unknown_hub", 1)
            wait_for(lambda: (frame.HELLO, cbor.dumps({0: 1})) in line.hub.frames[asked:], 10)
            assert not line.city.events("call")
            yield line
        finally:
            line.city.stop()
            line.hub.close()


def test_noise_is_log(line: Line) -> None:
    line.hub.write(b"rst:0x1 (POWERON_RESET)\r\n" + bytes(byte for byte in range(256)) * 8 + b"\n")
    line.hub.write(BYTES.randbytes(20_000))
    line.hub.write(b"~~~~~~~~~~~~~~~~~~~~~}}}}}}}~}~}~")
    line.lives()
    assert not line.city.events("call")


@pytest.mark.parametrize("kind", ["cut", "flipped", "too long", "joined"])
def test_damaged_frames(line: Line, kind: str) -> None:
    """Each damaged frame is followed by a good one, which must not suffer."""
    whole = frame.encode(frame.UP, line.seal(900, k.CALL, CALL))
    damaged = {
        "cut": [whole[:length] for length in range(2, len(whole) - 1)],
        # Flips of the two flags make text of a frame: that is log, and cannot be counted.
        "flipped": flips(whole)[8:-8],
        "too long": [
            b"~" + bytes(BYTES.randrange(0x20, 0x7D) for _ in range(size)) + b"~" for size in (2049, 9000)
        ],
        "joined": [whole[:-9] + whole[9:]],
    }[kind]
    before = line.refused()
    for one in damaged:
        line.hub.write(one)
        line.hello()
    line.counted(before, "malformed", len(damaged))
    line.lives()
    assert not line.city.events("call")


def test_frames_of_no_use_here(line: Line) -> None:
    before = line.refused()
    kinds = [0, frame.DOWN, 4, 9, 0x7E, 255]
    for kind in kinds:
        line.hub.send(kind, line.seal(900, k.CALL, CALL))
    line.counted(before, "malformed", len(kinds))
    line.lives()
    assert not line.city.events("call")


HELLOS: list[bytes] = [
    b"",
    b"\xff",
    *map(
        cbor.dumps,
        (
            {},
            {0: 1},
            {1: "0123456789"},
            {0: 2, 1: "0123456789", 2: 1},
            {0: 0, 1: "0123456789"},
            {0: True, 1: "0123456789"},
            {0: "1", 1: "0123456789"},
            {0: 1, 1: 7},
            {0: 1, 1: b"0123456789"},
            {0: 1, 1: "too short"},
            {0: 1, 1: "../../etc/"},
            [1, "0123456789", 1],
            "hello",
        ),
    ),
]


@pytest.mark.parametrize("body", HELLOS, ids=[body.hex() or "empty" for body in HELLOS])
def test_a_bad_hello_names_nobody(line: Line, body: bytes) -> None:
    line.lives()
    before = line.refused()
    line.hub.send(frame.HELLO, body)
    line.counted(before, "malformed", 1)
    # The line is still this hub's.
    start, seq = len(line.hub.frames), line.seq
    line.seq += 1
    line.hub.send(frame.UP, line.seal(seq, k.MOTION, {k.DEVICE: 2}))
    wait_for(lambda: line.hub.downs(start), 10, "a bad hello took the line from its hub")


@pytest.mark.parametrize("kind", ["another", "unknown"])
def test_a_hello_with_the_wrong_name(line: Line, kind: str) -> None:
    before = line.refused()
    line.hello(hub_id=line.other if kind == "another" else "0123456789")
    line.hub.send(frame.UP, line.seal(901, k.CALL, CALL))
    line.counted(before, "forged" if kind == "another" else "unknown_hub", 1)
    line.lives()
    assert not line.city.events("call")


@pytest.mark.parametrize("kind", ["garbage", "truncated", "flipped", "forged", "generation", "another hub's"])
def test_bad_messages_in_good_frames(line: Line, kind: str) -> None:
    genuine = line.seal(902, k.CALL, CALL)
    build: dict[str, tuple[Callable[[], list[bytes]], str | None]] = {
        "garbage": (lambda: [BYTES.randbytes(size) for size in range(1, 100)], "malformed"),
        "truncated": (lambda: truncations(genuine), "malformed"),
        "flipped": (lambda: flips(genuine), None),
        "forged": (lambda: [line.seal(902, k.CALL, CALL, key=AesCcm(bytes(16)))], "forged"),
        "generation": (lambda: [line.seal(902, k.CALL, CALL, generation=3)], "unknown_key"),
        "another hub's": (lambda: [line.seal(902, k.CALL, CALL, hub_id=line.other)], "forged"),
    }
    messages, reason = build[kind][0](), build[kind][1]
    line.lives()
    before = line.refused()
    for one in messages:
        line.hub.send(frame.UP, one)
    line.counted(before, reason, len(messages))
    line.lives()
    assert not line.city.events("call")


def test_a_replay_is_answered_and_comes_once(line: Line) -> None:
    line.lives()
    seq = line.seq - 1
    sealed = line.seal(seq, k.MOTION, {k.DEVICE: 2})
    for _ in range(3):
        start = len(line.hub.frames)
        line.hub.send(frame.UP, sealed)
        wait_for(lambda: line.hub.downs(start), 10, "a replay was not answered")  # noqa: B023
    line.lives()
    assert line.city.tally.repeats == 0
    assert [event.id for event in line.city.events() if event.hub == line.hub_id].count(f"1-{seq}") == 1


def test_one_identity_with_two_contents_is_a_fault(line: Line) -> None:
    line.lives()
    before = line.refused()
    line.hub.send(frame.UP, line.seal(line.seq - 1, k.SMOKE, CALL))
    line.counted(before, "identity", 1)
    fault = line.city.wait(lambda event: event.name == "identity.fault")
    assert fault.hub == line.hub_id
    line.lives()
    (smoke,) = line.city.events("smoke")  # in the daemon's own name: it may be true
    assert (smoke.data["subject"], smoke.data["flags"]) == (line.hub_id, ["unverified"])
    assert not line.city.events("call")
