"""Care at the hub: pre-alarms, the cancel key, suspected falls, alarms of the host, the daily test call."""

import sys

import fake_board
import hub_cases
from fake_host import AEAD, HUB

from kanhu_hub import proof, store
from kanhu_hub.outbox import Outbox
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k

FOLDER = ""
CANCEL = 6
HOSTS = (1790000000, 12)  # an alarm of the host's own
UTC_MS = 1790000000000


def Home(**config):
    hub_cases.FOLDER = FOLDER
    settings = {"cancel": CANCEL, "proof": 0}
    settings.update(config)
    home = hub_cases.Home(config=settings)
    home.numbers = 0
    return home


def tell(home, kind, **fields):
    """A command; its number."""
    home.numbers += 1
    again = fields.pop("again", None)
    message = {getattr(k, name): value for name, value in fields.items()}
    message[k.NUMBER] = again or home.numbers
    home.app.down(home.host.down(kind, message))
    home.run(300)
    return message[k.NUMBER]


def ask(home, name=HOSTS, ms=60000, **more):
    return tell(home, k.ASK, ALARM_NAME=list(name), ASK_MS=ms, ASK_KIND=k.INACTIVITY, **more)


def answer(home, name, state):
    tell(home, k.ALARM_IS, ALARM_NAME=list(name), ALARM_STATE=state)


def key(home, ms=200):
    home.board.pins[CANCEL].move(0)
    home.run(ms)
    home.board.pins[CANCEL].move(1)
    home.run(300)


def fall(home, device=5):
    saved = home.app.emit(k.FALL, {k.DEVICE: device, k.BATTERY: 80})
    home.run(300)
    return saved


def said(home, kind):
    return [event for _, _, event in home.events(kind)]


def names(home, kind):
    return [name for _, name, _ in home.events(kind)]


def loaded(name):
    return "kanhu_hub." + name in sys.modules


# The host asks


def test_asked_until_somebody_cancels():
    home = Home()
    home.run(500)
    assert home.lamp() == "well"
    number = ask(home)
    assert home.lamp() == "asking"
    assert [e[k.COMMAND] for e in said(home, k.COMMAND_DONE)] == [number]
    home.run(30000)
    assert home.lamp() == "asking"
    assert loaded("asking")
    key(home)
    (cancelled,) = said(home, k.PRE_ALARM_CANCELLED)
    assert cancelled[k.ALARM] == list(HOSTS)
    assert k.DEVICE not in cancelled
    assert home.lamp() == "well"
    assert not loaded("asking")
    assert not said(home, k.CALL)


def test_the_cancel_leaves_at_once_and_survives_a_power_cut():
    home = Home()
    home.run(500)
    ask(home)
    home.links[0].up = False
    home.board.pins[CANCEL].move(0)
    home.run(60)
    assert home.lamp() == "well"
    assert (
        home.app.recorder.read([event[3] for event in home.app.outbox.events(lambda boot, seq: True)][-1])[
            k.KIND
        ]
        == k.PRE_ALARM_CANCELLED
    )
    home.reboot()
    home.run(2000)
    assert [e[k.ALARM] for e in said(home, k.PRE_ALARM_CANCELLED)] == [list(HOSTS)]


def test_asked_for_its_time_and_the_hosts_grace():
    home = Home()
    ask(home, ms=60000)
    home.run(60000 + 14000)
    assert home.lamp() == "asking"  # never "well" before the host has decided
    home.run(2000)
    assert home.lamp() == "well"
    assert not loaded("asking")
    key(home)
    assert not said(home, k.PRE_ALARM_CANCELLED)


def test_asked_until_the_host_raises_or_withdraws_it():
    home = Home()
    ask(home)
    answer(home, HOSTS, k.CLOSED)
    assert home.lamp() == "well"
    other = (HOSTS[0], 13)
    ask(home, other)
    answer(home, other, k.OPEN)
    assert home.lamp() == "unanswered"
    home.run(120000)
    assert home.lamp() == "unanswered"
    assert not said(home, k.CALL_UNANSWERED)  # it is the host's to say again
    assert not said(home, k.PRE_ALARM_CANCELLED)


