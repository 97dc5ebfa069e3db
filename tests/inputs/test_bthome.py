"""BTHome v2 on both interpreters, against published cases and against bthome-ble as an oracle."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from bthome_ble import BTHomeBluetoothDeviceData
from bthome_ble.const import MEAS_TYPES
from bthome_ble.event import BUTTON_EVENTS
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers_bthome import service_info, services
from helpers_micropython import ROOT, run_micropython

HERE = Path(__file__).parent
CASES = json.loads((HERE / "vectors" / "bthome.json").read_text(encoding="utf-8"))
BINARY = [n for n, m in MEAS_TYPES.items() if 0x0F <= n <= 0x2D and m.data_length == 1]

_spec = importlib.util.spec_from_file_location("bthome", ROOT / "firmware/kanhu_hub/inputs/bthome.py")
assert _spec is not None
assert _spec.loader is not None
bthome = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(bthome)


def advert(service: bytes, before: bytes = b"\x02\x01\x06") -> bytes:
    return before + bytes([len(service) + 3, 0x16, 0xD2, 0xFC]) + service


def read(adv: bytes) -> object:
    """What a receiver learns from an advertisement; the same words as MicroPython's copy below."""
    data = bthome.service_data(adv)
    if data is None:
        return "none"
    if not bthome.version_2(data):
        return "version"
    if data[0] & bthome.ENCRYPTED:
        return "encrypted"
    return [
        [what, value.hex() if isinstance(value, bytes) else value] for what, value in bthome.objects(data)
    ]


ON_MICROPYTHON = """
import json, sys
from kanhu_hub.inputs import bthome
for line in sys.stdin:
    data = bthome.service_data(bytes.fromhex(line.strip()))
    if data is None:
        out = "none"
    elif not bthome.version_2(data):
        out = "version"
    elif data[0] & bthome.ENCRYPTED:
        out = "encrypted"
    else:
        out = [[w, v.hex() if isinstance(v, bytes) else v] for w, v in bthome.objects(data)]
    print(json.dumps(out))
"""


def on_micropython(adverts: list[bytes]) -> list[object]:
    lines = "\n".join(a.hex() for a in adverts)
    script = ON_MICROPYTHON.replace("sys.stdin", f"{lines!r}.split('\\n')")
    return [json.loads(line) for line in run_micropython(script).splitlines()]


def of(case: dict) -> bytes:
    return bytes.fromhex(case["adv"]) if "adv" in case else advert(bytes.fromhex(case["service"]))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_published_case(case):
    got = read(of(case))
    if "refused" in case:
        assert got == case["refused"]
        return
    assert [what for what, _ in got if what >= 0] == case["objects"]
    assert (got[-1:] != [] and got[-1][0] == -1) == case.get("ends_early", False)
    assert [v for what, v in got if what == 0x3A] == case.get("buttons", [])
    last = dict(got)
    for name, what in (("packet_id", 0), ("battery", 1)):
        if name in case:
            assert last[what] == case[name]
    for what, value in case.get("binary", {}).items():
        assert last[int(what, 16)] == value


def test_published_cases_on_micropython():
    adverts = [of(case) for case in CASES]
    assert on_micropython(adverts) == [read(a) for a in adverts]


def test_every_object_of_the_reference_has_its_length():
    for what in range(256):
        got = read(advert(bytes([0x40, what]) + b"\x01" * 20))
        if what in MEAS_TYPES:
            assert got[0][0] == what
        else:
            assert got == [[-1, 1]]
        kind = MEAS_TYPES.get(what)
        if kind and kind.data_format not in ("raw", "string", "command"):
            assert read(advert(bytes([0x40, what]) + b"\x01" * (kind.data_length - 1)))[-1][0] == -1
            rest = read(advert(bytes([0x40, what]) + b"\x01" * kind.data_length + b"\x01\x2a"))
            assert rest[1:] == [[1, 0x2A]]


def test_version_1_is_not_ours():
    for uuid in (b"\x1c\x18", b"\x1e\x18"):
        assert bthome.service_data(b"\x02\x01\x06\x07\x16" + uuid + b"\x02\x01\x61\x00") is None


@pytest.mark.parametrize(
    "adv",
    [
        "",
        "02",
        "0201",
        "ff16d2fc400164",  # a length past the end
        "0016d2fc400164",  # a length of zero ends the data
        "0116",
        "0216d2",
        "020106ff",
        "03ffd2fc16d2fc",
    ],
)
def test_malformed_structures_are_no_data(adv):
    assert bthome.service_data(bytes.fromhex(adv)) is None


def test_service_data_without_a_byte_is_no_version():
    assert bthome.service_data(bytes.fromhex("0316d2fc")) == b""
    assert bthome.version_2(b"") is False


@given(st.binary(max_size=31))
def test_no_bytes_can_harm(adv):
    data = bthome.service_data(adv)
    if data:
        got = list(bthome.objects(data))
        assert len(got) <= len(data)


@settings(max_examples=5, deadline=None)
@given(st.lists(st.binary(max_size=27), min_size=200, max_size=200))
def test_both_interpreters_read_the_same_from_anything(payloads):
    adverts = [advert(b"\x40" + p, b"") for p in payloads]
    assert on_micropython(adverts) == [read(a) for a in adverts]


@settings(deadline=None)
@given(services())
def test_bthome_ble_reads_the_same(service):
    info = service_info(service, "A4:C1:38:8D:18:B2")
    update = BTHomeBluetoothDeviceData().update(info)
    sensors = {key.key: value.native_value for key, value in update.entity_values.items()}
    binary = {key.key: value.native_value for key, value in update.binary_entity_values.items()}
    events = {key.key: value.event_type for key, value in update.events.items()}
    got = read(advert(service, b""))
    assert all(what >= 0 for what, _ in got)
    buttons = [value for what, value in got if what == 0x3A]
    for what, value in got:
        kind = MEAS_TYPES[what]
        name = str(getattr(kind.meas_format, "device_class", None))
        if what in (0x00, 0x01):
            assert sensors[name] == value
        elif what in BINARY:
            assert binary[name] is bool(value)
    for number, code in enumerate(buttons):
        name = "button" if len(buttons) == 1 else f"button_{number + 1}"
        assert events.get(name) == BUTTON_EVENTS[code]
    assert len(binary) == sum(what in BINARY for what, _ in got)
