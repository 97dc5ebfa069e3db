"""The whole hub: its start, the life of an alarm, and what the lamp says of it."""

import os

import hub_home
from fake_host import Host
from hub_home import Home

from kanhu_hub import app as app_module
from kanhu_hub import store
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k


def test_boot_event_is_the_first_and_names_the_last_identity():
    home = Home()
    home.run(1000)
    ((_, name, event),) = home.events(k.BOOT)
    assert name == (1, 0)
    assert event[k.RESET] == 1
    assert event[k.FIRMWARE] == app_module.FIRMWARE
    assert k.PREVIOUS not in event
    home.run(8000)
    last = home.app.recorder.seq - 1
    assert last == 1, home.heard  # the first heartbeat
    home.nvs.values["reset"] = 6
    home.reboot()
    home.run(1000)
    _, name, event = home.events(k.BOOT)[-1]
    assert name == (2, 0)
    assert event[k.PREVIOUS] == [1, last]
    assert event[k.RESET] == 6
    assert home.nvs.values["reset"] == 0
    for _ in range(3):
        home.reboot()
        home.run(1000)
    assert home.events(k.BOOT)[-1][2][k.PREVIOUS] == [4, 0]


def test_boot_counter_stays_above_what_flash_remembers():
    home = Home()
    home.run(500)
    for _ in range(4):
        home.reboot()
        home.run(500)
    del home.nvs.values["boot"]
    home.reboot()
    assert home.nvs.values["boot"] == 6