def test_a_late_cancel_names_what_the_host_has_raised():
    home = Home()
    answer(home, HOSTS, k.OPEN)
    key(home)
    assert [e[k.ALARM] for e in said(home, k.PRE_ALARM_CANCELLED)] == [list(HOSTS)]
    assert home.lamp() == "unanswered"  # until the host agrees
    answer(home, HOSTS, k.ACCEPTED)
    key(home)
    assert len(said(home, k.PRE_ALARM_CANCELLED)) == 1  # somebody is at it
    answer(home, HOSTS, k.CLOSED)
    assert home.lamp() == "well"
    assert not loaded("asking")


def test_one_cancel_for_all_that_is_asked():
    home = Home()
    wanted = [(HOSTS[0], n) for n in range(3)]
    for name in wanted:
        ask(home, name)
    key(home)
    assert sorted(tuple(e[k.ALARM]) for e in said(home, k.PRE_ALARM_CANCELLED)) == wanted
    assert home.lamp() == "well"


def test_the_call_button_is_a_call_while_asked():
    home = Home()
    ask(home)
    home.press()
    assert home.lamp() in ("heard", "stored")
    assert len(said(home, k.CALL)) == 1
    assert not said(home, k.PRE_ALARM_CANCELLED)
    answer(home, names(home, k.CALL)[0], k.ACCEPTED)
    assert home.lamp() == "asking"  # it still is
    key(home)
    assert home.lamp() == "accepted"


def test_the_cancel_key_alone_says_nothing():
    home = Home()
    home.run(500)
    key(home)
    assert not said(home, k.CALL)
    assert not said(home, k.PRE_ALARM_CANCELLED)
    assert home.lamp() == "well"
    assert not loaded("asking")


def test_a_bounce_is_no_cancel_and_a_stuck_key_is_a_fault():
    home = Home()
    ask(home)
    for _ in range(10):
        home.board.pins[CANCEL].move(0)
        home.run(5)
        home.board.pins[CANCEL].move(1)
        home.run(60)
    assert home.lamp() == "asking"
    home.board.pins[CANCEL].move(0)
    home.run(40000)
    (stuck,) = said(home, k.CONTACT_STUCK)
    assert k.DEVICE not in stuck
    assert len(said(home, k.PRE_ALARM_CANCELLED)) == 1
    ask(home, (HOSTS[0], 13))
    home.run(2000)
    assert home.lamp() == "asking"  # a stuck key answers nothing more
    home.board.pins[CANCEL].move(1)
    home.run(500)
    assert len(said(home, k.CONTACT_RELEASED)) == 1


def test_a_command_that_comes_again_is_confirmed_and_asks_nothing_anew():
    home = Home()
    number = ask(home)
    key(home)
    assert ask(home, again=number) == number
    assert home.lamp() == "well"
    assert [e[k.COMMAND] for e in said(home, k.COMMAND_DONE)] == [number, number]
    ask(home)  # a new command is a new question
    assert home.lamp() == "asking"
    early = ask(home, (HOSTS[0], 14), again=7)  # numbers may come in any order
    assert early == 7
    assert len(home.app.alarms.asks) == 2


def test_a_second_command_for_a_name_gives_it_another_end():
    home = Home()
    ask(home, ms=60000)
    home.run(50000)
    ask(home, ms=60000)
    home.run(60000)
    assert home.lamp() == "asking"
    home.run(16000)
    assert home.lamp() == "well"


def test_more_questions_than_are_kept_are_refused():
    home = Home()
    for n in range(16):
        ask(home, (HOSTS[0], n))
    assert not said(home, k.COMMAND_REFUSED)
    number = ask(home, (HOSTS[0], 99))
    assert [(e[k.COMMAND], e[k.DETAIL]) for e in said(home, k.COMMAND_REFUSED)] == [(number, 3)]
    assert fall(home)  # never so a fall
    assert len(home.app.alarms.asks) == 17
    key(home)
    assert ask(home, (HOSTS[0], 99), again=number) == number
    assert home.lamp() == "asking"


