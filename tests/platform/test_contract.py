"""platform.asyncapi.yaml: lints clean, covers every kind, accepts what is sent and refuses what is not."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from helpers_city import DAEMON, HUB, MOMENT, Row
from kanhu.platform import words
from kanhu.uplink import commands
from kanhu.uplink.cloudevents import AT_HOME, to_cloudevent
from kanhu_protocol import checks, names
from kanhu_protocol import events as codec
from kanhu_protocol import kinds as k

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "protocol/platform.asyncapi.yaml"
DOCUMENT = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
MESSAGES = DOCUMENT["components"]["messages"]
VECTORS = json.loads((ROOT / "protocol/vectors/events.json").read_text(encoding="utf-8"))["vectors"]
GOOD = [vector for vector in VECTORS if "error" not in vector]


def validator(message: str) -> Draft7Validator:
    schema = {**MESSAGES[message]["payload"], "components": DOCUMENT["components"]}
    return Draft7Validator(schema, format_checker=Draft7Validator.FORMAT_CHECKER)


VALIDATORS = {name: validator(name) for name in MESSAGES}


def message_of(event: dict[str, Any]) -> str:
    kind = event["type"].removeprefix("org.kanhu.").removesuffix(".v1")
    return kind if kind in MESSAGES else "unknown"


def cloudevent(plain: bytes, daemon: bool = False) -> dict[str, Any]:
    row = Row(42, DAEMON if daemon else HUB, 12, 7, codec.decode(plain), daemon)
    return to_cloudevent(row, home="h-0017", region="cn/42", moment=MOMENT, clockstatus="synced")


def by_kind() -> dict[str, dict[str, Any]]:
    """For each kind the event of a golden vector that has most to say."""
    richest: dict[int, dict[str, Any]] = {}
    for vector in GOOD:
        kind = codec.decode(bytes.fromhex(vector["hex"]))[k.KIND]
        if (
            kind in names.KINDS
            and not vector["bad"]
            and len(vector["hex"]) > len(richest.get(kind, {"hex": ""})["hex"])
        ):
            richest[kind] = vector
    return {names.KINDS[kind]: cloudevent(bytes.fromhex(vector["hex"])) for kind, vector in richest.items()}


def test_lints_clean() -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    script = ROOT / "scripts/lint-asyncapi.sh"
    run = subprocess.run([script, CONTRACT], capture_output=True, text=True, timeout=100)
    if run.returncode == 2 and "not installed" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_kind_has_its_message_and_word() -> None:
    events = set(DOCUMENT["channels"]["events"]["messages"])
    assert events == set(names.KINDS.values()) | {"unknown"}
    assert set(words.EVENTS) == set(names.KINDS.values())
    for kind, name in names.KINDS.items():
        properties = MESSAGES[name]["payload"]["allOf"][1]["properties"]
        assert properties["type"]["const"] == f"org.kanhu.{name}.v1"
        assert properties["kanhuclass"]["const"] == f"p{k.class_of(kind)}"


def test_every_key_is_described() -> None:
    described = set(DOCUMENT["components"]["schemas"]["Data"]["properties"])
    assert described == set(names.KEYS.values()) - {"kind"} - AT_HOME | {"unknown", "unreadable"}


def test_every_kind_has_a_vector() -> None:
    assert by_kind().keys() == set(names.KINDS.values())


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_vectors_validate(vector: dict[str, Any]) -> None:
    event = cloudevent(bytes.fromhex(vector["hex"]))
    VALIDATORS[message_of(event)].validate(event)


@pytest.mark.parametrize("name", sorted(names.KINDS.values()))
def test_required_keys_are_required(name: str) -> None:
    kind = next(number for number, text in names.KINDS.items() if text == name)
    event = by_kind()[name]
    for key in checks.REQUIRED.get(kind, ()):
        if names.KEYS[key] in AT_HOME:
            continue
        less = copy.deepcopy(event)
        del less["data"][names.KEYS[key]]
        assert not VALIDATORS[name].is_valid(less), names.KEYS[key]


def mutations(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    def put(what: str, **changes: Any) -> tuple[str, dict[str, Any]]:
        return what, {**copy.deepcopy(event), **changes}

    for key in (
        "specversion",
        "id",
        "source",
        "type",
        "datacontenttype",
        "kanhuclass",
        "kanhuseq",
        "data",
        "time",
    ):
        yield f"no {key}", {name: value for name, value in event.items() if name != key}
    yield put("no clockstatus known", clockstatus="guessed")
    yield put("time although unknown", clockstatus="unknown")
    yield put("specversion", specversion="0.3")
    yield put("id", id="12_7")
    yield put("id number", id=7)
    yield put("leading zero", id="012-7")
    yield put("source", source="/kanhu/hubs/7Q8K2M3X9A")
    yield put("type", type=event["type"].replace(".v1", ".v2"))
    yield put("other type", type="org.kanhu.nothing.v1")
    yield put("class", kanhuclass="p1" if event["kanhuclass"] != "p1" else "p2")
    yield put("time without zone", time="2026-09-21T14:13:20.123")
    yield put("local time", time="2026-09-21T14:13:20.123+08:00")
    yield put("kanhuseq", kanhuseq=42)
    yield put("attribute name", **{"Home-Name": "x"})
    yield put("data", data=[])
    for key, value in event["data"].items():
        if key == "unknown":
            continue
        wrong: Any = {} if not isinstance(value, dict) else []
        yield f"data.{key}", {**event, "data": {**event["data"], key: wrong}}
        if isinstance(value, int) and not isinstance(value, bool):
            yield f"data.{key} range", {**event, "data": {**event["data"], key: -(2**60)}}


@pytest.mark.parametrize("name", sorted(names.KINDS.values()))
def test_mutations_fail(name: str) -> None:
    event = by_kind()[name]
    assert VALIDATORS[name].is_valid(event)
    passed = [what for what, mutated in mutations(event) if VALIDATORS[name].is_valid(mutated)]
    assert not passed


def test_no_message_accepts_anothers_event() -> None:
    events = by_kind()
    for name, event in events.items():
        assert [other for other in events if VALIDATORS[other].is_valid(event)] == [name]


def test_examples_validate_and_are_understood() -> None:
    shown = 0
    for name, message in MESSAGES.items():
        for example in message.get("examples", ()):
            VALIDATORS[name].validate(example["payload"])
            if name == "command":
                (item,) = commands.parse(json.dumps(example["payload"]).encode())
                assert not isinstance(item, commands.CommandError)
            shown += 1
    assert shown >= 8


@pytest.mark.parametrize(
    "command",
    [
        {"command": "accept", "alarm": f"{HUB}/12-7"},
        {"command": "accept", "alarm": f"{HUB}/12-7", "operator": "Wang Li"},
        {"command": "accept", "alarm": "12-7", "operator": "op"},
        {"command": "close", "alarm": f"{HUB}/12-7", "operator": "op", "reason": ""},
        {"command": "dispatch", "alarm": f"{HUB}/12-7"},
        {"command": "on_scene", "alarm": "12-7", "operator": "op"},
        {"command": "hand_over", "alarm": f"{HUB}/12-7", "operator": "op"},
        {"command": "hand_over", "alarm": f"{HUB}/12-7", "operator": "op", "to": "Wang Li"},
        {"command": "correct", "alarm": f"{HUB}/12-7", "operator": "op"},
        {"command": "acknowledge", "events": []},
        {"command": "missing", "hub": HUB, "ranges": [[1, 2]]},
        {"command": "ping"},
        {"command": "ping", "hub": HUB, "id": ""},
        {"command": "explode"},
        [],
        5,
    ],
)
def test_schema_and_parser_refuse_the_same(command: Any) -> None:
    assert not VALIDATORS["command"].is_valid(command)
    try:
        items = commands.parse(json.dumps(command).encode())
    except commands.CommandError as error:
        items = [error]
    assert all(isinstance(item, commands.CommandError) for item in items)


def test_replies_validate() -> None:
    for reply in (commands.reply("1"), commands.reply("1", "No."), commands.reply(None, "No.")):
        VALIDATORS["reply"].validate(json.loads(reply))
    for wrong in ({}, {"ok": False}, {"ok": True, "error": "x"}, {"ok": "yes"}, {"ok": True, "id": 5}):
        assert not VALIDATORS["reply"].is_valid(wrong)
