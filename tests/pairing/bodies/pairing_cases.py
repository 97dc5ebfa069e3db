"""Pairing at a whole hub on a fake board: what it hears is put on the test's radio."""

import os
import sys

import hub_home
from fake_board import Board
from hub_home import Home

from kanhu_hub import store
from kanhu_hub.ccm import Ccm
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

FOLDER = ""
BUTTON = b"\xa4\xc1\x38\x00\x00\x01"
OTHER = b"\xa4\xc1\x38\x00\x00\x02"
CUFF = b"\xa4\xc1\x38\x00\x00\x03"
UTC_MS = 1790000000000
KEY = b"fedcba9876543210"
CALLER = [5, 1, BUTTON, 0]
WIRED, SECOND = 1, 2  # devices
SECOND_PIN = 14


class Radio:
    overflows = 0

    def __init__(self):
        self.waiting = []

    def start(self):
        pass

    def report(self):
        return [100, 0]

    async def heard(self):
        import asyncio

        while not self.waiting:
            await asyncio.sleep_ms(10)
        heard, self.waiting = self.waiting, []
        return heard


class House(Home):
    """A hub with a radio, a clock, and commands that are numbered."""

    houses = number = 0

    def __init__(self, table=(), clock=True, radio=True, **settings):
        House.houses += 1
        self.folder = hub_home.FOLDER = f"{FOLDER}/{House.houses}"
        os.mkdir(self.folder)
        self.radio = Board.radio = Radio() if radio else None
        config = {"buttons": [[WIRED, 4], [SECOND, SECOND_PIN]], "pirs": [], "proof": 0}
        super().__init__(config=config, **settings)
        self.run(1000)
        if clock:
            self.order(k.TIME, {k.TIME_MS: UTC_MS})
        if table:
            self.order(k.DEVICES, {k.VERSION_OF: 1, k.TABLE: [list(row) for row in table]})
            self.run(1500)

    def utc(self):
        return self.app.clock.utc_ms(self.app.clock.now_ms())

    def order(self, kind, fields):
        self.number += 1
        fields[k.NUMBER] = self.number
        self.tell(kind, fields)
        self.run(300)

    def pair(self, ms, device=None, late=0):
        self.order(k.PAIR, {k.PAIR_MS: ms, k.TIME_MS: (self.utc() or UTC_MS) + ms - late, k.PROVE: device})

    def advertise(self, address, service, times=1, uuids=b"", name=b"", gap_ms=200, rssi=-50):
        data = b"\x02\x01\x06"
        if service:
            data += bytes((len(service) + 3, 0x16)) + b"\xd2\xfc" + service
        if uuids:
            data += bytes((len(uuids) + 1, 3)) + uuids
        if name:
            data += bytes((len(name) + 1, 9)) + name
        for _ in range(times):
            self.radio.waiting.append((address, rssi, data))
            self.run(gap_ms)

    def push(self, packet_id, code=1, address=BUTTON, times=3):
        self.advertise(address, bytes((0x44, 0, packet_id, 1, 90, 0x3A, code)), times)

    def said(self, kind):
        self.run(500)
        return [event for _, _, event in self.events(kind)]

    def refused(self):
        return [event[k.DETAIL] for event in self.said(k.COMMAND_REFUSED)]

    def hold(self, pin=4, ms=0):
        self.board.pins[pin].move(0)
        self.run(ms)

    def let_go(self, pin=4, ms=200):
        self.board.pins[pin].move(1)
        self.run(ms)

    def devices(self, kind):
        return [event[k.DEVICE] for event in self.said(kind)]

    def closed(self):
        return [event[k.DETAIL] for event in self.said(k.PAIRING_CLOSED)]