def test_a_wrong_ask_is_refused_and_shows_nothing():
    home = Home()
    home.run(500)
    good = {k.TYPE: k.ASK, k.NUMBER: 7, k.ALARM_NAME: list(HOSTS), k.ASK_MS: 60000, k.ASK_KIND: 32}
    wrong = []
    for key_, value in ((k.ALARM_NAME, [0, 1]), (k.ASK_MS, 10), (k.ASK_MS, 3600001), (k.ASK_KIND, 0)):
        message = dict(good)
        message[key_] = value
        wrong.append(message)
    for key_ in (k.ALARM_NAME, k.ASK_MS, k.ASK_KIND):
        wrong.append({other: value for other, value in good.items() if other != key_})
    for number, message in enumerate(wrong, 100):
        message[k.NUMBER] = number
        home.host.counter += 1
        plain = cbor.dumps(message)
        home.app.down(seal.seal(AEAD, 1, HUB, seal.DOWN, 1, home.host.epoch, home.host.counter, plain))
        home.run(200)
    refused = [(e[k.COMMAND], e[k.DETAIL]) for e in said(home, k.COMMAND_REFUSED)]
    assert refused == [(number, 2) for number in range(100, 100 + len(wrong))]
    assert home.app.downlink.refused[2] == len(wrong)
    assert home.lamp() == "well"
    assert not home.app.alarms.asks


def test_flash_that_takes_nothing_cancels_nothing():
    home = Home()
    ask(home)
    real, Outbox.make_room = Outbox.make_room, lambda self, cls: False
    try:
        key(home)
        assert home.lamp() == "asking"
    finally:
        Outbox.make_room = real
    key(home)
    assert home.lamp() == "well"
    assert len(said(home, k.PRE_ALARM_CANCELLED)) == 1


# Suspected falls


def test_a_suspected_fall_is_asked_about_first():
    home = Home(fall_ask=20)
    assert fall(home)
    ((_, name, asked),) = home.events(k.PRE_ALARM)
    assert asked[k.DEVICE] == 5
    assert asked[k.SPAN_MS] == 20000
    assert asked[k.DETAIL] == k.FALL
    assert asked[k.BATTERY] == 80
    assert home.lamp() == "asking"
    home.run(19000)
    assert not said(home, k.FALL)
    home.run(1500)
    ((_, first, event),) = home.events(k.FALL)
    assert event[k.ALARM] == list(name)
    assert event[k.DEVICE] == 5
    assert home.lamp() in ("heard", "stored")
    assert home.app.alarms.named(name).state == k.OPEN
    home.tell(k.DELIVERED, {k.SINGLE: [list(first)]})
    home.run(200)
    assert home.lamp() == "delivered"
    home.run(11000)
    assert home.lamp() == "unanswered"
    assert said(home, k.CALL_UNANSWERED)[0][k.ALARM] == list(name)
    answer(home, name, k.ACCEPTED)
    assert home.lamp() == "accepted"
    answer(home, name, k.CLOSED)
    assert home.lamp() == "well"
    assert not home.app.alarms.alarms


def test_a_cancelled_fall_is_none():
    home = Home(fall_ask=20)
    fall(home)
    home.run(10000)
    key(home)
    assert [tuple(e[k.ALARM]) for e in said(home, k.PRE_ALARM_CANCELLED)] == names(home, k.PRE_ALARM)
    home.run(60000)
    assert not said(home, k.FALL)
    assert home.lamp() == "well"
    fall(home)
    assert len(said(home, k.PRE_ALARM)) == 2


def test_a_fall_at_once_where_nobody_is_to_be_asked():
    home = Home(fall_ask=0)
    fall(home)
    assert not said(home, k.PRE_ALARM)
    (event,) = said(home, k.FALL)
    assert k.ALARM not in event
    assert home.lamp() in ("heard", "stored")


def test_falls_while_asked_are_counted_and_while_open_said():
    home = Home(fall_ask=20)
    fall(home)
    fall(home)
    fall(home, 6)
    assert len(said(home, k.PRE_ALARM)) == 1
    home.run(20000)
    (event,) = said(home, k.FALL)
    assert event[k.COUNT] == 3
    fall(home)
    assert len(said(home, k.PRE_ALARM)) == 1
    assert [e[k.ALARM] for e in said(home, k.FALL)] == [list(names(home, k.PRE_ALARM)[0])] * 2


