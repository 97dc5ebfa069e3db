"""Health monitors' characteristics on both interpreters, against recorded and published cases."""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers_micropython import ROOT, run_micropython
from kanhu.care.rules import vitals
from kanhu_protocol import checks, names
from kanhu_protocol import kinds as k

CASES = json.loads((Path(__file__).parent / "vectors" / "monitors.json").read_text(encoding="utf-8"))
PROFILES = ("blood_pressure", "heart_rate", "pulse_oximeter", "thermometer", "weight_scale", "glucose")


def load(name: str) -> Any:
    return importlib.import_module(f"kanhu_hub.inputs.monitors.{name}")


sys.path.append(str(ROOT / "firmware"))
portable = importlib.import_module("helpers_portable_monitors")
number, clock, quirks = portable.number, portable.clock, load("quirks")
OF, read = portable.OF, portable.read
MODULES = {name: load(name) for name in PROFILES}


def asked_in(folder: Path, asked: list[tuple[str, bytes, int]]) -> Path:
    file = folder / "asked.json"
    file.write_text(json.dumps([(uuid, data.hex(), bits) for uuid, data, bits in asked]), encoding="utf-8")
    return file


def on_micropython(folder: Path, asked: list[tuple[str, bytes, int]]) -> list[Any]:
    file = asked_in(folder, asked)
    script = "import sys, helpers_portable_monitors as portable\nportable.answer(sys.argv[1])"
    out = run_micropython(script, file, heap="2m", paths=[ROOT / "tests"])
    return [json.loads(line) for line in out.splitlines()]


def seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp())


def expected(case: dict[str, Any]) -> Any:
    if "refused" in case:
        return "refused"
    event = case["event"]
    if "number" in event:
        return event["number"]
    flags = {"historical": k.HISTORICAL, "test": k.TEST}
    fields: dict[int, Any] = {
        key: event[name] for key, name in ((k.VALUES, "values"), (k.INVALID, "invalid"), (k.USER, "user"),
                                           (k.STATUS, "status")) if name in event
    }  # fmt: skip
    if "measured" in event:
        fields[k.MEASURED_S] = seconds(event["measured"])
    for name, flag in flags.items():
        if name in event:
            fields[k.FLAGS] = flag
    return sorted([key, value] for key, value in fields.items())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_published_case(case: dict[str, Any]) -> None:
    assert read(case["uuid"], bytes.fromhex(case["hex"]), case.get("quirks", 0)) == expected(case)


def test_every_case_cut_grown_and_spoilt_is_the_same_on_micropython(tmp_path: Path) -> None:
    asked = [(case["uuid"], bytes.fromhex(case["hex"]), case.get("quirks", 0)) for case in CASES]
    for uuid, data, bits in list(asked):
        if uuid in ("SFLOAT", "FLOAT32"):
            continue
        asked += [(uuid, data[:size], bits) for size in range(len(data))]
        asked += [(uuid, data + b"\xff" * 40, bits), (uuid, b"\xff" * 60, 31)]
        asked += [(uuid, bytes((data[0] ^ 1 << bit, *data[1:])), bits) for bit in range(8) if data]
    assert on_micropython(tmp_path, asked) == [read(*one) for one in asked]


def test_spoilt_at_random_in_a_small_heap(tmp_path: Path) -> None:
    file = asked_in(tmp_path, [(case["uuid"], bytes.fromhex(case["hex"]), 0) for case in CASES])
    script = "import sys, helpers_portable_monitors as portable\nportable.attack(sys.argv[1], 15000, 11)"
    assert int(run_micropython(script, file, heap="192k", paths=[ROOT / "tests"])) > 3000


# Every number that the formats can say, read back from bytes that another hand made.


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_sfloat(mantissa: int, exponent: int) -> None:
    raw = (mantissa & 0xFFF | (exponent & 15) << 12).to_bytes(2, "little")
    assert number.sfloat(b"\xff" + raw, 1) == (mantissa, exponent)