def test_an_unpaired_button_raises_nothing_at_any_time():
    home = House()
    packet_id = 0

    def push():
        nonlocal packet_id
        for code in (1, 2, 4, 0x80, 0xFE):
            packet_id += 1
            home.push(packet_id, code)
            home.push(packet_id, code, OTHER)

    push()
    home.pair(120000)
    assert home.lamp() == "pairing"
    push()
    home.pair(0)
    push()
    home.order(k.DEVICES, {k.VERSION_OF: 1, k.TABLE: [CALLER]})
    home.run(1500)
    packet_id += 1
    home.push(packet_id, 1, OTHER)
    assert home.said(k.CALL) == []
    home.order(k.DEVICES, {k.VERSION_OF: 2, k.TABLE: []})
    home.run(1500)
    push()
    assert home.said(k.CALL) == home.said(k.TEST_PRESS) == []


def test_what_is_heard():
    home = House(table=[[7, 2, OTHER, 0]])
    home.push(1)
    assert not home.said(k.SENSOR_HEARD)
    home.pair(120000)
    home.push(2, times=5)
    home.push(3, address=OTHER, times=1)
    home.advertise(CUFF, b"", uuids=b"\x0a\x18\x10\x18", name=b"UA-651")
    home.advertise(
        b"\x01" * 6, b"", uuids=b"\x0f\x18", name=b"a telephone"
    )  # battery service: no sensor of ours
    heard = {event[k.ADDRESS]: event for event in home.said(k.SENSOR_HEARD)}
    assert set(heard) == {BUTTON, OTHER, CUFF}
    button, known, cuff = heard[BUTTON], heard[OTHER], heard[CUFF]
    assert (button[k.ROLE], button[k.BATTERY], button[k.RSSI]) == (1, 90, -50)
    assert all(event[k.FLAGS] == k.UNVERIFIED for event in heard.values())
    assert k.DEVICE not in button
    assert (known[k.DEVICE], known[k.ROLE]) == (7, 2)
    assert (cuff[k.ROLE], cuff[k.NAME]) == (11, "UA-651")
    opened = home.said(k.PAIRING_OPENED)[0]
    assert opened[k.SPAN_MS] == 120000
    assert len([e for e in home.said(k.SENSOR_HEARD) if e[k.ADDRESS] == BUTTON]) == 1
    home.run(4000)
    home.push(4)  # something new: again after 3 s
    home.run(4000)
    home.push(4)  # nothing new
    assert len([e for e in home.said(k.SENSOR_HEARD) if e[k.ADDRESS] == BUTTON]) == 2
    home.run(120000)
    assert home.closed() == [1]
    assert home.lamp() != "pairing"
    home.run(5000)
    assert "kanhu_hub.pairing" not in sys.modules
    home.push(5)
    assert len([e for e in home.said(k.SENSOR_HEARD) if e[k.ADDRESS] == BUTTON]) == 2


def test_strangers_are_bounded_and_what_is_malformed_costs_nothing():
    home = House(table=[CALLER])
    home.pair(600000)
    for number in range(60):
        home.push(1, address=b"\x02\x00\x00\x00\x00" + bytes((number,)), times=1)
    for data in (
        b"",
        b"\x00",
        b"\xff\x16\xd2\xfc",
        b"\x03\x09\xff\xfe",
        b"\x04\x16\xd2\xfc\x40",
        b"\x05\x03\x10",
        b"\x02\x03\x10",
    ):
        home.radio.waiting.append((b"\x03" * 6, 127, data))
        home.run(50)
    home.push(0, 0, times=1)  # ours is told of all the same
    heard = {event[k.ADDRESS] for event in home.said(k.SENSOR_HEARD)}
    assert len(heard) == 31, len(heard)
    assert BUTTON in heard
    home.push(1)
    assert len(home.said(k.CALL)) == 1  # and its press is a call
    assert home.closed() == [4]


def flood(home, first, many):
    for number in range(first, first + many):
        home.advertise(b"\x02\x00\x00\x00" + number.to_bytes(2, "big"), b"\x44\x00\x01\x3a\x01", gap_ms=50)