def test_a_fall_that_flash_does_not_take_is_an_alarm_at_once():
    home = Home(fall_ask=20)
    home.run(500)
    real, store.append = store.append, _broken
    try:
        fall(home)
        assert home.lamp() in ("heard", "stored", "not_saved")
    finally:
        store.append = real
    home.run(2000)
    (event,) = said(home, k.FALL)
    assert event[k.ALARM] == list(names(home, k.PRE_ALARM)[0])  # from RAM
    assert not home.app.alarms.asks


def _broken(*args):
    raise OSError(5)


def test_a_fall_is_an_alarm_at_once_when_there_is_no_heap_to_ask():
    home = Home(fall_ask=20)
    home.run(500)

    def none(what, *args):
        raise MemoryError

    home.app._asking = none
    fall(home)
    assert len(said(home, k.FALL)) == 1


def test_the_host_that_withdraws_or_raises_a_fall_ends_the_asking():
    home = Home(fall_ask=20)
    fall(home)
    answer(home, names(home, k.PRE_ALARM)[0], k.CLOSED)
    home.run(40000)
    assert not said(home, k.FALL)
    assert home.lamp() == "well"


def test_a_power_cut_while_asked_leaves_the_fall_to_the_host():
    home = Home(fall_ask=20)
    home.links[0].up = False
    fall(home)
    home.reboot()
    home.run(30000)
    ((_, name, _),) = home.events(k.PRE_ALARM)  # the first thing of it that anybody hears
    assert name[0] == 1
    assert not said(home, k.FALL)
    answer(home, name, k.OPEN)
    assert home.lamp() == "unanswered"
    home.run(15000)
    assert said(home, k.CALL_UNANSWERED)[0][k.ALARM] == list(name)
    home.reboot()
    assert home.lamp() == "unanswered"  # this one is in flash
    answer(home, name, k.CLOSED)
    assert home.lamp() == "well"


def test_a_power_cut_as_a_fall_becomes_an_alarm_never_shows_well():
    home = Home(fall_ask=20)
    home.answer = False
    fall(home)
    ((_, name, _),) = home.events(k.PRE_ALARM)
    recorder = home.app.recorder
    real = recorder.record

    def cut(kind, fields):
        if kind == k.FALL:
            raise SystemExit
        return real(kind, fields)

    recorder.record = cut
    home.run_to_reset(30000)
    home.reboot()
    assert home.lamp() == "unanswered"
    assert [(a.name, a.kind) for a in home.app.alarms.alarms] == [(name, k.FALL)]
    home.answer = True
    home.run(12000)
    assert said(home, k.CALL_UNANSWERED)[0][k.ALARM] == list(name)


def test_a_closed_fall_does_not_open_again_from_its_event():
    home = Home(fall_ask=20)
    home.answer = False
    fall(home)
    home.run(21000)
    ((_, name, _),) = home.events(k.PRE_ALARM)
    answer(home, name, k.CLOSED)
    home.reboot()
    home.run(500)
    assert not home.app.alarms.alarms
    home.answer = True
    home.run(15000)
    assert home.app.outbox.counts()[0] == 0
    assert len(said(home, k.FALL)) == 1


# Alarms of the host


def test_somebody_is_coming():
    home = Home()
    home.press()
    name = names(home, k.CALL)[0]
    for state in (k.ACCEPTED, k.DISPATCHED, k.ON_SCENE):
        answer(home, name, state)
        assert home.lamp() == ("accepted" if state == k.ACCEPTED else "coming")
        home.reboot()
        home.run(500)
        assert home.lamp() == ("accepted" if state == k.ACCEPTED else "coming")
    assert [e[k.STATE] for e in said(home, k.COMMAND_DONE)] == [k.ACCEPTED, k.DISPATCHED, k.ON_SCENE]
    home.run(20000)
    assert not said(home, k.CALL_UNANSWERED)
    home.press()  # a press after the answer is a new alarm
    assert home.lamp() in ("heard", "stored")
    assert len([e for e in said(home, k.CALL) if k.ALARM not in e]) == 2


