"""A survey at a whole hub on a fake board: what it hears is put on the test's radio."""

import sys

import pairing_cases
from pairing_cases import BUTTON, CUFF, OTHER, House

from kanhu_hub.survey import _share
from kanhu_protocol import kinds as k

FOLDER = ""
TABLE = [[5, 1, BUTTON, 0], [7, 2, OTHER, 0], [9, 11, CUFF, 0]]
BEACON = b"\x40\x00\x01\x01\x5a"  # packet id 1, battery 90 %


def house(**settings):
    pairing_cases.FOLDER = FOLDER
    return House(table=TABLE, **settings)


def survey(home, ms):
    home.order(k.SURVEY_FOR, {k.SURVEY_MS: ms})


def told(home):
    return {event[k.DEVICE]: event for event in home.said(k.SURVEY)}


def test_each_sensor_in_the_table_is_told_of_once():
    home = house()
    lamp = home.lamp()
    survey(home, 20000)
    assert home.lamp() == lamp
    for number in range(10):
        home.advertise(BUTTON, BEACON, gap_ms=500, rssi=-60 - number)
        home.advertise(b"\x01" * 6, BEACON, gap_ms=500)  # a neighbour's
    home.advertise(OTHER, BEACON, rssi=-95)
    assert not home.said(k.SURVEY)
    home.run(12000)
    found = told(home)
    assert set(found) == {5, 7, 9}
    button, once, none = found[5], found[7], found[9]
    assert button[k.COUNT] == 10
    assert button[k.LEVELS_DBM] == [-69, -64, -60], button
    assert 1900 <= button[k.INTERVAL_MS] <= 2100, button  # 10 in 20 s
    assert 20000 <= button[k.SPAN_MS] <= 20500
    assert button[k.BATTERY] == 90
    assert k.BATTERY not in none
    assert k.COUNT not in once
    assert once[k.LEVELS_DBM] == [-95, -95, -95]
    assert k.INTERVAL_MS not in once
    assert k.COUNT not in none
    assert k.LEVELS_DBM not in none
    assert k.SPAN_MS in none
    assert len(home.said(k.SURVEY)) == 3
    assert home.app.pairing is None
    assert home.app.radio.pairing is None
    home.run(1000)
    assert "kanhu_hub.survey" not in sys.modules


def test_presses_are_calls_all_along():
    home = house()
    survey(home, 10000)
    home.push(3)
    assert len(home.said(k.CALL)) == 1
    home.run(10000)
    assert len(told(home)) == 3
    assert told(home)[5][k.COUNT] == 3


def test_the_same_order_again_changes_nothing_and_a_new_one_begins_anew():
    home = house()
    survey(home, 10000)
    first = home.app.pairing
    home.tell(k.SURVEY_FOR, {k.SURVEY_MS: 10000, k.NUMBER: home.number})
    assert home.app.pairing is first
    assert not home.said(k.SURVEY)
    survey(home, 5000)
    assert home.app.pairing is not first
    assert len(home.said(k.SURVEY)) == 3  # of the one that ended
    survey(home, 0)
    assert len(home.said(k.SURVEY)) == 6
    assert home.app.pairing is None
    assert home.refused() == []


def test_pairing_comes_first():
    home = house()
    survey(home, 60000)
    home.pair(30000)
    assert home.lamp() == "pairing"
    assert len(home.said(k.SURVEY)) == 3
    survey(home, 60000)
    assert home.refused() == [9]
    home.pair(0)
    home.run(6000)
    survey(home, 60000)
    home.pair(0)  # ends it too
    assert len(home.said(k.SURVEY)) == 6
    assert home.app.pairing is None


def test_a_hub_without_a_radio_refuses():
    home = house(radio=False)
    survey(home, 10000)
    assert home.refused() == [6]


def test_a_table_that_changes_meanwhile():
    home = house()
    survey(home, 10000)
    home.advertise(BUTTON, BEACON, times=3)
    home.order(k.DEVICES, {k.VERSION_OF: 2, k.TABLE: [[6, 2, b"\x09" * 6, 0], [5, 1, BUTTON, 0]]})
    home.run(11000)
    assert set(told(home)) == {5, 6}
    assert told(home)[5][k.COUNT] == 3


def test_unknown_levels_are_none():
    home = house()
    survey(home, 5000)
    home.advertise(BUTTON, BEACON, times=2, rssi=127)
    home.run(6000)
    assert told(home)[5][k.LEVELS_DBM] == [127, 127, 127]


def test_spacing_from_what_was_heard():
    def share(gaps):
        heard, due = _share(sorted(gaps))
        return round(100 * heard / due)

    assert _share([]) is None
    assert share([1000] * 20) == 100
    assert share([990, 1010, 1005, 995] * 5) == 100
    assert 45 <= share([1000, 3000, 1000, 3000] * 5) <= 55  # half of them lost
    assert share([250, 250, 250, 250, 250, 18700] * 3) == 100  # bursts, and the pauses between
    assert 60 <= share([250, 500, 250, 18700, 250, 500, 250, 18700] * 3) <= 80
    assert share([20000, 20400, 19800]) == 100