def test_strangers_in_the_air_keep_no_sensor_out():
    home = House()
    home.pair(600000)
    for _ in range(40):  # two minutes of thirty that never fall silent
        flood(home, 0, 30)
        home.run(1500)
    heard = [event[k.ADDRESS] for event in home.said(k.SENSOR_HEARD)]
    assert len(set(heard)) == 30
    home.advertise(BUTTON, b"\x44\x00\x01\x3a\x01", rssi=-80)
    assert BUTTON not in [event[k.ADDRESS] for event in home.said(k.SENSOR_HEARD)]
    home.advertise(BUTTON, b"\x44\x00\x01\x3a\x01", rssi=-40)  # held to the hub
    assert home.said(k.SENSOR_HEARD)[-1][k.ADDRESS] == BUTTON
    before = len(home.said(k.SENSOR_HEARD))
    for number in range(100, 200):  # who pretends to be near is told of every 3 s at most
        address = b"\x02\x00\x00\x00\x01" + bytes((number,))
        home.advertise(address, b"\x44\x00\x01\x3a\x01", gap_ms=50, rssi=-20)
    assert len(home.said(k.SENSOR_HEARD)) <= before + 3
    home.run(46000)  # silence
    home.advertise(OTHER, b"\x44\x00\x01\x3a\x01", rssi=-90)
    assert home.said(k.SENSOR_HEARD)[-1][k.ADDRESS] == OTHER


def test_the_press_that_a_sensor_is_picked_by_is_no_call():
    for number, key in enumerate((None, KEY)):
        home = House()
        home.pair(120000)
        if key:
            info, counter = b"\x45", b"\x01\x00\x00\x00"
            sealed = Ccm(key, 4).seal(BUTTON + b"\xd2\xfc" + info + counter, b"\x3a\x01", b"")
            service = info + sealed[:-4] + counter + sealed[-4:]
        else:
            service = b"\x44\x00\x09\x3a\x01"
        home.advertise(BUTTON, service)
        row = CALLER + ([key] if key else [])
        home.order(k.DEVICES, {k.VERSION_OF: 1 + number, k.TABLE: [row]})
        home.advertise(BUTTON, service, times=15)  # the press goes on for 3 s
        assert home.said(k.CALL) == []
        if key:
            (heard,) = home.said(k.SENSOR_HEARD)[:1]
            assert heard[k.ADVERTISED] == service
            assert k.ROLE not in heard
        else:
            home.push(10)
            assert len(home.said(k.CALL)) == 1


def test_a_window_that_closes_before_the_table_comes_still_knows_the_press():
    home = House()
    home.pair(120000)
    home.push(1, times=1)
    home.pair(0)
    home.order(k.DEVICES, {k.VERSION_OF: 1, k.TABLE: [CALLER]})
    home.push(1, times=9)
    assert home.said(k.CALL) == []
    home.push(2)
    assert len(home.said(k.CALL)) == 1


def test_what_leaves_the_table_raises_nothing_from_that_moment():
    home = House(table=[CALLER])
    for number in range(8):
        home.order(k.DEVICES, {k.VERSION_OF: 2 + number, k.TABLE: [[5, 1, OTHER if number % 2 else CUFF, 0]]})
        home.push(number, address=CUFF if number % 2 else OTHER, times=1)
        home.push(number, times=1)
        home.run(130)
    assert home.said(k.CALL) == []


def test_one_single_press_is_the_test_and_the_next_is_a_call():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    assert home.lamp() == "proving"
    home.push(1, times=6)
    (press,) = home.said(k.TEST_PRESS)
    assert (press[k.DEVICE], press[k.FLAGS], press[k.BATTERY]) == (5, k.TEST, 90)
    assert home.said(k.CALL) == []
    assert home.closed() == [5]
    assert home.lamp() == "well"
    home.push(2)
    assert len(home.said(k.CALL)) == 1
    assert len(home.said(k.TEST_PRESS)) == 1


def test_everything_but_one_single_press_is_a_call():
    for code in (2, 3, 4, 5, 6, 0x80, 0x81, 0xFE):
        home = House(table=[CALLER])
        home.pair(90000, 5)
        home.push(1, code)
        assert len(home.said(k.CALL)) == 1, code
        home.push(2)
        assert home.said(k.TEST_PRESS) == [], code
        assert home.closed() == [4]


