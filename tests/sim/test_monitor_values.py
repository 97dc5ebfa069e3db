"""Encodings of the simulated monitors against bytes that real monitors sent or other projects test with."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.sim import gatt
from kanhu.sim.monitors import KINDS, Manners, racp, values
from kanhu.sim.monitors.blood_pressure import BloodPressure
from kanhu.sim.monitors.glucose import Glucose
from kanhu.sim.monitors.heart_rate import HeartRate
from kanhu.sim.monitors.pulse_oximeter import PulseOximeter, from_storage
from kanhu.sim.monitors.thermometer import Thermometer
from kanhu.sim.monitors.weight_scale import WeightScale

ADDRESS = "F0:F1:F2:F3:F4:01"


def _made(kind: Any, **manners: Any) -> Any:
    return kind(gatt.Link(lambda advert: None), ADDRESS, -60, Manners(**manners))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("kind", "fields", "bytes_"),
    [
        # A cuff's reading with a pulse below its range
        (
            BloodPressure,
            {
                "systolic": 124,
                "diastolic": 86,
                "mean": 97,
                "at": _at("2024-06-15T17:17:27"),
                "pulse": 51,
                "status": 0x10,
            },
            "167c0056006100e807060f11111b33001000",
        ),
        # Thermometers
        (
            Thermometer,
            {"temperature": 36.2, "at": _at("2018-03-10T20:20:00"), "where": 2},
            "066a0100ffe207030a14140002",
        ),
        (
            Thermometer,
            {"temperature": 34.6, "at": _at("2018-03-10T20:31:00"), "where": 2},
            "065a0100ffe207030a141f0002",
        ),
        # A scale with user, body mass index and height
        (
            WeightScale,
            {"weight": 117.92, "at": _at("2026-07-14T23:41:32"), "user": 1, "bmi": 32.0, "height": 1.92},
            "0e205cea07070e1729200140018007",
        ),
        # Glucose meters
        (
            Glucose,
            {
                "glucose": 120,
                "at": _at("2020-04-13T16:38:10"),
                "number": 6,
                "offset_min": 0,
                "sample": 1,
                "where": 15,
            },
            "030600e407040d10260a000078b0f1",
        ),
        (
            Glucose,
            {
                "glucose": 104,
                "at": _at("2020-05-14T12:49:29"),
                "number": 4,
                "offset_min": 334,
                "sample": 8,
                "where": 15,
                "status": 0,
            },
            "0b0400e407050e0c311d4e0168b0f80000",
        ),
    ],
)
def test_a_measurement_is_what_real_monitors_send(kind: Any, fields: dict[str, Any], bytes_: str) -> None:
    assert _made(kind).encode(**fields).hex() == bytes_


@pytest.mark.parametrize(
    ("kind", "fields", "bytes_"),
    [
        (
            BloodPressure,
            {"systolic": 16.0, "diastolic": 10.7, "mean": 12.4, "pulse": 64, "status": 0x0C, "kpa": True},
            "15a0f06bf07cf040000c00",
        ),
        (HeartRate, {"pulse": 77, "rr": [790 / 1024]}, "164d1603"),
        (HeartRate, {"pulse": 85, "contact": None}, "0055"),
        (HeartRate, {"pulse": 85, "energy": 50, "rr": [33 / 1024]}, "1e5532002100"),
        (HeartRate, {"pulse": 0x8080, "contact": None}, "018080"),
        (WeightScale, {"weight": 80.0}, "00803e"),
    ],
)
def test_a_monitor_without_a_clock_says_no_time(kind: Any, fields: dict[str, Any], bytes_: str) -> None:
    assert _made(kind, clock=None).encode(**fields).hex() == bytes_


def test_odd_monitors_encode_as_some_real_ones_do() -> None:
    cuff = _made(BloodPressure, odd=True)
    fields = {"systolic": 119, "diastolic": 70, "mean": 0, "pulse": 87, "status": 0x40}
    data = cuff.encode(**fields, user=1, at=_at("2026-08-11T20:57:00"))
    assert data.hex() == "16770046000000ea07080b1439000057010040"  # its 0x56 less a bit without a meaning
    assert _made(WeightScale, odd=True, clock=None).encode(weight=94.9).hex() == "006a07"


def test_a_spot_check_whose_clock_was_never_set_has_no_time() -> None:
    oximeter = _made(PulseOximeter, clock_set=False)
    data = oximeter.encode(spo2=98, pulse=72, status=0x4100, sensor=0x20, index=4.2)
    assert data.hex() == "1e62004800" + "0041" + "200000" + "2af0"
    assert from_storage(data).hex() == "1e62004800" + "0043" + "200000" + "2af0"


def test_a_clock_that_runs_and_a_spot_check_from_storage() -> None:
    data = _made(PulseOximeter).encode(spo2=97, pulse=60, status=0, at=_at("2026-03-14T09:26:53"))
    assert from_storage(data).hex() == "0361003c00ea07030e091a350002"
    assert from_storage(b"\x00\x61\x00\x3c\x00") == b"\x00\x61\x00\x3c\x00"


def test_continuous_saturation() -> None:
    # As a finger clip sends it: both statuses, measurement ongoing
    assert PulseOximeter.encode_continuous(98, 78, status=0x20, sensor=0).hex() == "0c62004e002000000000"
    assert PulseOximeter.encode_continuous("NaN", "NaN", fast=(90, 80)).hex() == "01ff07ff075a005000"


def test_an_error_reading() -> None:
    cuff = _made(BloodPressure, clock=None)
    assert cuff.encode(systolic="NaN", diastolic=math.nan, pulse="NRes", status=3).hex() == (
        "14" + "ff07" * 3 + "0008" + "0300"
    )
    assert _made(WeightScale, clock=None).encode(weight=None).hex() == "00ffff"
    assert _made(Thermometer, clock=None).encode(temperature="NaN", where=None).hex() == "00ffff7f00"
    assert _made(Glucose).encode(glucose=None, at=_at("2020-04-13T16:38:10"), number=1)[0] == 0


def test_glucose_in_moles() -> None:
    data = _made(Glucose).encode(glucose=5.6, moles=True, at=_at("2020-04-13T16:38:10"), number=1)
    assert data[0] == 0x06
    assert data[10:12].hex() == "38c0"  # 56 * 10 ** -4 mol/L


@pytest.mark.parametrize(
    ("value", "exponent", "bytes_"),
    [
        (114, 0, "7200"),
        (36.4, -1, "6cf1"),
        (-1, 0, "ff0f"),
        (-51.1, -1, "01fe"),
        ("NaN", 0, "ff07"),
        ("NRes", 0, "0008"),
        ("+INF", 0, "fe07"),
        (math.inf, 0, "fe07"),
        (-math.inf, 0, "0208"),
        ("RFU", 0, "0108"),
    ],
)
def test_sfloat(value: Any, exponent: int, bytes_: str) -> None:
    assert values.sfloat(value, exponent).hex() == bytes_


@pytest.mark.parametrize(
    ("value", "exponent", "bytes_"),
    [
        (36.4, -1, "6c0100ff"),
        (-1, 0, "ffffff00"),
        ("+INF", 0, "feff7f00"),
        ("NaN", 0, "ffff7f00"),
        ("-INF", 0, "02008000"),
    ],
)
def test_float(value: Any, exponent: int, bytes_: str) -> None:
    assert values.float32(value, exponent).hex() == bytes_


@given(st.integers(-2045, 2045), st.integers(-8, 7))
def test_an_sfloat_says_its_number(mantissa: int, exponent: int) -> None:
    raw = int.from_bytes(values.sfloat(mantissa * 10.0**exponent, exponent), "little")
    low = raw & 0xFFF
    assert (low - 0x1000 if low & 0x800 else low) == mantissa
    assert (raw >> 12) - (16 if raw >> 15 else 0) == exponent


@pytest.mark.parametrize("value", [2046, -2046, 5000])
def test_a_number_too_large_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        values.sfloat(value)
    with pytest.raises(ValueError, match="does not fit"):
        values.float32(value * 10**6, 0)
    with pytest.raises(ValueError, match="neither"):
        values.sfloat("much")


@given(st.datetimes(min_value=_at("1582-01-01")))
def test_date_and_time_there_and_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert values.read_date_time(values.date_time(moment)) == moment
    assert values.read_date_time(values.current_time(moment)) == moment


def test_date_and_time() -> None:
    assert values.date_time(_at("2020-01-02T10:21:48")).hex() == "e40701020a1530"
    assert values.date_time(None) == bytes(7)
    assert (
        values.current_time(_at("2020-01-02T10:21:48.500000")).hex() == "e40701020a1530" + "04" + "80" + "00"
    )
    for wrong in (b"", bytes(6), bytes(7), bytes.fromhex("e40702300a1530")):
        with pytest.raises(ValueError):  # noqa: PT011  datetime's own words
            values.read_date_time(wrong)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_an_example_can_be_encoded(kind: str) -> None:
    import importlib

    monitor = _made(getattr(importlib.import_module(f"kanhu.sim.monitors.{kind}"), KINDS[kind]))
    fields = {name: value for name, value in monitor.example().items() if name != "meal"}
    assert 3 <= len(monitor.encode(**fields)) <= 20


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("0900", "06000902"),  # op code not supported
        ("0100", "06000103"),  # invalid operator
        ("0109", "06000104"),  # operator not supported
        ("0401ff", "06000405"),  # invalid operand
        ("010301", "06000105"),
        ("010309" + "0000", "06000109"),  # filter not supported
        ("", "06000002"),
    ],
)
def test_a_record_request_that_makes_no_sense(request_: str, answer: str) -> None:
    request = racp.parse(bytes.fromhex(request_))
    assert request.refusal is not None
    assert request.answer(request.refusal).hex() == answer


@pytest.mark.parametrize(
    ("request_", "numbers"),
    [
        ("0101", [0, 1, 2, 3]),
        ("0105", [0]),
        ("0106", [3]),
        ("0103010200", [2, 3]),
        ("0102010100", [0, 1]),
        ("01040101000200", [1, 2]),
        ("010302e4070403000000", [2, 3]),  # since 3 April 2020
    ],
)
def test_which_records_a_request_means(request_: str, numbers: list[int]) -> None:
    records = [(0, None), *((i, _at(f"2020-04-0{i + 1}")) for i in (1, 2, 3))]
    request = racp.parse(bytes.fromhex(request_))
    assert request.refusal is None
    assert request.choose(records) == numbers


@given(st.binary(max_size=20))
def test_any_record_request_is_answered(data: bytes) -> None:
    request = racp.parse(data)
    if request.refusal is None:
        request.choose([(1, _at("2020-04-01")), (2, None)])
    else:
        assert len(request.answer(request.refusal)) == 4
