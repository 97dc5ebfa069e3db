"""Improv's reader under MicroPython, fed with anything: it never fails, and always comes back."""

from __future__ import annotations

import pytest

from helpers_micropython import run_micropython

SCRIPT = """
import random, sys
from kanhu_hub.improv import Improv, READY

SEED, ROUNDS = int(sys.argv[1]), int(sys.argv[2])
random.seed(SEED)
said = []


class Owner:
    asked = 0

    def state(self):
        return READY

    def device(self):
        return "Kanhu", "1.2.3", "chip", "name"

    def scan(self, asker):
        self.asked += 1
        return random.getrandbits(1)

    def wifi(self, asker, ssid, password):
        assert 0 < len(ssid.encode()) <= 32 and len(password.encode()) <= 64
        self.asked += 1
        return random.getrandbits(1)


def packet(kind, data):
    head = b"IMPROV\\x01" + bytes((kind, len(data))) + data
    return head + bytes((sum(head) & 255,))


def noise(size):
    return bytes(random.getrandbits(8) for _ in range(size))


def piece():
    what = random.getrandbits(3)
    if what == 0:
        return noise(random.getrandbits(5))
    if what == 1:
        return b"IMPROV"[: random.getrandbits(3)]
    if what == 2:
        return b"IMPROV\\x01" + noise(random.getrandbits(4))
    if what == 3:
        return packet(random.getrandbits(8), noise(random.getrandbits(6)))
    if what == 4:
        return packet(3, bytes((random.getrandbits(3),)) + noise(random.getrandbits(5)))
    sizes = [random.choice((8, 8, 8, random.getrandbits(4))) for _ in "np"]
    data = bytes((sizes[0],)) + b"network!" + bytes((sizes[1],)) + b"password"
    good = packet(3, bytes((1, len(data))) + data)
    if what == 5:
        at = random.randrange(len(good))
        return good[:at] + noise(1) + good[at + 1 :]
    return good


owner = Owner()
improv = Improv(said.append, owner)
now = stops = 0
for _ in range(ROUNDS):
    data = b"".join([piece() for _ in range(4)])
    while data:
        size = 1 + random.randrange(40)
        part, data = data[:size], data[size:]
        if improv.feed(bytearray(part) if size & 1 else part, now):
            stops += 1
        now += random.randrange(300)
    now += 1001
    for answer in said:
        assert answer[:8] == b"\\nIMPROV\\x01" and answer[-1:] == b"\\n", answer
        assert len(answer) == 12 + answer[9] and sum(answer[1:-2]) & 255 == answer[-2], answer
    del said[:]
    assert not improv.feed(packet(3, b"\\x02\\x00"), now)
    assert said == [b"\\n" + packet(2, b"\\0") + b"\\n", b"\\n" + packet(1, b"\\x02") + b"\\n"], said
    del said[:]
    assert improv.feed(b"\\r\\x03", now)
    now += 1001
print(owner.asked, stops)
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_anything_may_come(seed: int) -> None:
    asked, stops = map(int, run_micropython(SCRIPT, seed, 3000, heap="128k").split())
    assert asked > 1000  # whole packets were among it
    assert stops > 100
