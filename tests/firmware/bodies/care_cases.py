"""Care at the hub: pre-alarms and the cancel key, alarms of the host, faults of what is wired."""

import hub_home
from care_home import CANCEL, HOSTS, UTC_MS, Home, answer, ask, fall, key, loaded, names, said
from fake_host import AEAD, HUB

from kanhu_hub import store
from kanhu_hub.outbox import Outbox
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k

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
    assert cbor.loads(store.read(hub_home.FOLDER + "/data/alarms")) == []


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