def test_two_presses_at_once_are_a_call():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    home.radio.waiting += [
        (BUTTON, -50, b"\x08\x16\xd2\xfc\x44\x00" + bytes((number,)) + b"\x3a\x01") for number in (1, 2)
    ]
    home.run(500)
    assert len(home.said(k.TEST_PRESS)) == 1
    assert len(home.said(k.CALL)) == 1


def test_two_buttons_of_one_caller_at_once_are_a_call():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    home.advertise(BUTTON, b"\x44\x00\x01\x3a\x01\x3a\x01")
    assert home.said(k.TEST_PRESS) == []
    assert len(home.said(k.CALL)) == 2


def test_only_that_device_and_only_for_two_minutes():
    home = House(table=[CALLER, [6, 1, OTHER, 0]])
    home.pair(600000, 5)
    home.run(119000)
    assert home.lamp() == "proving"
    home.run(2000)
    assert home.closed() == [1]
    home.push(1)
    assert len(home.said(k.CALL)) == 1
    home = House(table=[CALLER, [6, 1, OTHER, 0]])
    home.pair(90000, 6)
    home.push(1)  # the other one
    assert home.said(k.TEST_PRESS) == []
    assert len(home.said(k.CALL)) == 1
    home.push(1, address=OTHER)
    assert home.said(k.TEST_PRESS) == []


def test_an_alarm_ends_pairing_and_none_begins_while_it_stands():
    for device in (None, 5):
        home = House(table=[CALLER])
        home.pair(90000, device)
        home.press()
        assert home.lamp() in ("heard", "stored", "unanswered")
        assert home.closed() == [4]
        home.pair(90000, device)
        assert home.refused() == [5]
        home.push(1)
        assert home.said(k.TEST_PRESS) == []


def test_a_pre_alarm_ends_it_too():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    home.order(k.ASK, {k.ALARM_NAME: [1 << 31, 4], k.ASK_MS: 60000, k.ASK_KIND: k.INACTIVITY})
    assert home.lamp() == "asking"
    home.push(1)
    assert home.said(k.TEST_PRESS) == []
    assert len(home.said(k.CALL)) == 1


def test_a_message_that_was_held_up_does_nothing():
    home = House(table=[CALLER])
    home.pair(90000, 5, late=90001)
    home.pair(90000, 5, late=-16000)  # clocks that disagree
    home.pair(90000, None, late=90001)
    assert home.refused() == [4, 4, 4]
    home.push(1)
    assert len(home.said(k.CALL)) == 1
    assert home.said(k.TEST_PRESS) == []


def test_a_hub_without_a_clock_takes_no_press_for_a_test():
    home = House(table=[CALLER], clock=False)
    home.pair(90000, 5)
    assert home.refused() == [4]
    home.pair(90000)
    assert home.lamp() == "pairing"
    home.push(1)
    assert len(home.said(k.CALL)) == 1


def test_only_a_caller_is_proven():
    home = House(table=[CALLER, [6, 2, OTHER, 0]])
    for device in (6, 9):
        home.pair(90000, device)
    assert home.refused() == [6, 6]
    assert home.lamp() == "well"


def test_the_same_command_again_changes_nothing():
    home = House(table=[CALLER])
    fields = {k.PAIR_MS: 90000, k.TIME_MS: home.utc() + 90000, k.PROVE: 5}
    home.order(k.PAIR, fields)
    home.push(1)
    home.tell(k.PAIR, fields)
    assert len(home.said(k.COMMAND_DONE)) >= 2
    home.push(2)
    assert len(home.said(k.CALL)) == 1
    assert len(home.said(k.TEST_PRESS)) == 1


def test_a_restart_ends_it():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    home.reboot()
    home.run(2000)
    home.push(1)
    assert home.said(k.TEST_PRESS) == []
    assert len(home.said(k.CALL)) == 1