def test_receipts_one_by_one():
    home = Home(answer=False)
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    home.run(1000)
    assert home.lamp() == "well"
    home.press()
    assert home.lamp() == "heard"
    home.run(500)
    ((_, name, event),) = home.events(k.CALL)
    assert event[k.DEVICE] == 1
    assert k.ALARM not in event
    assert k.FLAGS not in event
    home.tell(k.STORED, {k.SINGLE: [list(name)]})
    home.run(200)
    assert home.lamp() == "stored"
    home.tell(k.DELIVERED, {k.SINGLE: [list(name)]})
    home.run(200)
    assert home.lamp() == "delivered"
    home.run(9500)
    assert home.lamp() == "unanswered"
    home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: list(name), k.ALARM_STATE: k.ACCEPTED})
    home.run(200)
    assert home.lamp() == "accepted"
    home.tell(k.ALARM_IS, {k.NUMBER: 2, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
    home.run(1000)
    assert home.lamp() == "well"
    done = [event for _, _, event in home.events(k.COMMAND_DONE)]
    assert [(e[k.COMMAND], e[k.STATE], tuple(e[k.ALARM])) for e in done] == [(1, 4, name), (2, 7, name)]
    kept = store.read(hub_home.FOLDER + "/data/alarms")
    assert not kept or cbor.loads(kept) == []


def test_the_lamp_changes_at_once_and_each_stage_is_logged():
    home = Home(answer=False)
    said = []
    indicator = home.app.indicator
    indicator._log = lambda text: said.append((text, home.time.ms, len(home.heard)))
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    home.run(1050)  # in the middle of a step
    assert said.pop(0)[0] == "lamp well"
    now, before = home.time.ms, len(home.heard)
    home.app.emit(k.CALL, {k.DEVICE: 1})
    assert said == [("lamp heard", now, before)]  # and no event has left yet
    level = home.board.pins[2].level, home.board.pins[15].level
    assert level == (1, 1)
    home.run(30)
    ((_, name, _),) = home.events(k.CALL)
    row = {k.SINGLE: [list(name)]}
    for kind, fields in (
        (k.STORED, row),
        (k.DELIVERED, row),
        (k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: list(name), k.ALARM_STATE: k.ACCEPTED}),
    ):
        home.app.down(home.host.down(kind, fields))
    assert [(text, ms) for text, ms, _ in said[1:]] == [
        (text, now + 30) for text in ("lamp stored", "lamp delivered", "lamp accepted")
    ]
    # The step that began then is not cut short: two steps of sound, and one look per step.
    home.run(199)
    assert home.board.pins[15].level == 1
    home.run(2)
    assert home.board.pins[15].level == 0


def test_cumulative_receipt_counts_for_the_alarm_too():
    home = Home(answer=False)
    home.press()
    home.tell(k.STORED, {k.UPTO: [[1, 5]]})
    home.run(200)
    assert home.lamp() == "stored"
    home.tell(k.DELIVERED, {k.UPTO: [[1, 0]]})
    home.run(200)
    assert home.lamp() == "stored"


def test_said_again_every_10_s_then_every_60_s():
    home = Home()
    home.press()
    home.run(900000)
    unanswered = home.events(k.CALL_UNANSWERED)
    times = [ms for ms, _, _ in unanswered]
    gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert [event[k.ATTEMPT] for _, _, event in unanswered] == list(range(1, len(unanswered) + 1))
    assert all(event[k.ALARM] == [1, 1] and event[k.DEVICE] == 1 for _, _, event in unanswered)
    assert 10000 <= times[0] <= 11000, times[0]
    assert all(9900 <= gap <= 10500 for gap in gaps[:28]), gaps
    assert all(59900 <= gap <= 60600 for gap in gaps[31:]), gaps
    assert home.lamp() == "unanswered"


def test_no_seq_is_spent_on_saying_it_to_nobody():
    home = Home()
    home.press()
    home.links[0].up = False
    seq = home.app.recorder.seq
    home.run(29000)  # before the link counts as lost
    assert home.app.recorder.seq <= seq + 1  # a heartbeat at most
    home.links[0].up = True
    home.run(2000)
    assert [event[k.ATTEMPT] for _, _, event in home.events(k.CALL_UNANSWERED)] == [1]


def test_one_call_unanswered_waits_at_most():
    home = Home(answer=False)
    home.press()
    home.run(120000)
    assert len(home.app.outbox.urgent) == 2  # the call and one call.unanswered
    assert len(home.events(k.CALL_UNANSWERED)) == 1


def test_presses_without_a_link_are_counted_and_survive_a_power_cut():
    home = Home()
    home.run(1000)
    home.links[0].up = False
    for _ in range(5):
        home.press()
    assert [held.name[1] for held in home.app.outbox.urgent] == [1, 2]
    home.link_names = ("mqtt",)
    home.reboot()
    assert home.lamp() == "unanswered"
    home.run(3000)
    calls = home.events(k.CALL)
    assert [(name, event.get(k.COUNT, 1)) for _, name, event in calls][:2] == [((1, 1), 1), ((1, 2), 1)]
    assert sum([event.get(k.COUNT, 1) for _, _, event in calls]) == 5
    assert all(event[k.ALARM] == [1, 1] for _, _, event in calls[1:])
    assert home.app.outbox.counts()[0] == 0


def test_press_after_acceptance_is_a_new_alarm():
    home = Home()
    home.press()
    home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.ACCEPTED})
    home.run(500)
    home.press()
    assert home.lamp() in ("heard", "stored")
    home.run(500)
    assert len([1 for _, _, event in home.events(k.CALL) if k.ALARM not in event]) == 2
    home.run(11000)
    assert home.lamp() == "unanswered"
    newest = home.events(k.CALL)[-1][1]
    assert {tuple(e[k.ALARM]) for _, _, e in home.events(k.CALL_UNANSWERED)} == {newest}
    home.tell(k.ALARM_IS, {k.NUMBER: 2, k.ALARM_NAME: list(newest), k.ALARM_STATE: k.ACCEPTED})
    home.run(500)
    assert home.lamp() == "accepted"
    home.reboot()
    assert home.lamp() == "accepted"
    for number, name in ((3, (1, 1)), (4, newest)):
        home.tell(k.ALARM_IS, {k.NUMBER: number, k.ALARM_NAME: list(name), k.ALARM_STATE: k.CLOSED})
    home.run(500)
    assert home.lamp() == "well"


