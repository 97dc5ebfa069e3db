"""The golden vectors hold on both interpreters, and events.cddl agrees with them."""

import json
from pathlib import Path

import pytest
from cddl_verifier import Validator

import helpers_portable_vectors as portable
from helpers_micropython import run_micropython
from kanhu.aead import AesCcm
from kanhu_protocol import cbor, names, seal

ROOT = Path(__file__).resolve().parent.parent.parent
VECTORS = ROOT / "protocol" / "vectors"
FILES = sorted(path.name for path in VECTORS.glob("*.json"))

ON_MICROPYTHON = """
import sys
import helpers_portable_vectors as portable
from kanhu_hub.ccm import Ccm
for name in sys.argv[2:]:
    print(name, portable.run(sys.argv[1], name, Ccm))
"""

# CDDL cannot say these: an order between numbers, and that a number stands only once.
BEYOND_CDDL = {"bad field: events.lost backwards", "refused: range backwards", "refused: index twice"}


@pytest.fixture(scope="module")
def schema() -> Validator:
    return Validator(ROOT / "protocol" / "events.cddl")


def vectors(name: str) -> list[dict]:
    return portable.load(str(VECTORS), name)


@pytest.mark.parametrize("name", FILES)
def test_vectors_on_cpython(name: str) -> None:
    assert portable.run(str(VECTORS), name, AesCcm) >= 4


def test_vectors_on_micropython() -> None:
    out = run_micropython(ON_MICROPYTHON, VECTORS, *FILES, heap="8m", paths=[ROOT / "tests"])
    counted = dict(line.split() for line in out.splitlines())
    assert counted == {name: str(len(vectors(name))) for name in FILES}


@pytest.mark.parametrize("name", FILES)
def test_shape_of_the_files(name: str) -> None:
    document = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    assert set(document) == {"format", "about", "vectors"}
    found = document["vectors"]
    assert len({v["name"] for v in found}) == len(found), "names are unique in a file"
    for v in found:
        assert bytes.fromhex(v["hex"]).hex() == v["hex"], v["name"]
        assert "error" not in v or not {"value", "frames", "items"} & set(v), v["name"]


def test_every_kind_has_a_vector_and_keeps_its_number() -> None:
    found = {v["name"]: portable.value(v["value"]) for v in vectors("events.json") if "value" in v}
    assert {kind: found[name][0] for kind, name in names.KINDS.items()} == {
        kind: kind for kind in names.KINDS
    }


def test_every_error_word_has_a_vector() -> None:
    def words(name: str) -> set[str]:
        return {v["error"] for v in vectors(name) if "error" in v}

    assert words("cbor.json") | words("cbor_malformed.json") == {
        *("truncated", "trailing", "reserved", "indefinite", "not-shortest", "order", "duplicate"),
        *("utf8", "depth", "size", "type", "break"),
    }
    assert words("sealed.json") == {"malformed", "suite", "forged", "size"}
    assert words("events.json") == {"cbor", "map", "kind", "up_ms"}
    assert words("down.json") == {"cbor", "map", "type", "missing", "range"}


@pytest.mark.parametrize(("name", "root"), [("events.json", "event"), ("down.json", "down-message")])
def test_cddl_agrees_with_the_maps(schema: Validator, name: str, root: str) -> None:
    for v in vectors(name):
        valid = "error" not in v and not v.get("bad")
        if v["name"] not in BEYOND_CDDL and v.get("error") != "cbor":
            result = schema.validate(bytes.fromhex(v["hex"]), root_type=root)
            assert result.valid == valid, (v["name"], [str(d) for d in result.diagnostics])


def test_cddl_agrees_with_sealed_messages(schema: Validator) -> None:
    for v in vectors("sealed.json"):
        root = "sealed-down" if v["direction"] == "down" else "sealed"
        valid = schema.validate(bytes.fromhex(v["hex"]), root_type=root).valid
        if "error" not in v:
            assert valid, v["name"]
        elif v["error"] == "suite" and not v["name"].startswith("call"):
            assert not valid, v["name"]


def test_cddl_agrees_with_hellos(schema: Validator) -> None:
    for v in vectors("hello.json"):
        assert schema.validate(bytes.fromhex(v["hex"]), root_type="hello").valid, v["name"]
    for bad in ("a0", "a10002", "a201010200", "a10001ff"):
        assert not schema.validate(bytes.fromhex(bad), root_type="hello").valid


def test_cddl_of_the_hub_configuration(schema: Validator) -> None:
    good = {
        "wifi": ["home", "secret"],
        "broker": ["broker.example", 8883, None, None],
        "links": ["mqtt", "serial"],
        "ntp": None,
        "buttons": [[1, 4, None], [2, 5, 9]],
        "pirs": [[3, 13]],
        "pir_warm_up": 30,
        "cancel": 6,
        "fall_ask": 20,
        "proof": 86400,
        "lamp": 2,
        "buzzer": 15,
        "mains": None,
        "heartbeat": 300,
        "version": 7,
        "later": {"any": [1]},
    }

    def valid(config: object) -> bool:
        return schema.validate(cbor.dumps(config), root_type="hub-config").valid

    assert valid(good)
    assert valid({})
    for name, value in (
        ("wifi", ["home"]),
        ("broker", ["host", 0, None, None]),
        ("links", ["carrier pigeon"]),
        ("buttons", [[0, 4, None]]),
        ("pirs", [[1]]),
        ("pir_warm_up", 601),
        ("cancel", [6]),
        ("fall_ask", 601),
        ("proof", 604801),
        ("lamp", 256),
        ("heartbeat", 4),
        ("version", -1),
    ):
        assert not valid({**good, name: value}), name


def test_the_greatest_device_table_fits_one_message() -> None:
    table = next(v for v in vectors("down.json") if v["name"] == "28 devices with keys")
    plain = bytes.fromhex(table["hex"])
    full = 2**32 - 1
    assert seal.seal(AesCcm(bytes(16)), 65535, "7k3m9q2xwt", seal.DOWN, full, full, full, plain)
