# Fuzzing that runs on CPython and on MicroPython alike: random and mutated bytes into every decoder.
# Whatever is not the decoder's own error goes through and fails the run with the bytes that did it.
import random
from binascii import hexlify

from kanhu_protocol import cbor, down, events, frame, seal

HUB_ID = "7k3m9q2xwt"
# Heads and lengths that decoders stumble over.
SPICE = (
    b"\x00\x17\x18\x19\x1a\x1b\x1c\x1f\x20\x38\x3b\x40\x58\x5b\x5f\x60\x78\x7b\x7d\x7e\x7f"
    b"\x80\x98\x9b\x9f\xa0\xa1\xb8\xbb\xbf\xc0\xd8\xdb\xdf\xe0\xf4\xf5\xf6\xf7\xf8\xf9\xfb\xfe\xff"
)


def noise(size):
    return bytes([random.getrandbits(8) for _ in range(size)])


def mutate(raw):
    out = bytearray(raw)
    for _ in range(random.randint(1, 4)):
        how = random.randint(0, 6)
        place = random.randint(0, len(out))
        if how == 0 and out:
            out[place % len(out)] ^= 1 << random.randint(0, 7)
        elif how == 1 and out:
            out[place % len(out)] = SPICE[random.randint(0, len(SPICE) - 1)]
        elif how == 2:
            out = out[:place] + noise(random.randint(1, 4)) + out[place:]
        elif how == 3:
            out = out[:place] + out[place + random.randint(1, 4) :]
        elif how == 4:
            out = out[:place]
        elif how == 5:
            out = out[:place] + b"\xff\xff\xff\xff\xff\xff\xff\xff" + out[place:]
        else:
            out = out + out[place:]
    return bytes(out[:2000])


def spiced(size):
    return bytes([SPICE[random.randint(0, len(SPICE) - 1)] for _ in range(size)])


def one_word(error):
    word = error.args[0]
    assert isinstance(word, str), error.args
    assert word.replace("-", "").replace("_", "").isalpha() or word == "utf8", error.args


def attack_maps(raw, aead):
    # Every decoder of items, one after the other; returns how many accepted the bytes.
    accepted = 0
    for decode, error in (
        (cbor.loads, cbor.CborError),
        (cbor.split_sequence, cbor.CborError),
        (events.decode, events.EventError),
        (down.decode, down.DownError),
    ):
        try:
            decode(raw)
            accepted += 1
        except error as found:
            one_word(found)
    for direction in (seal.UP, seal.DOWN):
        try:
            seal.parse(raw).open(aead, HUB_ID, direction)
            accepted += 1
        except seal.SealError as found:
            one_word(found)
    return accepted


def attack_link(decoder, raw, good):
    # After whatever came before, a clean frame is delivered, and the decoder is no larger than it was.
    size = len(decoder._buf)
    position = 0
    while position < len(raw):
        step = random.randint(1, 40)
        decoder.feed(raw[position : position + step])
        position += step
    found = decoder.feed(frame.encode(frame.DOWN, good))
    assert found[-1:] == [(frame.DOWN, good)], found
    assert len(decoder._buf) == size
    assert decoder._len <= size


def run(seeds, rounds, seed, aead):
    """Attack every decoder `rounds` times; returns how often anything was accepted."""
    random.seed(seed)
    accepted = 0
    decoder = frame.Decoder(lambda text: None)
    for number in range(rounds):
        what = number % 4
        if what == 0:
            raw = noise(random.randint(0, 80))
        elif what == 1:
            raw = spiced(random.randint(0, 80))
        else:
            raw = mutate(seeds[random.randint(0, len(seeds) - 1)])
        try:
            accepted += attack_maps(raw, aead)
            attack_link(decoder, raw, raw[:600])
        except Exception:
            print("failed on", hexlify(raw).decode())
            raise
    return accepted