@given(st.integers(-8388605, 8388605), st.integers(-128, 127))
def test_float(mantissa: int, exponent: int) -> None:
    raw = (mantissa & 0xFFFFFF | (exponent & 255) << 24).to_bytes(4, "little")
    assert number.float32(b"\xff" + raw, 1) == (mantissa, exponent)


@given(
    st.integers(-8388605, 8388605), st.integers(-128, 127), st.integers(0, 500_000), st.integers(0, 500_000)
)
def test_a_value_is_passed_on_within_its_bounds_only(
    mantissa: int, exponent: int, low: int, high: int
) -> None:
    fields: dict[int, Any] = {}
    number.put(fields, 7, (mantissa, exponent), low, high)
    value = Decimal(mantissa).scaleb(exponent + 3)
    if low <= value <= high and value != 0:
        assert fields == {k.VALUES: [[7, mantissa, exponent]]}
    elif not low - 1 < value < high + 1:
        assert fields == {k.INVALID: [[7, number.OUT_OF_BOUNDS]]}


@given(st.integers(0, seconds("9999-12-31T23:59:59")))
def test_the_clock_is_written_and_read_back(local_s: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=local_s)
    for uuid, size in ((0x2A08, 7), (0x2A2B, 10)):
        raw = clock.encode(uuid, local_s)
        assert len(raw) == size
        assert raw[:7] == moment.year.to_bytes(2, "little") + bytes(
            (moment.month, moment.day, moment.hour, moment.minute, moment.second)
        )
        assert size == 7 or raw[7] == moment.isoweekday()
        assert clock.decode(raw) == local_s