def test_a_persons_answer_forgets_no_event():
    for state in (k.ACCEPTED, k.CLOSED):
        home = Home(answer=False)
        home.press()
        home.run(500)
        ((_, name, _),) = home.events(k.CALL)
        home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: list(name), k.ALARM_STATE: state})
        home.run(500)
        assert home.lamp() == ("accepted" if state == k.ACCEPTED else "well")
        home.reboot()
        home.run(500)
        assert home.lamp() == ("accepted" if state == k.ACCEPTED else "cannot_tell")
        home.heard.clear()
        home.answer = True
        home.run(15000)
        assert [event[1] for event in home.events(k.CALL)] == [name]
        assert not home.events(k.CALL_UNANSWERED)
        assert home.app.outbox.counts()[0] == 0
        rows = cbor.loads(store.read(hub_home.FOLDER + "/data/alarms"))
        assert len(rows) == (state == k.ACCEPTED)
        os.remove(hub_home.FOLDER + "/data/alarms")
        for folder in ("/data/urgent/", "/data/bulk/"):
            for file in os.listdir(hub_home.FOLDER + folder):
                os.remove(hub_home.FOLDER + folder + file)


def test_closing_an_unknown_alarm_keeps_its_event_and_does_not_open_it():
    home = Home(answer=False)
    home.press()
    home.app.alarms.alarms.clear()
    home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.CLOSED})
    home.tell(k.ALARM_IS, {k.NUMBER: 2, k.ALARM_NAME: [1, 77], k.ALARM_STATE: k.CLOSED})
    assert home.app.outbox.counts()[0] == 1
    home.reboot()
    home.run(300)
    assert home.lamp() == "cannot_tell"
    assert home.app.outbox.counts()[0] == 1


def test_one_call_unanswered_waits_at_most_over_reboots():
    home = Home(answer=False)
    home.press()
    home.run(12000)
    for _ in range(4):
        home.reboot()
        home.run(12000)
    assert len(home.app.outbox.urgent) == 2
    home.answer = True
    home.run(80000)
    assert [event[k.ATTEMPT] for _, _, event in home.events(k.CALL_UNANSWERED)][:3] == [1, 2, 3]


def test_more_alarms_than_are_kept():
    home = Home()
    home.press()
    for number in range(1, 41):
        name = [9, number]
        home.tell(k.ALARM_IS, {k.NUMBER: number, k.ALARM_NAME: name, k.ALARM_STATE: k.OPEN})
    for n in range(1, 200):
        home.app.alarms.alarms[0].extra[n] = 70000
    for alarm in home.app.alarms.alarms[1:]:
        alarm.attempts = 70000
        alarm.repeat = (70000, 70000)
    assert home.app.alarms.save()
    home.reboot()
    names = [alarm.name for alarm in home.app.alarms.alarms]
    assert names == [(1, 1)] + [(9, n) for n in range(1, 15)] + [(9, 40)]
    home.run(1000)
    assert sum([event.get(k.COUNT, 1) for _, _, event in home.events(k.CALL)]) == 1 + 199 * 70000
    home.tell(k.ALARM_IS, {k.NUMBER: 50, k.ALARM_NAME: [9, 3], k.ALARM_STATE: k.ACCEPTED})
    home.tell(k.ALARM_IS, {k.NUMBER: 51, k.ALARM_NAME: [9, 60], k.ALARM_STATE: k.OPEN})
    names = [alarm.name for alarm in home.app.alarms.alarms]
    assert (9, 3) not in names
    assert names[0] == (1, 1)
    assert names[-1] == (9, 60)
    real = cbor.dumps

    def fail(*args):
        raise cbor.CborError("size")

    cbor.dumps = fail
    try:
        assert not home.app.alarms.save()
    finally:
        cbor.dumps = real
    home.run(1000)
    assert not home.app.alarms.unsaved