def test_a_doubted_press_is_no_test():
    home = House(table=[[5, 1, BUTTON, 0, KEY]])

    def push(count):
        info, counter = b"\x44\x01"[:1], count.to_bytes(4, "little")
        info = bytes((info[0] | 1,))
        sealed = Ccm(KEY, 4).seal(BUTTON + b"\xd2\xfc" + info + counter, b"\x3a\x01", b"")
        home.advertise(BUTTON, info + sealed[:-4] + counter + sealed[-4:])
        home.run(5000)

    home.pair(90000, 5)
    push(50)
    assert len(home.said(k.TEST_PRESS)) == 1
    home.pair(90000, 5)
    push(20)  # a counter that went back: a changed battery, or a replay
    assert len(home.said(k.TEST_PRESS)) == 1
    (call,) = home.said(k.CALL)
    assert call[k.FLAGS] == k.UNVERIFIED


def test_what_comes_into_the_table_and_leaves_it_is_said():
    home = House(table=[CALLER])
    (paired,) = home.said(k.PAIRED)
    assert (paired[k.DEVICE], paired[k.ADDRESS], paired[k.ROLE]) == (5, BUTTON, 1)
    home.order(k.DEVICES, {k.VERSION_OF: 2, k.TABLE: [[5, 1, OTHER, 0], [6, 2, CUFF, 0]]})
    (unpaired,) = home.said(k.UNPAIRED)
    assert (unpaired[k.DEVICE], unpaired[k.ADDRESS]) == (5, BUTTON)
    assert [event[k.ADDRESS] for event in home.said(k.PAIRED)] == [BUTTON, OTHER, CUFF]
    home.order(k.DEVICES, {k.VERSION_OF: 2, k.TABLE: []})  # no newer one
    home.order(k.DEVICES, {k.VERSION_OF: 3, k.TABLE: [[5, 1, OTHER, 60], [6, 2, CUFF, 0]]})
    home.reboot()
    home.run(2000)
    assert len(home.said(k.PAIRED)) == 3
    assert len(home.said(k.UNPAIRED)) == 1
    told = cbor.loads(store.read(home.folder + "/data/devices.told"))
    assert told == [[5, 1, OTHER], [6, 2, CUFF]]


def test_an_event_lost_between_table_and_telling_is_said_after_the_start():
    home = House(table=[CALLER])
    store.remove(home.folder + "/data/devices.told")  # as a power cut leaves it
    home.reboot()
    home.run(2000)
    assert len(home.said(k.PAIRED)) == 2


def test_a_spoilt_file_or_radio_takes_no_call_from_a_hub():
    home = House([CALLER])
    store.replace(home.folder + "/data/devices.told", cbor.dumps([7]))
    home.reboot()
    home.press()
    assert len(home.said(k.CALL)) == 1
    # A monitor in the table, and a radio that is no central: Radio here has none.
    home = House([CALLER, [6, 11, CUFF, 0]])
    home.reboot()
    home.press()
    assert len(home.said(k.CALL)) == 1
    assert home.said(k.PAIRED), "the rest of a table is taken all the same"


def test_one_press_of_a_wired_button_is_the_test_and_the_next_is_a_call():
    home = House(table=[CALLER])
    home.pair(90000, WIRED)
    assert home.lamp() == "proving"
    home.run(1000)
    home.press()
    (press,) = home.said(k.TEST_PRESS)
    assert (press[k.DEVICE], press[k.FLAGS]) == (WIRED, k.TEST)
    assert home.said(k.CALL) == []
    assert home.closed() == [5]
    assert home.lamp() == "well"
    home.run(10000)
    assert home.app.pairing is None
    assert home.said(k.CALL) == []
    home.press()
    assert home.devices(k.CALL) == [WIRED]
    assert home.devices(k.TEST_PRESS) == [WIRED]


def test_a_second_press_is_a_call_however_soon():
    for gap_ms in (60, 100, 240, 300, 900, 3000, 5000):
        home = House()
        home.pair(90000, WIRED)
        home.run(1000)
        home.hold(ms=100)
        home.let_go(ms=gap_ms)
        home.hold(ms=100)
        home.let_go()
        assert home.devices(k.TEST_PRESS) == [WIRED], gap_ms
        assert home.devices(k.CALL) == [WIRED], gap_ms


