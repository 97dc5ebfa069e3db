"""Events and down messages: what is generated validates, what is spoilt is named."""

from pathlib import Path
from typing import Any

import pytest
from cddl_verifier import Validator
from hypothesis import given
from hypothesis import strategies as st

from helpers_portable_vectors import same
from helpers_strategies import DOWN, SCALARS, events, items
from kanhu_protocol import cbor, checks, down, kinds, names
from kanhu_protocol import events as ev

OPTIONAL = {(kinds.DEVICES, kinds.ZONE_S), (kinds.PAIR, kinds.TIME_MS), (kinds.PAIR, kinds.PROVE)}
SCHEMA = Validator(Path(__file__).resolve().parent.parent.parent / "protocol" / "events.cddl")


def valid(raw: bytes, root: str) -> bool:
    return bool(SCHEMA.validate(raw, root_type=root).valid)


@given(events())
def test_a_valid_event_is_valid_everywhere(event: dict[int, Any]) -> None:
    fields = {key: value for key, value in event.items() if key not in (kinds.KIND, kinds.UP_MS)}
    raw = ev.encode(event[kinds.KIND], event[kinds.UP_MS], fields)
    decoded = ev.decode(raw)
    assert same(decoded, {key: value for key, value in event.items() if value is not None})
    assert checks.check(decoded) == []
    assert valid(raw, "event"), event


@given(events(), st.data())
def test_check_and_cddl_agree_on_a_spoilt_event(event: dict[int, Any], data: st.DataObject) -> None:
    event = {key: value for key, value in event.items() if value is not None}
    key = data.draw(st.sampled_from([key for key in event if 2 <= key < len(names.KEYS)] or [kinds.KIND]))
    if key == kinds.KIND:
        return
    event[key] = data.draw(st.one_of(SCALARS, items(2)))
    raw = cbor.dumps(event)
    bad = checks.check(ev.decode(raw))
    backwards = key == kinds.LOST and bad == [kinds.LOST]
    assert valid(raw, "event") == (not bad) or backwards
    if bad:
        relayed = {k: v for k, v in event.items() if k not in bad}
        still = checks.check(relayed)
        assert all(name not in relayed for name in still), "only missing keys are left to name"


@given(st.one_of(items(2), st.dictionaries(st.integers(0, 40), SCALARS)))
def test_decode_gives_an_event_or_its_own_error(value: Any) -> None:
    raw = cbor.dumps(value, 1 << 20)
    try:
        event = ev.decode(raw)
    except ev.EventError as error:
        word = error.args[0]
    else:
        assert 0 < event[kinds.KIND] < 256
        assert 0 <= event[kinds.UP_MS] <= ev.MAX_NUMBER
        assert isinstance(checks.check(event), list)
        return
    if word == "map":
        assert not isinstance(value, dict)
    elif word == "cbor":
        assert len(raw) > cbor.MAX_SIZE
    else:
        assert word in ("kind", "up_ms")


@pytest.mark.parametrize(
    ("kind", "up_ms", "word"),
    [
        (0, 1, "kind"),
        (256, 1, "kind"),
        (True, 1, "kind"),
        (1, -1, "up_ms"),
        (1, 2**53, "up_ms"),
        (1, True, "up_ms"),
    ],
)
def test_encode_refuses_what_decode_would(kind: int, up_ms: int, word: str) -> None:
    with pytest.raises(ev.EventError) as found:
        ev.encode(kind, up_ms, {})
    assert found.value.args == (word,)


def test_defaults_are_left_out() -> None:
    least = ev.encode(kinds.CALL, 5, {})
    assert (
        ev.encode(kinds.CALL, 5, {kinds.DEVICE: 0, kinds.FLAGS: 0, kinds.COUNT: 1, kinds.RSSI: None}) == least
    )
    assert ev.decode(least) == {kinds.KIND: kinds.CALL, kinds.UP_MS: 5}


def test_every_key_has_a_check_and_a_name() -> None:
    assert set(checks.VALID) == set(names.KEYS)
    assert set(checks.REQUIRED) <= set(names.KINDS)
    assert set(names.DETAILS) <= set(names.KINDS)


@given(DOWN)
def test_a_valid_down_message_is_valid_everywhere(message: tuple[int, dict[int, Any]]) -> None:
    kind, fields = message
    raw = down.encode(kind, fields)
    assert down.decode(raw) == {kinds.TYPE: kind, **fields}
    assert valid(raw, "down-message")


@given(DOWN, st.data())
def test_decode_and_cddl_agree_on_a_spoilt_down_message(
    message: tuple[int, dict[int, Any]], data: st.DataObject
) -> None:
    kind, fields = message
    spoilt = {kinds.TYPE: kind, **fields}
    spoilt[data.draw(st.sampled_from(sorted(spoilt)))] = data.draw(st.one_of(SCALARS, items(2)))
    raw = cbor.dumps(spoilt, 1 << 20)
    try:
        down.decode(raw)
        accepted = True
    except down.DownError as error:
        accepted = False
        assert error.args[1] is None or error.args[1] == spoilt.get(kinds.NUMBER)  # noqa: PT017
    if valid(raw, "down-message") != accepted:
        # Beyond CDDL: size and a range that runs backwards; beyond the reader: keys it does not need.
        assert len(raw) > cbor.MAX_SIZE or kinds.RANGES in spoilt or spoilt[kinds.TYPE] != kind


@given(DOWN)
def test_encode_refuses_what_decode_would_of_a_command(message: tuple[int, dict[int, Any]]) -> None:
    kind, fields = message
    for key in fields:
        if (kind, key) in OPTIONAL:
            continue
        rest = {k: v for k, v in fields.items() if k != key}
        if kind in (kinds.STORED, kinds.DELIVERED) and rest:
            continue
        with pytest.raises(down.DownError, match="missing"):
            down.encode(kind, rest)
