"""Every reason for which a monitor gives no reading has words that say what to do, in both languages."""

from __future__ import annotations

import re

import pytest

from kanhu.web.family import words_monitors as w
from kanhu_protocol import kinds as k
from kanhu_protocol import names


def test_every_reason_has_words() -> None:
    assert w.FAULTS.keys() == set(names.DETAILS[k.MONITOR_FAULT].values())
    assert w.READINGS.keys() == set(names.SPECIALS.values())
    assert w.STATUS.keys() == set(names.MEASUREMENT_STATUS.values())
    assert w.REASONS.keys() == w.FAULTS.keys() | w.READINGS.keys()


@pytest.mark.parametrize("name", sorted(w.REASONS))
def test_a_reason_is_what_happened_and_what_to_do(name: str) -> None:
    words = w.REASONS[name]
    assert len(re.findall(r"[.;](?: |$)", words.en)) >= 2, words.en
    assert len(re.findall("[。；]", words.zh)) >= 2, words.zh
    assert len(words.en) <= 160
    assert len(words.zh) <= 50
    assert not re.search("[a-zA-Z_]", words.zh)


def test_the_words_of_an_event() -> None:
    for detail, name in names.DETAILS[k.MONITOR_FAULT].items():
        assert w.fault(detail) is w.FAULTS[name]
    assert w.fault(99) is w.UNKNOWN
    for special, name in names.SPECIALS.items():
        assert w.invalid([special]) is w.READINGS[name]
        assert w.invalid([special], 0x02) is w.STATUS["cuff_loose"]
        assert w.invalid([special], 0x04) is w.READINGS[name]  # an irregular pulse is not why
    assert w.invalid([1, 6]) is w.READINGS["device_invalid"]
    assert w.invalid([99]) is w.UNKNOWN
    assert w.invalid([]) is w.UNKNOWN
