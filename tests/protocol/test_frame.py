"""frame as an adversary's wire would test it: noise, cuts and log text, in pieces of any size."""

import itertools
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kanhu_protocol import frame

BODY = st.binary(max_size=80)
FRAME = st.tuples(st.integers(0, 255), BODY)
# Log text may hold flags and escapes; noise may hold anything.
TEXT = st.text(st.sampled_from("ab }~\r\n看"), max_size=30).map(str.encode)
NOISE = st.one_of(st.binary(max_size=60), st.binary(max_size=3000).map(lambda raw: b"~" + raw), TEXT)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream cut at the given places; one byte at a time where there are none."""
    if not cuts:
        return [stream[i : i + 1] for i in range(len(stream))]
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[a:b] for a, b in itertools.pairwise(places)]


def run(stream: bytes, cuts: list[int]) -> tuple[list[tuple[int, bytes]], bytes]:
    """Frames and text of a stream, with a line end after it to release what was held back."""
    text = bytearray()
    decoder = frame.Decoder(text.extend)
    frames = []
    for piece in [*pieces(stream, cuts), b"\n"]:
        frames.extend(decoder.feed(piece))
    return frames, bytes(text)


CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@given(FRAME)
@example((frame.UP, bytes(range(256))))
@example((255, b"\x7e\x7d\x7f\x03" * 250))
def test_no_control_character_inside_a_frame(message: tuple[int, bytes]) -> None:
    wire = frame.encode(*message)
    assert wire[0] == wire[-1] == 0x7E
    assert not any(byte < 0x20 or byte in (0x7E, 0x7F) for byte in wire[1:-1])


@given(st.lists(st.one_of(FRAME, TEXT), max_size=8), CUTS)
def test_frames_among_log_text(parts: list[bytes | tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(part if isinstance(part, bytes) else frame.encode(*part) for part in parts)
    frames, text = run(stream, cuts)
    assert frames == [part for part in parts if not isinstance(part, bytes)]
    assert text == b"".join(part for part in parts if isinstance(part, bytes)) + b"\n"


@given(NOISE, FRAME, NOISE, FRAME, CUTS)
@example(b"~" + b"x" * 2047, (2, b"a"), b"~" + b"y" * 2048, (3, b"b"), [])
@example(b"}", (2, b"a"), b"~}", (3, b""), [])
def test_after_any_noise_the_next_frame_comes(
    before: bytes, first: tuple[int, bytes], between: bytes, second: tuple[int, bytes], cuts: list[int]
) -> None:
    stream = before + frame.encode(*first) + between + frame.encode(*second)
    frames, text = run(stream, cuts)
    assert [f for f in frames if f in (first, second)] == [first, second]
    # What is no frame is text, whole and in order (noise that happens to be a frame aside).
    if len(frames) == 2:
        assert text == before + between + b"\n"


@given(st.lists(FRAME, min_size=2, max_size=5), st.data(), CUTS)
def test_damage_to_one_frame_harms_no_other(
    messages: list[tuple[int, bytes]], data: st.DataObject, cuts: list[int]
) -> None:
    wires = [frame.encode(*message) for message in messages]
    victim = data.draw(st.integers(0, len(wires) - 1))
    damaged = bytearray(wires[victim])
    place = data.draw(st.integers(0, len(damaged) - 1))
    how = data.draw(st.sampled_from(["drop", "change", "insert", "cut"]))
    if how == "drop":
        del damaged[place]
    elif how == "change":
        damaged[place] ^= data.draw(st.integers(1, 255))
    elif how == "insert":
        damaged.insert(place, data.draw(st.integers(0, 255)))
    else:
        del damaged[place:]
    wires[victim] = bytes(damaged)
    frames, _ = run(b"".join(wires), cuts)
    others = messages[:victim] + messages[victim + 1 :]
    assert [f for f in frames if f in others] == others or frames == messages


@given(st.binary(max_size=6000), CUTS)
def test_every_byte_is_a_frame_or_text(stream: bytes, cuts: list[int]) -> None:
    frames, text = run(stream, cuts)
    if not frames:
        assert text == stream + b"\n"


@pytest.mark.parametrize("before", [b"", b"log line\r\n", frame.encode(frame.UP, b"before")])
def test_every_flipped_bit_is_refused_and_counted(before: bytes) -> None:
    body = bytes(range(24)) + b"~}\x7f sealed bytes \xff\x80"
    wire, after = frame.encode(frame.UP, body), (frame.UP, b"after")
    for bit in range(8 * len(wire)):
        damaged = bytearray(wire)
        damaged[bit // 8] ^= 1 << bit % 8
        decoder = frame.Decoder()
        frames = decoder.feed(before + bytes(damaged) + frame.encode(*after))
        assert (frame.UP, body) not in frames, bit
        assert frames[-1] == after, bit
        assert decoder.bad_crc + decoder.too_long + decoder.broken >= 1, bit


def test_good_traffic_counts_nothing() -> None:
    decoder = frame.Decoder()
    stream = b"".join(frame.encode(frame.UP, bytes([n] * n)) + b"line %d\n" % n for n in range(200))
    stream += frame.encode(frame.HELLO, b"") * 3
    assert len(decoder.feed(stream)) == 203
    assert (decoder.bad_crc, decoder.too_long, decoder.broken) == (0, 0, 0)


def test_flags_may_be_shared() -> None:
    one, two = frame.encode(frame.UP, b"one"), frame.encode(frame.UP, b"two")
    frames, text = run(one + two[1:] + b"log\n", [])
    assert frames == [(frame.UP, b"one"), (frame.UP, b"two")]
    assert text == b"log\n\n"


def test_memory_is_bounded() -> None:
    decoder = frame.Decoder(lambda text: None)
    decoder.feed(b"~")
    tracemalloc.start()
    try:
        for _ in range(200):
            decoder.feed(b"x" * 4096)
            decoder.feed(b"~" * 64)
            decoder.feed(b"~" + b"}" * 4096)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * 1024


def test_a_small_decoder_takes_its_size_and_no_more() -> None:
    decoder = frame.Decoder(max_frame=16)
    assert decoder.feed(frame.encode(1, b"x" * 11)) == [(1, b"x" * 11)]
    assert decoder.feed(frame.encode(1, b"\0" * 11)) == [(1, b"\0" * 11)]
    assert decoder.feed(frame.encode(1, b"x" * 12)) == []
    assert decoder.too_long == 1
    assert decoder.feed(frame.encode(1, b"y")) == [(1, b"y")]


@pytest.mark.parametrize(
    ("kind", "size", "word"), [(-1, 0, "type"), (256, 0, "type"), (1, 1020, "size"), (1, 99999, "size")]
)
def test_what_it_will_not_frame(kind: int, size: int, word: str) -> None:
    with pytest.raises(frame.FrameError) as found:
        frame.encode(kind, bytes(size))
    assert found.value.args == (word,)