def test_who_holds_a_wired_button_calls_while_still_holding_it():
    home = House()
    home.pair(90000, WIRED)
    home.run(1000)
    home.hold(ms=1300)
    assert home.said(k.CALL) == []  # after half a second more
    home.run(500)
    assert home.devices(k.CALL) == [WIRED]
    assert home.lamp() in ("heard", "stored", "delivered")
    home.run(30000)
    home.let_go()
    assert home.devices(k.TEST_PRESS) == [WIRED]
    assert home.devices(k.CALL) == [WIRED]  # once


def test_a_hold_calls_though_pairing_is_opened_or_closed_meanwhile():
    for fields in (
        {k.PAIR_MS: 0},
        {k.PAIR_MS: 60000},
        {k.PAIR_MS: 60000, k.PROVE: SECOND},
        {k.PAIR_MS: 60000, k.PROVE: WIRED},
    ):
        home = House(table=[CALLER])
        home.pair(90000, WIRED)
        home.run(1000)
        home.hold(ms=500)
        fields[k.TIME_MS] = home.utc() + 60000
        home.order(k.PAIR, fields)
        home.run(3000)
        assert home.devices(k.CALL) == [WIRED], fields
        home.let_go()


def test_another_button_is_a_call_and_ends_the_proof():
    for what in ("wired", "ble", "cancelled"):
        home = House(table=[CALLER])
        home.pair(90000, WIRED)
        home.run(1000)
        if what == "ble":
            home.push(1)
        else:
            home.hold(SECOND_PIN, 100)
            home.let_go(SECOND_PIN)
        assert home.devices(k.CALL) == [5 if what == "ble" else SECOND]
        home.press()
        assert home.said(k.TEST_PRESS) == []
        assert len(home.said(k.CALL)) == 2
        assert home.closed() == [4]


def test_two_wired_buttons_at_once_are_a_test_and_a_call():
    home = House()
    home.pair(90000, WIRED)
    home.run(1000)
    home.hold()
    home.hold(SECOND_PIN, 100)
    home.let_go()
    home.let_go(SECOND_PIN)
    assert home.devices(k.CALL) == [SECOND]
    assert len(home.said(k.TEST_PRESS)) <= 1


def test_a_ble_button_that_is_proven_leaves_the_wired_one_a_call():
    home = House(table=[CALLER])
    home.pair(90000, 5)
    home.run(1000)
    home.press()
    assert home.devices(k.CALL) == [WIRED]
    home.push(1)
    assert home.said(k.TEST_PRESS) == []


def test_a_press_that_began_before_the_window_is_a_call():
    for before_ms in (0, 10, 20, 40, 100, 2000):
        home = House()
        home.hold(ms=before_ms)
        home.tell(k.PAIR, {k.NUMBER: 99, k.PAIR_MS: 90000, k.TIME_MS: home.utc() + 90000, k.PROVE: WIRED})
        home.run(100)
        home.let_go()
        assert home.devices(k.CALL) == [WIRED], before_ms
        assert home.said(k.TEST_PRESS) == [], before_ms
        assert home.refused() in ([7], [5]), (before_ms, home.refused())  # pressed; or an alarm stands


def test_a_press_in_the_moment_the_lamp_changes_is_a_call():
    for after_ms in (0, 50, 150):
        home = House()
        home.tell(k.PAIR, {k.NUMBER: 99, k.PAIR_MS: 90000, k.TIME_MS: home.utc() + 90000, k.PROVE: WIRED})
        home.run(after_ms)
        home.press()
        assert home.devices(k.CALL) == [WIRED], after_ms
        assert home.said(k.TEST_PRESS) == []