@given(st.binary(min_size=7, max_size=7))
def test_what_is_no_date_is_none(raw: bytes) -> None:
    try:
        local_s = seconds("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(raw[0] | raw[1] << 8, *raw[2:]))
    except ValueError:
        local_s = -1
    assert clock.date_time(raw, 0) == (local_s if local_s >= 0 else None)


@given(st.sampled_from(PROFILES), st.data())
def test_any_bytes_are_an_event_that_a_host_believes_or_refused(name: str, data: st.DataObject) -> None:
    module = MODULES[name]
    uuid, _ = data.draw(st.sampled_from(module.CHARACTERISTICS))
    raw = data.draw(st.binary(max_size=30))
    try:
        fields = module.parse(uuid, raw, data.draw(st.integers(0, 31)))
    except ValueError:
        return
    if not fields:
        assert uuid == module.CONTROL_POINT
        return
    kind = k.VITALS if k.VALUES in fields else k.VITALS_INVALID
    assert checks.check({k.KIND: kind, k.UP_MS: 5, k.DEVICE: 9, **fields}) == []
    for code, *_ in fields.get(k.VALUES, []) + fields.get(k.INVALID, []):
        assert code in names.QUANTITIES
    for code, mantissa, exponent, *unit in fields.get(k.VALUES, []):
        found = vitals.comparable(code, mantissa, exponent, *unit)
        assert found is not None
        of = vitals.QUANTITIES.get(found[0])
        assert of is None or of.least * 0.999 <= found[1] <= of.most * 1.001
    assert not fields.get(k.STATUS, 0) & ~sum(names.MEASUREMENT_STATUS)


def test_the_hub_passes_on_all_that_a_host_takes_for_a_reading() -> None:
    def sfloat(value: float) -> bytes:
        exponent = 0 if value >= 100 or value == int(value) else -1
        return (round(value * 10**-exponent) & 0xFFF | (exponent & 15) << 12).to_bytes(2, "little")

    for code, quantity in vitals.QUANTITIES.items():
        for value in (quantity.least, quantity.most):
            raw, uuid = sfloat(value), 0x2A5E
            if 150021 <= code <= 150023:
                uuid, data = 0x2A35, b"\0" + raw * 3
            elif code == 149546:
                uuid, data = 0x2A35, b"\4" + sfloat(90) * 3 + raw
            elif code == 147842:
                uuid, data = 0x2A37, b"\1" + int(value).to_bytes(2, "little")
            elif code == 150364:
                uuid, data = 0x2A1C, b"\0" + int(value).to_bytes(3, "little") + b"\0"
            elif code == 188736:
                uuid, data = 0x2A9D, b"\0" + int(value * 200 % 65535).to_bytes(2, "little")
                if value * 200 > 65535:  # more than it can say
                    continue
            elif code == 160184:
                uuid, data = (
                    0x2A18,
                    b"\6\1\0" + bytes(7) + (round(value * 10) | 0xC000).to_bytes(2, "little") + b"\1",
                )
            else:
                data = b"\0" + (raw + sfloat(80) if code == 150456 else sfloat(90) + raw)
            passed = OF[uuid].parse(uuid, data).get(k.VALUES, [])
            assert code in [one[0] for one in passed], (code, value)


def test_profiles_are_told_apart() -> None:
    for role, name in names.ROLES.items():
        if role > 10:
            module = MODULES[name]
            assert role == module.ROLE
            assert all(mode in (1, 2) for _, mode in module.CHARACTERISTICS)
    assert len({module.SERVICE for module in MODULES.values()}) == len(PROFILES)


def test_quirks_are_found_by_what_a_monitor_calls_itself() -> None:
    assert quirks.of("Beurer", "BM85", None) == quirks.BIG_ENDIAN | quirks.USER_UNSAID
    assert quirks.of(None, None, "BLESmart_0000015E") == quirks.ONE_HOST
    assert quirks.of("OMRON HEALTHCARE", "HEM-7322", "BLEsmart_") == quirks.ONE_HOST
    assert quirks.of("", "", "") == quirks.of(None, "XBM85", "cuff") == 0


def test_a_meter_is_asked_for_what_is_new() -> None:
    glucose = MODULES["glucose"]
    assert glucose.requests() == (b"\1\1",)
    assert glucose.requests(258) == (b"\1\3\1\3\1", b"\1\1")
    assert glucose.requests(65535) == (b"\1\1",)
    assert glucose.sequence(bytes.fromhex("0b0401e4")) == 260
    assert glucose.done(b"\6\0\1\1")
    assert glucose.done(b"\6\0\1\6"), "no records is an answer, too"
    for refusal in (2, 3, 4, 5, 7, 8, 9):
        assert not glucose.done(bytes((6, 0, 1, refusal)))
    for other in (b"", b"\6\0\1", b"\5\0\1\1", b"\6\0\4\1"):
        with pytest.raises(ValueError, match="control point"):
            glucose.done(other)


ALLOCATION = f"""
import gc, sys
from kanhu_hub.inputs.monitors import {", ".join(PROFILES)}

def parse(module, uuid, data):
    try:
        module.parse(uuid, data, 31)
    except ValueError:
        pass

def taken(module, uuid, data):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    parse(module, uuid, data)
    after = gc.mem_alloc()
    gc.enable()
    return after - before

for module in ({", ".join(PROFILES)}):
    for uuid, _ in module.CHARACTERISTICS:
        worst = 0
        for first in (0, 0xFF, 0x1F, 0x0E, 0x55, 0xAA):
            for filling in (0, 0x07, 0x7F, 0xFF):
                short = bytes((first,)) + bytes((filling,)) * 23
                worst = max(worst, taken(module, uuid, short), taken(module, uuid, short + bytes(4096)))
        print("worst", module.__name__, hex(uuid), worst)

def many(turns):
    for turn in range(turns):
        for module in ({", ".join(PROFILES)}):
            for uuid, _ in module.CHARACTERISTICS:
                rest = bytes((turn * 7 & 255,)) * (turn % 24)
                parse(module, uuid, bytes((turn & 255, turn >> 3 & 255)) + rest)

def held():
    gc.collect()
    return gc.mem_alloc()

many(10)
before = held()
many(2000)
print("kept", held() - before)
"""


def test_allocation_on_micropython_is_bounded() -> None:
    out = run_micropython(ALLOCATION, heap="512k")
    print(out)
    lines = [line.split() for line in out.splitlines()]
    assert len(lines) == sum(len(module.CHARACTERISTICS) for module in MODULES.values()) + 1
    for said, *_, taken in lines:
        assert int(taken) <= (0 if said == "kept" else 1_000), out