def test_alarms_of_the_host_are_shown_and_bounded():
    home = Home()
    home.run(500)
    for n in range(40):
        answer(home, (HOSTS[0], n), k.OPEN)
    assert len(home.app.alarms.told) == 16
    assert home.app.alarms.told[-1] == ((HOSTS[0], 39), k.OPEN)
    assert not home.app.alarms.alarms
    assert home.lamp() == "unanswered"
    for n in range(40):
        answer(home, (HOSTS[0], n), k.ON_SCENE)
    assert home.lamp() == "coming"
    home.press()
    assert home.lamp() in ("heard", "stored")
    answer(home, names(home, k.CALL)[0], k.CLOSED)
    for n in range(40):
        answer(home, (HOSTS[0], n), k.CLOSED)
    assert home.lamp() == "well"
    answer(home, HOSTS, k.OPEN)
    home.reboot()
    home.run(500)
    assert home.lamp() == "well"  # the host says it again after a boot event
    answer(home, HOSTS, k.OPEN)
    assert home.lamp() == "unanswered"
    assert cbor.loads(store.read(FOLDER + "/data/alarms")) == []


# The daily test call


class Proving:
    """As much of a hub as proof.py sees; a day passes at once."""

    def __init__(self, every=86400, hub_id=HUB):
        self.config = self.board = self.clock = self.alarms = self.courier = self.outbox = self
        self.recorder = self.downlink = self
        self.proof, self.hub_id = every, hub_id
        self.nvs = fake_board.Nvs()
        self.ms, self.offset = 0, None
        self.linked = self.stores = self.delivers = True
        self.events = []  # (kind, fields, ms)
        self.start()

    def start(self):
        self.unproven = True
        self.proofs = []

    def now_ms(self):
        return self.ms

    def utc_ms(self, now):
        return None if self.offset is None else now + self.offset

    def ready(self):
        return self.linked

    def crowded(self):
        return False

    def unstored(self, name):
        return not self.stores

    def record(self, kind, fields):
        self.events.append((kind, fields, self.ms))
        return (1, len(self.events)), True

    def pass_until(self, end_ms, at_ms):
        """Steps as they fall due, a test call answered after 0.8 s; when the next one is."""
        while at_ms <= end_ms:
            self.ms = max(self.ms, at_ms)
            at_ms = proof.step(self)
            for test in self.proofs:
                if self.ms - test.since_ms >= 800 and test.state == k.OPEN:
                    test.receipt = 3 if self.delivers else 2 if self.stores else 1
                    self.heard_ms = test.since_ms + 800
        self.ms = end_ms
        return at_ms

    def said(self, kind):
        return [row for row in self.events if row[0] == kind]


DAY_MS = 86400000


