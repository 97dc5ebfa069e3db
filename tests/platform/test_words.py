"""What a line for people says of a reading, in both languages; no message can steer a terminal by it."""

from __future__ import annotations

from typing import Any

import pytest

from helpers_city import HUB, MOMENT, Row
from kanhu.platform import event, words
from kanhu.uplink.cloudevents import to_json
from kanhu_protocol import kinds as k
from kanhu_protocol import names

CUFF = {k.VALUES: [[150021, 1280, -1], [150022, 107, -1, 2], [77, 5, 0]], k.STATUS: 4, k.FLAGS: k.HISTORICAL}
NOTHING = {k.INVALID: [[150021, 1], [77, 6]]}


def said(kind: int, fields: dict[int, Any], lang: str) -> str:
    row = Row(1, HUB, 12, 7, {k.KIND: kind, k.UP_MS: 5, **fields}, False)
    message = to_json(row, home=None, region=None, moment=MOMENT, clockstatus="synced")
    return words.facts(event.parse(message), lang)


@pytest.mark.parametrize(
    ("kind", "fields", "lang", "line"),
    [
        (
            k.VITALS,
            CUFF,
            "en",
            "systolic 128 mmHg · diastolic 10.7 kPa · 77 5 · irregular_pulse · historical",
        ),
        (k.VITALS, CUFF, "zh", "收缩压 128 mmHg，舒张压 10.7 kPa，77 5，irregular_pulse，historical"),
        (k.VITALS_INVALID, NOTHING, "en", "systolic not valid (nan) · 77 not valid (device_invalid)"),
        (k.VITALS_INVALID, NOTHING, "zh", "收缩压无效（nan），77无效（device_invalid）"),
    ],
)
def test_a_reading_in_words(kind: int, fields: dict[int, Any], lang: str, line: str) -> None:
    assert said(kind, fields, lang) == line


def test_every_quantity_has_a_word_but_the_kinds_of_glucose() -> None:
    every = {name for name, _ in names.QUANTITIES.values()}
    assert set(words.QUANTITIES) <= every
    assert all(name.startswith("glucose_") for name in every - set(words.QUANTITIES))


def test_a_strangers_reading_steers_no_terminal() -> None:
    message = (
        b'{"specversion":"1.0","id":"1-2","source":"/kanhu/hubs/7k3m9q2xwt","type":"org.kanhu.vitals.v1",'
        b'"kanhuclass":"p5","data":{"values":[5,{"name":"\\u001b[2J","value":"\\u0007","unit":{}},{}],"invalid":{},'
        b'"status":"x"}}'
    )
    line = words.facts(event.parse(message), "en")
    assert line.isprintable()
    assert "?[2J" in line
