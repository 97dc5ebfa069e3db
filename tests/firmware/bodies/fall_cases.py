"""Care at the hub: suspected falls."""

from care_home import Home, answer, ask, fall, key, names, said

from kanhu_hub import store
from kanhu_protocol import kinds as k


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