def test_a_bouncing_contact_is_one_test_press():
    home = House()
    home.pair(90000, WIRED)
    home.run(1000)
    for ms in (3, 2, 5, 1, 4):
        home.hold(ms=ms)
        home.board.pins[4].move(1)
        home.run(ms)
    home.hold(ms=150)
    for ms in (3, 8, 2):
        home.board.pins[4].move(1)
        home.run(ms)
        home.hold(ms=ms)
    home.let_go(ms=3000)
    assert home.devices(k.TEST_PRESS) == [WIRED]
    assert home.said(k.CALL) == []


def test_a_wired_button_is_a_test_for_two_minutes_at_most():
    home = House()
    home.pair(600000, WIRED)
    home.run(121000)
    assert home.closed() == [1]
    home.press()
    assert home.devices(k.CALL) == [WIRED]
    home = House()
    home.pair(30000, WIRED)
    home.run(29000)
    home.hold(ms=6000)  # over the end of the window
    assert home.devices(k.TEST_PRESS) == [WIRED]
    assert home.devices(k.CALL) == [WIRED]


def test_a_hub_that_knows_no_time_or_gets_the_order_late_takes_no_wired_press_for_a_test():
    home = House(clock=False)
    home.pair(90000, WIRED)
    assert home.refused() == [4]
    home.press()
    assert home.devices(k.CALL) == [WIRED]
    home = House()
    home.pair(90000, WIRED, late=90001)
    assert home.refused() == [4]
    home.press()
    assert home.devices(k.CALL) == [WIRED]


def test_a_power_cut_in_the_window_leaves_a_call():
    for held in (False, True):
        home = House()
        home.pair(90000, WIRED)
        home.run(1000)
        if held:  # the cut comes while the test press is not let go: who holds it calls
            home.hold(ms=500)
        home.reboot()
        home.board.pins[4].move(0)
        home.run(300)
        home.let_go(ms=1000)
        assert home.devices(k.CALL) == [WIRED], held
        assert len(home.said(k.TEST_PRESS)) == held


def test_an_alarm_or_a_question_ends_the_proof_of_a_wired_button():
    home = House()
    home.pair(90000, WIRED)
    home.order(k.ASK, {k.ALARM_NAME: [1 << 31, 4], k.ASK_MS: 60000, k.ASK_KIND: k.INACTIVITY})
    assert home.lamp() == "asking"
    home.press()
    assert home.said(k.TEST_PRESS) == []
    assert home.devices(k.CALL) == [WIRED]
    home.pair(90000, WIRED)
    assert home.refused() == [5]


def test_a_test_press_that_flash_refuses_by_an_error_is_a_call():
    home = House()
    home.pair(90000, WIRED)
    home.run(1000)
    record, failed = home.app.recorder.record, []

    def failing(kind, fields):
        if kind == k.TEST_PRESS:
            failed.append(kind)
            raise MemoryError
        return record(kind, fields)

    home.app.recorder.record = failing
    home.press(ms=500)
    assert failed
    assert home.devices(k.CALL) == [WIRED]


def test_a_hub_without_a_radio_proves_its_own_button():
    home = House(radio=False)
    home.pair(90000)
    assert home.refused() == [6]
    home.pair(90000, WIRED)
    home.run(1000)
    home.press()
    assert home.devices(k.TEST_PRESS) == [WIRED]
    home.run(10000)
    home.press()
    assert home.devices(k.CALL) == [WIRED]


def test_a_ble_button_under_the_wired_ones_number_is_a_call():
    home = House(table=[[WIRED, 1, BUTTON, 0]])
    home.pair(90000, WIRED)
    home.run(1000)
    home.push(1)
    assert home.devices(k.CALL) == [WIRED]
    assert home.said(k.TEST_PRESS) == []


def test_a_window_that_nobody_has_closed_yet_is_over_all_the_same():
    for device in (WIRED, 5):
        home = House(table=[CALLER])
        home.pair(30000, device)
        home.app.pairing.tick = lambda: None  # a hub that is busy
        home.run(30000)
        home.press() if device == WIRED else home.push(1)
        assert home.devices(k.CALL) == [device]
        assert home.said(k.TEST_PRESS) == []
