# Checks of protocol/vectors that run on CPython and on MicroPython alike: no pytest, no typing here.
import json
from binascii import unhexlify

from kanhu_protocol import cbor, down, events, frame, seal
from kanhu_protocol.kinds import COUNT, DEVICE, FLAGS, KIND, REASON, UP_MS

DIRECTIONS = {"up": seal.UP, "down": seal.DOWN}


def load(folder, name):
    with open(f"{folder}/{name}", encoding="utf-8") as file:
        document = json.load(file)
    assert document["format"] == "kanhu-vectors/1"
    return document["vectors"]


def value(note):
    if isinstance(note, list):
        return [value(item) for item in note]
    if isinstance(note, dict):
        if "hex" in note:
            return unhexlify(note["hex"])
        if "int" in note:
            return int(note["int"])
        return {value(pair[0]): value(pair[1]) for pair in note["map"]}
    return note


def same(a, b):
    # == alone would take True for 1.
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))  # noqa: B905 - not on MicroPython
    if isinstance(a, dict):
        return len(a) == len(b) and all(key in b and same(a[key], b[key]) for key in a)
    return a == b


def refused(function, error, *args):
    # The error's args, or None; any other exception goes through and fails the check.
    try:
        function(*args)
    except error as found:
        return found.args
    return None


def check_cbor(v):
    raw = unhexlify(v["hex"])
    for form in (raw, bytearray(raw), memoryview(raw)):
        if "error" in v:
            assert refused(cbor.loads, cbor.CborError, form) == (v["error"],)
        else:
            assert same(cbor.loads(form), value(v["value"]))
    if "value" in v:
        assert cbor.dumps(value(v["value"])) == raw


def check_sequence(v):
    raw = unhexlify(v["hex"])
    if "error" in v:
        assert refused(cbor.split_sequence, cbor.CborError, raw) == (v["error"],)
    else:
        assert cbor.split_sequence(raw) == [unhexlify(item) for item in v["items"]]


def check_event(v):
    raw = unhexlify(v["hex"])
    if "error" in v:
        assert refused(events.decode, events.EventError, raw) == (v["error"],)
        return
    event = events.decode(raw)
    assert same(event, value(v["value"]))
    if not v["bad"]:
        kind, up_ms = event.pop(KIND), event.pop(UP_MS)
        assert events.encode(kind, up_ms, event) == raw
        for key, default in ((DEVICE, 0), (FLAGS, 0), (COUNT, 1)):
            event.setdefault(key, default)
        event.setdefault(REASON, None)
        assert events.encode(kind, up_ms, event) == raw


def check_down(v):
    raw = unhexlify(v["hex"])
    if "error" in v:
        assert refused(down.decode, down.DownError, raw) == (v["error"], v["number"])
        return
    message = down.decode(raw)
    assert same(message, value(v["value"]))
    kind = message.pop(0)
    assert down.encode(kind, message) == raw


def check_hello(v):
    assert cbor.dumps(value(v["value"])) == unhexlify(v["hex"])


def check_sealed(v, aead_class):
    raw = unhexlify(v["hex"])
    aead = aead_class(unhexlify(v["key"]))
    direction = DIRECTIONS[v["direction"]]
    bound = seal.MAX_DOWN if direction == seal.DOWN else seal.MAX_SEALED
    if "error" in v:
        found = refused(lambda: seal.parse(raw, bound).open(aead, v["hub_id"], direction), seal.SealError)
        assert found == (v["error"],), found
        return
    plain = unhexlify(v["plaintext"])
    a, b, c = v["nonce"]
    assert seal.seal(aead, v["generation"], v["hub_id"], direction, a, b, c, plain) == raw
    for form in (raw, bytearray(raw), memoryview(raw)):
        message = seal.parse(form, bound)
        assert (message.generation, message.a, message.b, message.c) == (v["generation"], a, b, c)
        assert message.open(aead, v["hub_id"], direction) == plain


def check_aead(v, aead_class):
    aead = aead_class(unhexlify(v["key"]))
    nonce, aad, raw = unhexlify(v["nonce"]), unhexlify(v["aad"]), unhexlify(v["hex"])
    if "error" in v:
        assert refused(aead.open, ValueError, nonce, raw, aad) is not None
        return
    plain = unhexlify(v["plaintext"])
    assert aead.seal(nonce, plain, aad) == raw
    assert aead.open(nonce, raw, aad) == plain
    if "protected" in v:
        structure = [v["context"], unhexlify(v["protected"]), unhexlify(v["external_aad"])]
        assert cbor.dumps(structure) == aad


def feed(stream, step):
    text = bytearray()
    decoder = frame.Decoder(text.extend)
    frames = []
    for start in range(0, len(stream), step):
        frames.extend(decoder.feed(stream[start : start + step]))
    counts = (decoder.bad_crc, decoder.too_long, decoder.broken)
    # What still waits to be told from text comes out with a line end.
    frames.extend(decoder.feed(b"\n"))
    return frames, bytes(text), counts


def check_frame(v):
    stream = unhexlify(v["hex"])
    frames = [(kind, unhexlify(body)) for kind, body in v["frames"]]
    for step in (1, 2, 3, 7, 64, 100000):
        found, text, counts = feed(stream, step)
        assert found == frames, found
        assert text == unhexlify(v["text"]) + b"\n", text
        assert counts == (v["bad_crc"], v["too_long"], v["broken"]), counts


CHECKS = {
    "cbor.json": check_cbor,
    "cbor_malformed.json": check_cbor,
    "sequences.json": check_sequence,
    "events.json": check_event,
    "down.json": check_down,
    "hello.json": check_hello,
    "frames.json": check_frame,
}
AEAD_CHECKS = {"sealed.json": check_sealed, "aead.json": check_aead}


def run(folder, name, aead_class):
    """Check every vector of one file; their number, or AssertionError that names those that failed."""
    failed = []
    vectors = load(folder, name)
    for v in vectors:
        try:
            if name in CHECKS:
                CHECKS[name](v)
            else:
                AEAD_CHECKS[name](v, aead_class)
        except Exception as error:
            failed.append((v["name"], repr(error)))
    assert not failed, failed[:10]
    return len(vectors)
