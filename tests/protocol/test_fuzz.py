"""No bytes make a decoder raise anything but its own error, on either interpreter, in a hub's memory."""

import random
import tracemalloc
from pathlib import Path

import pytest

import helpers_portable_fuzz as fuzz
import helpers_portable_vectors as portable
from helpers_micropython import run_micropython
from kanhu.aead import AesCcm
from kanhu_protocol import frame

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = str(ROOT / "protocol" / "vectors")
KEY = bytes(range(0x40, 0x50))

ON_MICROPYTHON = """
import sys
from binascii import unhexlify
import helpers_portable_fuzz as fuzz
from kanhu_hub.ccm import Ccm
with open(sys.argv[1]) as file:
    seeds = [unhexlify(line.strip()) for line in file]
print(fuzz.run(seeds, int(sys.argv[2]), int(sys.argv[3]), Ccm(bytes(range(0x40, 0x50)))))
"""


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    """Good messages of every sort, and frames with them inside."""
    found = []
    for name in ("events.json", "down.json", "hello.json", "sealed.json", "cbor.json"):
        good = [bytes.fromhex(v["hex"]) for v in portable.load(VECTORS, name) if "error" not in v]
        found += [raw for raw in good if len(raw) < 300]
    return found + [frame.encode(frame.UP, raw) for raw in found[::5]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_decoders_on_cpython(seeds: list[bytes], seed: int) -> None:
    assert fuzz.run(seeds, 6000, seed, AesCcm(KEY)) > 0


def test_decoders_on_micropython_in_a_small_heap(seeds: list[bytes], tmp_path: Path) -> None:
    chosen = random.Random(7).sample(seeds, 60)
    file = tmp_path / "seeds"
    file.write_text("".join(raw.hex() + "\n" for raw in chosen), encoding="ascii")
    # 192 kB here is less than an ESP32 without PSRAM has free: objects are twice the size on 64 bits.
    out = run_micropython(ON_MICROPYTHON, file, 12000, 4, heap="192k", paths=[ROOT / "tests"], timeout_s=100)
    assert int(out) > 0


# The costliest items of their size: what they make must stay near what they are.
BOMBS = [
    b"\x99\x03\xfd" + b"\x80" * 1021,
    b"\x99\x03\xfd" + b"\xa0" * 1021,
    b"\x99\x03\xfd" + b"\x40" * 1021,
    b"\x81" * 1024,
    b"\xa1\x00" * 512,
    b"\x9a\xff\xff\xff\xff" + b"\x00" * 1019,
    b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 1000,
    b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 1000,
    b"\x00" * 1024,
    b"\x80" * 64,
    b"\xff" * 1_000_000,
    b"\x9b\x00\x00\x00\x00\x3b\x9a\xca\x00" + b"\x80" * 1_000_000,
]


@pytest.mark.parametrize("bomb", BOMBS, ids=[f"{b[:4].hex()}x{len(b)}" for b in BOMBS])
def test_memory_of_a_bomb_is_bounded(bomb: bytes) -> None:
    tracemalloc.start()
    try:
        fuzz.attack_maps(bomb, AesCcm(KEY))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 256 * 1024


def test_bombs_on_micropython_in_a_small_heap(tmp_path: Path) -> None:
    small = [bomb for bomb in BOMBS if len(bomb) <= 2000]
    file = tmp_path / "bombs"
    file.write_text("".join(bomb.hex() + "\n" for bomb in small), encoding="ascii")
    script = """
import sys
from binascii import unhexlify
import helpers_portable_fuzz as fuzz
from kanhu_hub.ccm import Ccm
aead = Ccm(bytes(16))
with open(sys.argv[1]) as file:
    for line in file:
        fuzz.attack_maps(unhexlify(line.strip()), aead)
print("held")
"""
    assert run_micropython(script, file, heap="192k", paths=[ROOT / "tests"]) == "held\n"