def test_once_a_day_at_an_hour_of_its_own():
    slots = set()
    for hub_id in ("hub0000001", "hub0000002", "7q8k2m3x9a"):
        hub = Proving(hub_id=hub_id)
        hub.offset = UTC_MS
        hub.pass_until(9 * DAY_MS + 3600000, 600000)
        times = [ms for _, _, ms in hub.said(k.TEST_CALL)]
        assert times[0] == 600000
        assert 10 <= len(times) <= 11
        gaps = [times[n + 1] - times[n] for n in range(len(times) - 1)]
        assert all(gap == DAY_MS for gap in gaps[1:]), gaps
        assert gaps[0] <= DAY_MS
        slots.add((UTC_MS + times[-1]) // 60000 % 1440)
        assert [fields for _, fields, _ in hub.said(k.PATH_PROVEN)] == [{k.SPAN_MS: 800}] * len(times)
        assert not hub.said(k.PATH_OK)
    assert len(slots) == 3


def test_a_day_between_two_where_nobody_knows_the_time():
    hub = Proving()
    hub.pass_until(3 * DAY_MS + 3600000, 600000)
    times = [ms for _, _, ms in hub.said(k.TEST_CALL)]
    assert len(times) == 4
    assert DAY_MS <= times[1] - times[0] <= DAY_MS + 1000


def test_not_again_after_a_restart_within_the_day():
    hub = Proving()
    hub.offset = UTC_MS
    hub.pass_until(1000000, 600000)
    assert hub.nvs.values["proof"] == (UTC_MS + 600000) // 60000
    hub.start()
    due = hub.pass_until(2000000, 1600000)
    assert len(hub.said(k.TEST_CALL)) == 1
    assert due <= 600000 + DAY_MS
    hub.start()
    hub.offset = None  # nobody knows how long ago it was
    hub.pass_until(3000000, 2600000)
    assert len(hub.said(k.TEST_CALL)) == 2
    hub.start()
    hub.offset = UTC_MS - 10 * DAY_MS  # a clock that went back proves nothing
    hub.nvs.values["proof"] = UTC_MS // 60000
    hub.pass_until(4000000, 3600000)
    assert len(hub.said(k.TEST_CALL)) == 3


def test_a_call_that_does_not_come_through_is_a_fault_and_the_next_success_its_end():
    for stores, detail in ((False, 1), (True, 2)):
        hub = Proving()
        hub.stores, hub.delivers = stores, False
        due = hub.pass_until(700000, 600000)
        ((_, fields, ms),) = hub.said(k.PATH_FAULT)
        assert fields == {k.DETAIL: detail}
        assert 660000 <= ms < 661000
        assert due == ms + 3600000
        assert hub.nvs.values["proof"] == -detail
        hub.pass_until(8 * 3600000, due)
        assert len(hub.said(k.PATH_FAULT)) == 1  # said once
        assert len(hub.said(k.TEST_CALL)) == (8 if stores else 1)  # one in the outbox at a time
        hub.start()
        hub.stores = hub.delivers = True
        hub.pass_until(hub.ms + 700000, hub.ms + 600000)
        assert len(hub.said(k.PATH_OK)) == len(hub.said(k.PATH_PROVEN)) == 1
        assert hub.nvs.values["proof"] == 0


def test_a_hub_that_reaches_nobody_records_no_test_calls():
    hub = Proving()
    hub.linked = False
    hub.pass_until(2 * DAY_MS, 600000)
    assert not hub.said(k.TEST_CALL)
    assert [fields for _, fields, _ in hub.said(k.PATH_FAULT)] == [{k.DETAIL: 1}]


def test_nvs_that_takes_nothing_stops_no_proof():
    hub = Proving()
    hub.nvs.failing = True
    hub.pass_until(DAY_MS, 600000)
    assert len(hub.said(k.PATH_PROVEN)) == 1


def test_some_minutes_after_the_start_each_hub_at_its_own():
    home = Home(proof=86400)
    assert 600000 <= home.app.proof_ms < 856000
    assert Home(proof=0).app.proof_ms is None
    assert Home(proof=60).app.proof_ms == 60000


def test_a_test_call_travels_as_a_call_and_is_no_alarm():
    hub_cases.FOLDER = FOLDER
    config = {"proof": 20, "buttons": [[1, 4, None]], "pirs": []}
    home = hub_cases.Home(links=("mqtt", "serial"), config=config)
    home.app.courier.ways[1].met = True
    home.run(15000)
    shown = set()
    for _ in range(80):
        home.run(100)
        shown.add(home.lamp())
    assert {via for _, via, _, _, event in home.heard if event[k.KIND] == k.TEST_CALL} == {"mqtt", "serial"}
    ((_, name, test),) = home.events(k.TEST_CALL)
    assert test[k.FLAGS] == k.TEST
    assert k.ALARM not in test
    lanes = {lane for _, _, lane, _, event in home.heard if event[k.KIND] == k.TEST_CALL}
    assert lanes == {0}  # that of calls
    assert loaded("proof")
    home.tell(k.DELIVERED, {k.SINGLE: [list(name)]})
    home.run(1000)
    (done,) = said(home, k.PATH_PROVEN)
    assert 1000 <= done[k.SPAN_MS] <= 9000
    assert not loaded("proof")
    assert shown == {"well"}, shown
    assert not said(home, k.CALL_UNANSWERED)
    assert not home.app.alarms.alarms
    assert home.app.outbox.counts()[0] == 0
    home.press()
    assert k.ALARM not in said(home, k.CALL)[0]  # a press is not one more of it


def test_a_late_receipt_is_no_proof():
    home = Home(proof=20, cancel=None, buttons=[], pirs=[])
    home.run(82000)
    (name,) = names(home, k.TEST_CALL)
    (fault,) = said(home, k.PATH_FAULT)
    assert fault[k.DETAIL] == 2
    home.tell(k.DELIVERED, {k.SINGLE: [list(name)]})
    home.run(2000)
    assert not said(home, k.PATH_PROVEN)


# The wired PIR


def test_an_unplugged_pir_is_a_fault_that_the_lamp_shows_and_no_motion():
    # What the board reads then is its own pull.
    home = Home(cancel=None, buttons=[], pirs=[[2, 14]], pir_warm_up=0)
    home.run(905000)
    assert [e[k.DEVICE] for e in said(home, k.CONTACT_STUCK)] == [2]
    for kind in (k.MOTION, k.MOTION_COUNT, k.STILL):
        assert not said(home, kind), kind
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    home.run(200)
    assert home.lamp() == "fault"


def test_the_hosts_asking_leaves_a_fall_that_is_the_hubs_own():
    home = Home(fall_ask=20)
    fall(home)
    (name,) = names(home, k.PRE_ALARM)
    ask(home, name, 60000)
    home.run(21000)
    assert [e[k.ALARM] for e in said(home, k.FALL)] == [list(name)]


def test_a_fall_that_a_restart_forgot_is_cancelled_where_the_host_still_asks():
    home = Home(fall_ask=20)
    fall(home)
    (name,) = names(home, k.PRE_ALARM)
    home.reboot()
    home.run(500)
    ask(home, name, 15000)
    assert home.lamp() == "asking"
    key(home)
    assert [e[k.ALARM] for e in said(home, k.PRE_ALARM_CANCELLED)] == [list(name)]
    home.run(60000)
    assert not said(home, k.FALL)


# Faults over restarts: what was said and ended while the hub was off is said to be over


def end_of(home, kind):
    return [(e.get(k.DEVICE, 0), e.get(k.DETAIL)) for e in said(home, kind)]


def test_inputs_that_were_mended_while_the_hub_was_off():
    home = Home(buttons=[[1, 4], [3, 8]], pirs=[[2, 13]], pir_warm_up=0)
    home.run(500)
    for device in (1, 2, 3):
        home.app.emit(k.CONTACT_STUCK, {k.DEVICE: device, k.SPAN_MS: 900000})
    home.app.emit(k.LINE_FAULT, {k.DEVICE: 3, k.DETAIL: 1})
    home.app.emit(k.LINK_LOST, {k.DETAIL: 1})
    home.app.emit(k.STORAGE_FULL, {k.DETAIL: 1})
    home.app.emit(k.CLOCK_FAULT, {k.DETAIL: 1})
    home.app.emit(k.SENSOR_SILENT, {k.DEVICE: 9, k.SPAN_MS: 1})
    home.reboot()
    home.app.clock.set(UTC_MS, 2)
    home.run(5000)
    assert sorted(end_of(home, k.CONTACT_RELEASED)) == [(1, None), (2, None), (3, None)]
    assert end_of(home, k.LINE_OK) == [(3, None)]
    assert end_of(home, k.LINK_BACK) == [(0, 1)]
    assert len(said(home, k.STORAGE_OK)) == len(said(home, k.CLOCK_OK)) == 1
    assert not said(home, k.SENSOR_BACK)  # nobody has heard it
    assert home.nvs.values["faults"] == bytes((k.SENSOR_SILENT, 9))
    home.reboot()
    home.run(2000)
    for kind in range(k.MAINS_LOST, k.EVENTS_LOST):
        assert all(name[0] < 3 for name in names(home, kind)), kind


def test_a_fault_that_stands_over_a_restart_is_not_said_to_be_over():
    home = Home(buttons=[[1, 4]], pirs=[[2, 14]], cancel=None, pir_warm_up=0)  # pin 14: its own pull-up
    home.run(905000)
    home.app.emit(k.CONTACT_STUCK, {k.DEVICE: 1, k.SPAN_MS: 30000})
    home.reboot()
    home.run(2000)
    assert end_of(home, k.CONTACT_RELEASED) == [(1, None)]
    assert bytes((k.CONTACT_STUCK, 2)) in home.nvs.values["faults"]
    home.run(905000)
    assert [e[k.DEVICE] for e in said(home, k.CONTACT_STUCK)] == [2, 1, 2]  # and again: it stands


def test_an_nvs_that_remembers_no_faults_or_others_costs_nothing():
    for blob in (b"", b"\x52", bytes(range(255))):
        home = Home()
        home.nvs.values["faults"] = blob
        home.reboot()
        home.nvs.failing = True
        home.app.emit(k.LINE_FAULT, {k.DEVICE: 1, k.DETAIL: 1})
        home.run(2000)
        assert said(home, k.LINE_FAULT)
        assert home.lamp() == "fault"
