"""What the platform says, read: every command, every way of being wrong, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_city import DAEMON, HUB
from kanhu.uplink import commands
from kanhu.uplink.commands import (
    Accept,
    Acknowledge,
    CheckIn,
    CheckOut,
    Close,
    CommandError,
    Correct,
    Dispatch,
    HandOver,
    Missing,
    OnScene,
    Ping,
)
from kanhu.uplink.identity import Identity

ALARM = f"{HUB}/12-7"
EVENT = {"source": f"/kanhu/hubs/{HUB}", "id": "12-7"}


def one(command: Any) -> Any:
    (item,) = commands.parse(json.dumps(command).encode())
    return item


def test_each_command() -> None:
    own = {"source": f"/kanhu/daemons/{DAEMON}", "id": "4-9"}
    assert one({"command": "acknowledge", "events": [EVENT, own]}) == Acknowledge(
        None, (Identity(HUB, 12, 7), Identity(DAEMON, 4, 9, daemon=True))
    )
    assert one({"command": "accept", "alarm": ALARM, "operator": "op-7", "id": "a"}) == Accept(
        "a", Identity(HUB, 12, 7), "op-7"
    )
    assert one({"command": "close", "alarm": ALARM, "operator": "O.p_7", "reason": "已上门"}) == Close(
        None, Identity(HUB, 12, 7), "O.p_7", "已上门"
    )
    assert one({"command": "dispatch", "alarm": ALARM, "operator": "op-7"}) == Dispatch(
        None, Identity(HUB, 12, 7), "op-7"
    )
    assert one({"command": "on_scene", "alarm": ALARM, "operator": "op-7", "id": "b"}) == OnScene(
        "b", Identity(HUB, 12, 7), "op-7"
    )
    assert one({"command": "check_out", "hub": HUB, "who": "carer-7"}) == CheckOut(None, HUB, "carer-7")
    for code in (None, "123456"):
        said = {"command": "check_in", "hub": HUB, "who": "carer-7"} | ({"code": code} if code else {})
        assert one(said) == CheckIn(None, HUB, "carer-7", code)
    assert one({"command": "hand_over", "alarm": ALARM, "operator": "op-7", "to": "op-8"}) == HandOver(
        None, Identity(HUB, 12, 7), "op-7", "op-8"
    )
    assert one({"command": "correct", "alarm": ALARM, "operator": "op-7", "reason": "外出"}) == Correct(
        None, Identity(HUB, 12, 7), "op-7", "外出"
    )
    assert one({"command": "missing", "hub": HUB, "ranges": [[1, 0, 4], [2, 5, 5]]}) == Missing(
        None, HUB, ((1, 0, 4), (2, 5, 5))
    )
    assert one({"command": "ping", "hub": HUB, "colour": "ignored"}) == Ping(None, HUB)


def test_each_goes_by_its_name() -> None:
    examples = {"acknowledge": {"events": [EVENT]}, "missing": {"hub": HUB, "ranges": [[1, 0, 4]]}}
    for name in commands._COMMANDS:
        others = {"alarm": ALARM, "operator": "a", "to": "b", "reason": "c", "hub": HUB, "who": "d"}
        rest = examples.get(name, others)
        assert commands.name_of(one({"command": name, **rest})) == name


def test_one_bad_command_does_not_spoil_the_others() -> None:
    first, second, third = commands.parse(
        json.dumps(
            [
                {"command": "ping", "hub": HUB, "id": "1"},
                {"command": "accept", "alarm": ALARM, "id": "2"},
                {"command": "ping", "hub": HUB, "id": "3"},
            ]
        ).encode()
    )
    assert first == Ping("1", HUB)
    assert isinstance(second, CommandError)
    assert second.id == "2"
    assert "operator" in str(second)
    assert third == Ping("3", HUB)


@pytest.mark.parametrize(
    ("command", "about"),
    [
        ({}, "one of"),
        ({"command": "Accept"}, "one of"),
        ({"command": ["accept"]}, "one of"),
        ({"command": "accept", "operator": "op"}, "alarm"),
        ({"command": "accept", "alarm": "12-7", "operator": "op"}, "alarm"),
        ({"command": "accept", "alarm": ALARM}, "operator"),
        ({"command": "accept", "alarm": ALARM, "operator": ""}, "operator"),
        ({"command": "accept", "alarm": ALARM, "operator": "a" * 65}, "operator"),
        ({"command": "accept", "alarm": ALARM, "operator": "Wang Li"}, "operator"),
        ({"command": "accept", "alarm": ALARM, "operator": "op\n"}, "operator"),
        ({"command": "close", "alarm": ALARM, "operator": "op"}, "reason"),
        ({"command": "close", "alarm": ALARM, "operator": "op", "reason": ""}, "reason"),
        ({"command": "close", "alarm": ALARM, "operator": "op", "reason": "  "}, "reason"),
        ({"command": "close", "alarm": ALARM, "operator": "op", "reason": "a" * 201}, "reason"),
        ({"command": "close", "alarm": ALARM, "operator": "op", "reason": "a\x1b[2J"}, "reason"),
        ({"command": "close", "alarm": ALARM, "operator": "op", "reason": "\ud800"}, "reason"),
        ({"command": "dispatch", "alarm": ALARM}, "operator"),
        ({"command": "on_scene", "operator": "op"}, "alarm"),
        ({"command": "on-scene", "alarm": ALARM, "operator": "op"}, "one of"),
        ({"command": "hand_over", "alarm": ALARM, "operator": "op"}, "to"),
        ({"command": "check_in", "hub": HUB}, "who"),
        ({"command": "check_in", "hub": HUB, "who": "carer-7", "code": 123456}, "code"),
        ({"command": "check_out", "hub": "?", "who": "carer-7"}, "hub"),
        ({"command": "hand_over", "alarm": ALARM, "operator": "op", "to": "Wang Li"}, "to"),
        ({"command": "correct", "alarm": ALARM, "operator": "op"}, "reason"),
        ({"command": "acknowledge"}, "events"),
        ({"command": "acknowledge", "events": []}, "events"),
        ({"command": "acknowledge", "events": EVENT}, "events"),
        ({"command": "acknowledge", "events": [EVENT, {"source": "x", "id": "1-1"}]}, "item 1"),
        ({"command": "acknowledge", "events": [EVENT] * 1001}, "1001"),
        ({"command": "missing", "hub": HUB, "ranges": [[1, 5, 4]]}, "item 0"),
        ({"command": "missing", "hub": HUB, "ranges": [[0, 1, 2]]}, "item 0"),
        ({"command": "missing", "hub": HUB, "ranges": [[1, True, 2]]}, "item 0"),
        ({"command": "missing", "hub": HUB, "ranges": [[1, 2**32, 2**32]]}, "item 0"),
        ({"command": "missing", "hub": HUB, "ranges": [[1, 1.0, 2]]}, "item 0"),
        ({"command": "missing", "hub": "x", "ranges": [[1, 1, 2]]}, "hub"),
        ({"command": "ping"}, "hub"),
        ({"command": "ping", "hub": HUB + "\n"}, "hub"),
        ({"command": "ping", "hub": HUB, "id": 5}, "id"),
        ({"command": "ping", "hub": HUB, "id": ""}, "id"),
        ({"command": "ping", "hub": HUB, "id": "a" * 129}, "id"),
        ({"command": "ping", "hub": HUB, "id": "\udfff"}, "id"),
    ],
)
def test_one_sentence_for_each_mistake(command: Any, about: str) -> None:
    error = one(command)
    assert isinstance(error, CommandError)
    sentence = str(error)
    assert about in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("payload", "about"),
    [
        (b"", "not JSON"),
        (b"accept", "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b'\xef\xbb\xbf{"command":"ping"}', "not JSON"),
        (b"5", "object"),
        (b"[]", "array"),
        (b"null", "object"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 50_000, "nested"),
        (b'{"command":' + b"9" * 10_000 + b"}", "number"),
        (b'{"command":NaN}', "NaN"),
        (b'{"command":"ping","command":"accept"}', "twice"),
        (b" " * (256 * 1024 + 1), "bytes"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", "1001"),
    ],
)
def test_messages_that_cannot_be_used(payload: bytes, about: str) -> None:
    with pytest.raises(CommandError) as caught:
        commands.parse(payload)
    assert about in str(caught.value)
    assert str(caught.value).endswith(".")
    assert caught.value.id is None


def test_the_greatest_message() -> None:
    many = [EVENT] * 1000
    assert len(one({"command": "acknowledge", "events": many}).events) == 1000
    assert len(commands.parse(json.dumps([{"command": "ping", "hub": HUB}] * 1000).encode())) == 1000


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([ALARM, HUB]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
keys = st.sampled_from(["command", "id", "alarm", "operator", "to", "reason", "hub", "ranges", "events"])
names = st.sampled_from(
    [
        "acknowledge",
        "accept",
        "dispatch",
        "on_scene",
        "hand_over",
        "close",
        "correct",
        "missing",
        "ping",
        "check_in",
        "check_out",
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.tuples(names, st.dictionaries(keys, json_values, max_size=5)).map(
        lambda pair: json.dumps({**pair[1], "command": pair[0]}).encode()
    )
)
def test_nothing_else_is_ever_raised(payload: bytes) -> None:
    try:
        items = commands.parse(payload)
    except CommandError as error:
        items = [error]
    for item in items:
        answer = commands.reply(item.id, str(item) if isinstance(item, CommandError) else None)
        json.loads(answer.decode())


def test_replies() -> None:
    assert json.loads(commands.reply("7")) == {"id": "7", "ok": True}
    assert json.loads(commands.reply("7", "No.")) == {"id": "7", "ok": False, "error": "No."}
    assert json.loads(commands.reply(None, "No.")) == {"ok": False, "error": "No."}