def test_one_alarm_per_kind():
    home = Home()
    home.press()
    home.app.emit(k.SMOKE, {k.DEVICE: 9})
    home.app.emit(k.SMOKE, {k.DEVICE: 9})
    home.run(500)
    ((_, _, first), (_, _, again)) = home.events(k.SMOKE)
    assert k.ALARM not in first
    assert again[k.ALARM] == [1, 2]
    home.run(12000)
    assert {tuple(e[k.ALARM]) for _, _, e in home.events(k.CALL_UNANSWERED)} == {(1, 1), (1, 2)}
    home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.ACCEPTED})
    home.run(500)
    assert home.lamp() == "unanswered"


def test_lamp_says_unanswered_after_a_reboot():
    home = Home()
    home.press()
    home.run(1000)
    assert home.lamp() == "stored"
    home.reboot()
    assert home.lamp() == "unanswered"
    home.run(3000)
    assert home.events(k.CALL_UNANSWERED)[-1][1][0] == 2


def test_lamp_says_unanswered_when_power_went_before_the_alarm_was_noted():
    home = Home(answer=False)
    home.press()
    os.remove(hub_home.FOLDER + "/data/alarms")
    home.reboot()
    assert home.lamp() == "unanswered"
    assert [a.name for a in home.app.alarms.alarms] == [(1, 1)]


def test_lamp_says_unanswered_without_a_link():
    home = Home()
    home.run(1000)
    home.links[0].up = False
    home.run(11000)
    home.press()
    assert home.lamp() == "heard"
    home.run(2500)
    assert home.lamp() == "unanswered"


def test_lamp_says_unanswered_when_the_link_goes():
    home = Home()
    home.run(1000)
    home.press()
    assert home.lamp() in ("heard", "stored")
    home.links[0].up = False
    home.run(10500)
    assert home.lamp() == "unanswered"


def test_lamp_says_unanswered_when_the_host_is_silent():
    home = Home(answer=False)
    home.run(100)
    home.press()
    home.run(2500)
    assert home.lamp() == "unanswered"


def test_lamp_says_unanswered_when_receipts_come_late():
    home = Home(answer=False)
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    home.press()
    home.run(11000)
    home.tell(k.STORED, {k.SINGLE: [[1, 1]]})
    home.tell(k.DELIVERED, {k.SINGLE: [[1, 1]]})
    home.run(500)
    assert home.lamp() == "unanswered"


def test_lamp_says_unanswered_when_an_alarm_is_opened_again():
    home = Home()
    home.press()
    home.tell(k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.ACCEPTED})
    home.run(60000)
    assert home.lamp() == "accepted"
    assert not home.events(k.CALL_UNANSWERED)
    home.tell(k.ALARM_IS, {k.NUMBER: 2, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.OPEN})
    home.run(1000)
    assert home.lamp() == "unanswered"
    assert len(home.events(k.CALL_UNANSWERED)) == 1
    home.tell(k.ALARM_IS, {k.NUMBER: 3, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.CLOSED})
    home.tell(k.ALARM_IS, {k.NUMBER: 4, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.OPEN})
    home.run(500)
    assert home.lamp() == "unanswered"  # though this hub had forgotten it
    home.tell(k.ALARM_IS, {k.NUMBER: 5, k.ALARM_NAME: [1, 1], k.ALARM_STATE: k.CLOSED})
    home.run(500)
    assert home.lamp() == "well"


def test_well_needs_fresh_evidence():
    home = Home(config={"heartbeat": 60})
    assert home.lamp() in (None, "cannot_tell")
    home.run(2000)
    assert home.lamp() == "well"
    home.run(600000)
    assert home.lamp() == "well"
    home.answer = False
    home.run(3 * 66000 + 16000)
    assert home.lamp() == "cannot_tell"
    home.answer = True
    home.run(61000)
    assert home.lamp() == "well"


def test_silence_is_not_broken_by_what_cannot_be_opened():
    home = Home(answer=False)
    home.app.downlink.take(b"rubbish")
    home.app.downlink.take(Host(7).down(k.STORED, {k.UPTO: [[1, 0]]}))
    home.run(1000)
    assert home.lamp() == "cannot_tell"
