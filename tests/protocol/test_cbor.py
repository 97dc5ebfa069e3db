"""cbor against cbor2: the same bytes for every value, and nothing accepted that is not deterministic."""

from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helpers_portable_vectors import same
from helpers_strategies import items
from kanhu_protocol import cbor


def ordered(value: Any) -> Any:
    # cbor2's canonical mode sorts by length first (RFC 7049); ours is bytewise (RFC 8949 section 4.2.1).
    if isinstance(value, list):
        return [ordered(item) for item in value]
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


@given(items())
def test_same_bytes_as_cbor2(value: Any) -> None:
    raw = cbor.dumps(value, 1 << 20)
    assert raw == cbor2.dumps(ordered(value))
    assert same(cbor.loads(raw, 1 << 20), value)


@given(st.one_of(st.binary(max_size=64), items(2).map(cbor2.dumps)))
@example(bytes.fromhex("fb3ff199999999999a"))
def test_accepts_only_what_it_would_write_itself(raw: bytes) -> None:
    try:
        value = cbor.loads(raw)
    except cbor.CborError:
        return
    assert same(value, cbor2.loads(raw))
    assert cbor.dumps(value) == raw


@given(items(), st.data())
def test_every_cut_is_refused(value: Any, data: st.DataObject) -> None:
    raw = cbor.dumps(value, 1 << 20)
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    with pytest.raises(cbor.CborError, match="truncated"):
        cbor.loads(cut, 1 << 20)


@given(st.lists(items(2), max_size=5))
def test_sequences_split_where_their_items_end(values: list[Any]) -> None:
    parts = [cbor.dumps(value) for value in values]
    whole = b"".join(parts)
    if len(whole) > cbor.MAX_SIZE:
        with pytest.raises(cbor.CborError, match="size"):
            cbor.split_sequence(whole)
    else:
        assert cbor.split_sequence(whole) == parts


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1.5, "type"),
        (object(), "type"),
        ({1, 2}, "type"),
        ({True: 1}, "type"),
        ({None: 1}, "type"),
        ({b"a": 1}, "type"),
        ({(1, 2): 1}, "type"),
        (2**64, "range"),
        (-(2**64) - 1, "range"),
        ("\ud800", "utf8"),
        ({"\udfff": 1}, "utf8"),
        ([[[[[[[]]]]]]], "depth"),
        ({0: {0: {0: {0: {0: {0: {}}}}}}}, "depth"),
        (bytes(1022), "size"),
        ([0] * 1024, "size"),
    ],
)
def test_what_it_will_not_write(value: Any, word: str) -> None:
    with pytest.raises(cbor.CborError) as found:
        cbor.dumps(value)
    assert found.value.args == (word,)


def test_a_list_inside_itself_is_too_deep() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(cbor.CborError, match="depth"):
        cbor.dumps(loop)
