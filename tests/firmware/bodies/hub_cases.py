"""The whole hub on a fake board: inputs, flash and links are the test's."""

import asyncio
import os

from fake_board import Board, Nvs, Pin, Time, virtual
from fake_host import HUB, KEY, Host, Link

from kanhu_hub import app as app_module
from kanhu_hub import store
from kanhu_hub.app import App, NotProvisioned
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k

FOLDER = ""
BUTTON = 4
PIR = 13


class Home:
    """One hub through its boots, and the host it talks to."""

    def __init__(self, links=("mqtt",), config=None, answer=True, tick_start=0):
        settings = {"heartbeat": 300}
        settings.update(config or {})
        self.nvs = Nvs(hub_id=HUB.encode(), key=KEY, generation=1, config=cbor.dumps(settings))
        self.time = Time(tick_start)
        self.link_names = links
        self.answer = answer  # the host stores what it hears
        self.heard = []  # (ms, link, lane, (boot, seq), event)
        self.boots = 0
        self.start()

    def start(self):
        virtual(self.time)
        self.links = [Link(name) for name in self.link_names or ()]
        self.board = Board(self.nvs, self.time)
        self.board.pins[PIR] = Pin()  # a sensor that sees nothing
        self.began = self.time.ms
        self.app = App(self.board, FOLDER + "/data", self._make_links if self.link_names else None)
        self.boots += 1
        self.host = Host(self.nvs.values["boot"])
        self.host.epoch += self.boots

        async def begin():
            self.app.start()
            self._tasks = (
                asyncio.create_task(self._serve()),
                asyncio.create_task(self.app.supervisor.run()),
            )

        asyncio.run(begin())
        self.run(1)

    def _make_links(self, board, config, boot, clock):
        return self.links

    async def _serve(self):
        while True:
            for link in self.links:
                sent, link.sent = link.sent, []
                for lane, _, payload in sent:
                    names = []
                    for name, event in self.host.open(payload):
                        self.heard.append((self.time.ms - self.began, link.name, lane, name, event))
                        names.append(name)
                    if self.answer and names:
                        self.tell(k.STORED, {k.SINGLE: [list(name) for name in names]})
            await asyncio.sleep_ms(20)

    def run(self, ms):
        asyncio.run(self.time.sleep_ms(ms))

    def run_to_reset(self, ms):
        try:
            self.run(ms)
        except SystemExit:
            return
        raise AssertionError("no reset")

    def tell(self, kind, fields):
        self.app.downlink.take(self.host.down(kind, fields))

    def press(self, ms=200):
        self.board.pins[BUTTON].move(0)
        self.run(ms)
        self.board.pins[BUTTON].move(1)
        self.run(200)

    def lamp(self):
        return self.app.indicator.name

    def events(self, kind, link=None):
        """Each event once, in the order in which the host first heard it: (ms, name, event)."""
        seen = set()
        found = []
        for ms, via, _, name, event in self.heard:
            if event[k.KIND] == kind and name not in seen and link in (None, via):
                seen.add(name)
                found.append((ms, name, event))
        return found

    def reboot(self, ms=2000):
        self.time.ms += ms
        self.start()


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
    assert not store.read(FOLDER + "/data/alarms") or cbor.loads(store.read(FOLDER + "/data/alarms")) == []


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
        rows = cbor.loads(store.read(FOLDER + "/data/alarms"))
        assert len(rows) == (state == k.ACCEPTED)
        os.remove(FOLDER + "/data/alarms")
        for folder in ("/data/urgent/", "/data/bulk/"):
            for file in os.listdir(FOLDER + folder):
                os.remove(FOLDER + folder + file)


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
    os.remove(FOLDER + "/data/alarms")
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


def test_flash_failure_is_said_and_shown():
    home = Home(answer=False)
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    home.run(1000)
    real = store.append, store.replace
    sealed = []
    real_seal = seal.seal

    def fail(path, data):
        raise OSError(28)

    def counted(*args):
        sealed.append(args[3:7])
        return real_seal(*args)

    store.append = store.replace = fail
    seal.seal = counted
    first = home.app.recorder.seq
    try:
        home.press()
        assert home.lamp() == "not_saved"
        home.run(1000)
        ((_, name, event),) = home.events(k.CALL)
        assert k.FLAGS not in event
        ((_, full, event),) = home.events(k.STORAGE_FULL)
        assert event[k.DETAIL] == 2
        assert [row[2] for row in sealed if row[0] == seal.UP] == list(range(first, home.app.recorder.seq))
        seqs = [name[1] for _, _, _, name, _ in home.heard]
        assert sorted(set(seqs)) == list(range(home.app.recorder.seq))
        home.tell(k.STORED, {k.SINGLE: [[1, name[1], full[1]]]})
        home.run(200)
        assert home.lamp() == "stored"
    finally:
        store.append, store.replace = real
        seal.seal = real_seal
    home.run(60000)
    assert home.events(k.STORAGE_OK)
    home.reboot()
    home.run(2000)
    assert home.lamp() == "unanswered"  # the alarm was noted once flash worked again
    assert home.events(k.BOOT)[-1][2][k.PREVIOUS][0] == 1


def test_storage_full_pairs_with_its_restoral_and_loses_exactly_what_it_says():
    home = Home()
    outbox = home.app.outbox
    outbox._limit = 8192
    home.links[0].up = False
    home.run(100)
    first = home.app.recorder.seq
    for n in range(400):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.COUNT: 3, k.SPAN_MS: n})
        if n % 20 == 0:
            home.run(300)
    home.run(300)
    assert outbox.full
    assert outbox.drops[4] > 50
    home.links[0].up = True
    home.run(20000)
    lost = set()
    for _, _, event in home.events(k.EVENTS_LOST):
        assert event[k.DETAIL] == 1
        assert event.get(k.COUNT, 1) == sum([last - low + 1 for _, low, last in event[k.LOST]])
        for boot, low, last in event[k.LOST]:
            lost |= {(boot, seq) for seq in range(low, last + 1)}
    got = {name for _, _, _, name, _ in home.heard}
    assert not lost & got
    assert lost | got == {(1, seq) for seq in range(home.app.recorder.seq)}, first
    assert len(home.events(k.STORAGE_FULL)) == 1
    assert len(home.events(k.STORAGE_OK)) == 1


def test_call_goes_on_every_link_the_rest_on_the_first():
    home = Home(links=("mqtt", "serial"))
    home.run(2000)
    home.press()
    home.run(1000)
    assert len(home.events(k.CALL, "mqtt")) == len(home.events(k.CALL, "serial")) == 1
    assert home.events(k.BOOT, "mqtt")
    assert not home.events(k.BOOT, "serial")
    home.links[0].up = False
    home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.run(2000)
    assert home.events(k.DOOR_OPEN, "serial")
    assert not home.events(k.DOOR_OPEN, "mqtt")
    home.run(40000)
    ((_, _, event),) = home.events(k.LINK_LOST)
    assert event[k.DETAIL] == 1
    home.links[0].up = True
    home.run(2000)
    ((_, _, event),) = home.events(k.LINK_BACK)
    assert event[k.DETAIL] == 1
    assert 42000 <= event[k.SPAN_MS] <= 45000


def test_short_outage_is_no_fault():
    home = Home()
    home.run(1000)
    home.links[0].up = False
    home.run(25000)
    home.links[0].up = True
    home.run(60000)
    assert not home.events(k.LINK_LOST)
    assert not home.events(k.LINK_BACK)


def test_resent_byte_identical_until_stored_less_and_less_often():
    home = Home(answer=False)
    home.run(1000)
    home.press()
    home.run(200000)
    times = [ms for ms, _, _, name, _ in home.heard if name == (1, 1)]
    gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert [round(gap / 1000) for gap in gaps[:5]] == [10, 20, 40, 60, 60], gaps
    boot = [ms for ms, _, _, name, _ in home.heard if name == (1, 0)]
    assert len(boot) >= 4
    before = len([1 for _, _, _, name, _ in home.heard if name == (1, 1)])
    home.links[0].up = False
    home.run(1000)
    home.links[0].up = True
    home.run(1000)
    assert (
        len([1 for _, _, _, name, _ in home.heard if name == (1, 1)]) == before + 1
    )  # at once on a new connection
    events = [event for _, _, _, name, event in home.heard if name == (1, 1)]
    assert all(event == events[0] for event in events)


def test_window_of_bulk_and_calls_past_it():
    home = Home(answer=False)
    home.tell(k.STORED, {k.UPTO: [[1, 0]]})
    for n in range(100):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
    home.run(5000)
    names = {name for _, _, lane, name, _ in home.heard if lane == 1 and name[1] > 0}
    assert len(names) == 16
    home.press()
    home.app.emit(k.WATER_LEAK, {k.DEVICE: 3})
    home.app.emit(k.TAMPER, {k.DEVICE: 3})
    home.run(200)
    assert len(home.events(k.CALL)) == 1
    assert len(home.events(k.WATER_LEAK)) == 1
    assert len(home.events(k.TAMPER)) == 1
    home.answer = True
    home.run(40000)
    assert home.app.outbox.counts() == [0, 0]
    assert len(home.events(k.MOTION_COUNT)) == 100


def test_backlog_drains_in_batches_p2_before_p5():
    home = Home()
    home.run(500)
    home.links[0].up = False
    for n in range(300):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
    home.app.emit(k.WATER_LEAK, {k.DEVICE: 3})
    home.run(2000)
    home.links[0].up = True
    started = home.time.ms
    home.press()
    home.run(20000)
    order = [
        event[k.KIND]
        for _, _, _, _, event in home.heard
        if event[k.KIND] in (k.MOTION_COUNT, k.WATER_LEAK, k.CALL)
    ]
    assert order.index(k.WATER_LEAK) < order.index(k.MOTION_COUNT)
    assert order.index(k.CALL) < 40
    spans = [event[k.SPAN_MS] for _, _, event in home.events(k.MOTION_COUNT)]
    assert spans == list(range(300))
    assert len(home.heard) == len({name for _, _, _, name, _ in home.heard})
    assert home.app.outbox.counts() == [0, 0]
    assert home.time.ms - started < 30000


def test_events_a_host_never_stores_do_not_block_the_others():
    home = Home(answer=False)
    for n in range(40):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
    home.run(400000)
    assert len(home.events(k.MOTION_COUNT)) == 40
    assert len(home.app.outbox.flight) <= 16 + 24
    home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.run(500)
    assert home.events(k.DOOR_OPEN)
    for n in range(12):
        home.app.alarms._recorder.record(k.FALL, {k.ALARM: (9, n)})
    home.run(120000)
    assert len(home.events(k.FALL)) == 12


def test_everything_is_said_again_when_a_host_is_back():
    def heard(home):
        return {event[k.SPAN_MS] for _, _, event in home.events(k.MOTION_COUNT)}

    for back in ("answers", "connects", "greets"):
        home = Home(answer=False)
        home.run(100)
        home.app.emit(k.WATER_LEAK, {k.DEVICE: 3})
        for n in range(150):
            home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
        home.run(400000)
        assert len(home.app.outbox.flight) <= 24
        home.heard.clear()
        home.answer = True
        if back == "connects":
            home.links[0].up = False
            home.run(600)
            home.links[0].up = True
        elif back == "greets":
            home.links[0].greetings = 1
        home.run(60000 if back == "answers" else 8000)
        assert heard(home) == set(range(150)), back
        assert len(home.events(k.WATER_LEAK)) == 1
        assert home.app.outbox.counts() == [0, 0]


def test_events_refused_for_long_are_stored_in_the_end():
    home = Home()
    home.run(500)
    refused = []
    open_all = home.host.open

    def open_some(payload):
        found = open_all(payload)
        refused.extend([1 for name, event in found if event.get(k.DEVICE) == 9])
        return [(name, event) for name, event in found if event.get(k.DEVICE) != 9]

    home.host.open = open_some
    for _ in range(20):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 9})
    for _ in range(60):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
        home.run(10000)
    assert len(home.events(k.DOOR_OPEN)) >= 50, len(home.events(k.DOOR_OPEN))  # the others come all the same
    assert 100 < len(refused) < 700, len(refused)
    home.host.open = open_all
    home.run(420000)
    assert len(home.events(k.DOOR_OPEN)) == 80
    assert home.app.outbox.counts() == [0, 0]


class Flaky:
    """open() of the modules given, with some files unreadable or with a flipped bit on one reading."""

    def __init__(self, *modules):
        self.modules = modules
        self.failing = ""
        self.flips = 0
        for module in modules:
            module.open = self.open

    def open(self, path, mode="r"):
        if self.failing and self.failing in path and mode == "rb":
            raise OSError(5)
        file = open(path, mode)  # noqa: SIM115 (the caller closes it)
        if self.flips and mode == "rb":
            self.flips -= 1
            return _Flipped(file)
        return file

    def end(self):
        for module in self.modules:
            del module.open


class _Flipped:
    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def read(self):
        raw = bytearray(self.file.read())
        raw[len(raw) // 2] ^= 4
        return bytes(raw)

    def readinto(self, view):
        count = self.file.readinto(view)
        view[count // 2] ^= 4
        return count


def test_call_that_cannot_be_read_now_is_sent_later():
    home = Home()
    home.links[0].up = False
    home.press()
    flaky = Flaky(store)
    try:
        flaky.failing = "/urgent/"
        home.links[0].up = True
        home.run(20000)
        assert not home.events(k.CALL)
        assert home.app.outbox.counts()[0] >= 1
        home.tell(k.REQUEST_MISSING, {k.NUMBER: 5, k.RANGES: [[1, 1, 1]]})
        home.run(1000)
        assert not home.events(k.EVENTS_LOST)
        home.reboot()
        home.run(6000)
        assert not home.events(k.CALL)
        flaky.failing = ""
        flaky.flips = 1
        home.run(6000)
        assert [name for _, name, _ in home.events(k.CALL)] == [(1, 1)]
        assert home.app.outbox.corrupt == 0
    finally:
        flaky.end()
    home.run(3000)
    assert home.app.outbox.counts() == [0, 0]


def test_call_that_flash_has_lost_is_said_to_be_lost():
    home = Home()
    home.links[0].up = False
    home.press()
    with open(FOLDER + "/data/urgent/0000000100000001", "r+b") as file:
        file.write(b"\0")
    home.links[0].up = True
    home.run(6000)
    assert home.app.outbox.corrupt == 1
    home.tell(k.REQUEST_MISSING, {k.NUMBER: 5, k.RANGES: [[1, 1, 1]]})
    home.run(1000)
    ((_, _, event),) = home.events(k.EVENTS_LOST)
    assert event[k.LOST] == [[1, 1, 1]]
    assert event[k.DETAIL] == 2


def test_segment_that_cannot_be_read_now_is_sent_later():
    from kanhu_hub import bulk

    home = Home(answer=False)
    home.links[0].up = False
    for n in range(120):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
    flaky = Flaky(bulk)
    try:
        flaky.failing = "/bulk/00000001"
        home.reboot()
        home.answer = True
        home.run(20000)
        some = len(home.events(k.MOTION_COUNT))
        assert 0 < some < 120
        home.tell(k.REQUEST_MISSING, {k.NUMBER: 5, k.RANGES: [[1, 0, 100]]})
        home.run(1000)
        assert not home.events(k.EVENTS_LOST)
        flaky.failing = ""
        flaky.flips = 1
        home.run(400000)
    finally:
        flaky.end()
    assert len(home.events(k.MOTION_COUNT)) == 120
    assert not home.events(k.EVENTS_LOST)


def test_one_bad_reading_loses_nothing():
    from kanhu_hub import bulk

    home = Home()
    home.run(500)
    home.links[0].up = False
    for n in range(30):
        home.app.emit(k.MOTION_COUNT, {k.DEVICE: 2, k.SPAN_MS: n})
    flaky = Flaky(bulk)
    try:
        flaky.flips = 1
        home.links[0].up = True
        home.run(3000)
        assert len(home.events(k.MOTION_COUNT)) == 30
        flaky.flips = 1
        home.tell(k.REQUEST_MISSING, {k.NUMBER: 5, k.RANGES: [[1, 0, 12]]})
        home.run(1000)
    finally:
        flaky.end()
    assert not home.events(k.EVENTS_LOST)


def test_lost_send_is_repeated():
    home = Home()
    home.links[0].fail_next = 3
    home.run(20000)
    assert len(home.events(k.BOOT)) == 1


def test_everything_unstored_is_said_again_after_a_reboot():
    home = Home(answer=False)
    home.run(500)
    for _ in range(60):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.run(1000)
    home.heard.clear()
    home.answer = True
    home.reboot()
    home.run(5000)
    assert {name for _, _, _, name, _ in home.heard} >= {(1, seq) for seq in range(61)}
    assert home.app.outbox.counts() == [0, 0]


def test_boot_event_goes_first_and_stale_receipts_are_made_good():
    home = Home(answer=False)
    for _ in range(70):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.press()
    home.run(500)
    before = len(home.heard)
    home.reboot()
    home.host.boot = 1  # the host does not know of the new boot and seals for the old one
    home.answer = True
    home.run(300)
    assert next(name for _, _, lane, name, _ in home.heard[before:] if lane == 1) == (2, 0)
    assert home.app.downlink.refused[1] > 0
    assert home.app.outbox.counts()[0] >= 1
    home.host.boot = 2
    home.run(4000)  # far sooner than the 10 s without any receipt
    assert home.app.outbox.counts() == [0, 0]
    assert not home.app.outbox.first_due
    # A message of the last boot that somebody repeats changes nothing any more.
    home.answer = False
    home.heard.clear()
    home.press()
    for _ in range(12):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.run(1000)
    refused = home.app.downlink.refused[1]
    replay = Host(1).down(k.STORED, {k.UPTO: [[1, 5]]})
    for _ in range(8):
        home.app.downlink.take(replay)
        home.run(1000)
    for name in {name for _, _, _, name, event in home.heard if event.get(k.DEVICE) and name[0] == 2}:
        assert len([1 for _, _, _, other, _ in home.heard if other == name]) == 1
    assert home.app.downlink.refused[1] == refused + 8


def test_request_for_missing_events():
    home = Home()
    home.run(500)
    for _ in range(100):
        home.app.emit(k.DOOR_OPEN, {k.DEVICE: 7})
    home.run(5000)
    held = sorted([(b, s) for _, b, s, _ in home.app.outbox.events(lambda boot, seq: True)])
    assert home.app.outbox.counts() == [0, 0]
    assert 0 < len(held) < 90
    low = held[0][1]
    home.heard.clear()
    home.tell(k.REQUEST_MISSING, {k.NUMBER: 5, k.RANGES: [[1, low - 4, low + 3], [1, 1000, 2000], [9, 0, 4]]})
    home.run(1000)
    assert [name for _, name, _ in home.events(k.DOOR_OPEN)] == [(1, low + i) for i in range(4)]
    ((_, _, event),) = home.events(k.EVENTS_LOST)
    assert event[k.LOST] == [[1, low - 4, low - 1]]
    assert event[k.COUNT] == 4
    assert event[k.DETAIL] == 2
    assert [event[k.COMMAND] for _, _, event in home.events(k.COMMAND_DONE)] == [5]
    assert home.app.outbox.counts() == [0, 0]


def test_down_messages_are_counted_when_refused():
    home = Home(answer=False)
    take = home.app.downlink.take
    good = home.host.down(k.PING, {k.NUMBER: 1})
    take(good)
    assert home.app.downlink.refused == [0, 0, 0]
    take(good)
    assert home.app.downlink.refused == [0, 1, 0]
    other = Host(home.host.boot + 1)
    other.epoch = 5000
    take(other.down(k.PING, {k.NUMBER: 2}))
    old = Host(home.host.boot)
    old.epoch = 1
    take(old.down(k.PING, {k.NUMBER: 3}))
    assert home.app.downlink.refused == [0, 3, 0]
    whole = home.host.down(k.PING, {k.NUMBER: 4})
    for cut in range(len(whole)):
        take(whole[:cut])
    assert home.app.downlink.refused[:2] == [0, 3]
    assert home.app.downlink.refused[2] == len(whole)
    before = sum(home.app.downlink.refused)
    for at in range(len(whole)):
        for bit in range(8):
            broken = bytearray(whole)
            broken[at] ^= 1 << bit
            take(bytes(broken))
    assert sum(home.app.downlink.refused) == before + 8 * len(whole)
    take(whole)
    home.run(500)
    assert [event[k.COMMAND] for _, _, event in home.events(k.COMMAND_DONE)] == [1, 4]
    assert home.app.downlink.last == (home.host.epoch, home.host.counter)


def test_commands_that_make_no_sense_are_refused():
    from fake_host import AEAD

    home = Home()
    for fields in (
        {k.TYPE: 99, k.NUMBER: 7},
        {k.TYPE: k.ALARM_IS, k.NUMBER: 8},
        {k.TYPE: k.STORED},
        [1, 2],
        {0: True},
    ):
        home.host.counter += 1
        plain = cbor.dumps(fields)
        take = home.app.downlink.take
        take(seal.seal(AEAD, 1, HUB, seal.DOWN, home.host.boot, home.host.epoch, home.host.counter, plain))
    home.run(500)
    refused = [(event[k.COMMAND], event[k.DETAIL]) for _, _, event in home.events(k.COMMAND_REFUSED)]
    assert refused == [(7, 1), (8, 2)]
    assert home.app.downlink.refused == [0, 0, 5]


def test_device_table_is_taken_when_newer():
    home = Home()
    table = [[3, 1, b"\xa4\xc1\x38\x00\x00\x01", 3600], [4, 2, b"\xa4\xc1\x38\x00\x00\x02", 0]]
    home.tell(k.DEVICES, {k.NUMBER: 1, k.VERSION_OF: 2, k.TABLE: table})
    assert home.app.devices.all() == table
    home.tell(k.DEVICES, {k.NUMBER: 2, k.VERSION_OF: 1, k.TABLE: []})
    home.reboot()
    home.run(500)
    assert home.app.devices.version == 2
    assert home.app.devices.all() == table
    assert home.events(k.BOOT)[-1][2][k.VERSIONS] == [0, 2]
    with open(FOLDER + "/data/devices", "r+b") as file:
        file.write(b"\0")
    home.reboot()
    assert home.app.devices.version == 0
    assert home.app.devices.all() == []


def test_time_from_the_host():
    home = Home()
    home.run(1000)
    utc = 1795292752000
    home.tell(k.TIME, {k.NUMBER: 1, k.TIME_MS: utc})
    home.run(500)
    ((_, _, event),) = home.events(k.CLOCK_SET)
    assert event[k.UTC_MS] == utc
    assert event[k.CLOCK] == 2
    assert home.board.rtc == utc
    home.tell(k.TIME, {k.NUMBER: 2, k.TIME_MS: utc + 700})
    home.run(500)
    assert [event[k.COMMAND] for _, _, event in home.events(k.COMMAND_DONE)] == [2]
    home.press()
    home.run(500)
    _, _, event = home.events(k.CALL)[-1]
    assert event[k.UTC_MS] - event[k.UP_MS] == utc - 1001 + home.began, event
    home.tell(
        k.TIME, {k.NUMBER: 3, k.TIME_MS: utc - 400000}
    )  # above the floor? No: the first host time raised it
    home.run(1000)
    assert [event[k.DETAIL] for _, _, event in home.events(k.CLOCK_FAULT)] == [3]
    home.tell(k.TIME, {k.NUMBER: 4, k.TIME_MS: utc + 5000})
    home.run(1000)
    assert len(home.events(k.CLOCK_OK)) == 1
    home.tell(k.TIME, {k.NUMBER: 5, k.TIME_MS: utc + 4000000})
    home.run(1000)
    assert [event[k.DETAIL] for _, _, event in home.events(k.CLOCK_FAULT)] == [3, 2]
    home.reboot()
    home.tell(k.TIME, {k.NUMBER: 6, k.TIME_MS: utc - 1})
    assert home.app.clock.source is None  # the floor outlives a reboot


def test_clock_never_set_is_a_fault():
    home = Home()
    home.run(590000)
    assert not home.events(k.CLOCK_FAULT)
    home.run(20000)
    assert [event[k.DETAIL] for _, _, event in home.events(k.CLOCK_FAULT)] == [1]
    home.tell(k.TIME, {k.NUMBER: 1, k.TIME_MS: 1795292752000})
    home.run(1000)
    assert len(home.events(k.CLOCK_OK)) == 1


def test_up_time_survives_the_wrap_of_ticks():
    home = Home(tick_start=(1 << 30) - 30000, config={"heartbeat": 3600})
    home.run(20000)
    home.press()
    home.run(60000)
    home.press()
    home.run(1000)
    first, again = home.events(k.CALL)
    assert 20000 <= first[2][k.UP_MS] <= 20500, first
    assert 80000 <= again[2][k.UP_MS] <= 81500, again
    for _ in range(60):  # two more wraps
        home.time.ms += 12 * 3600000
        home.run(1000)
    ups = [event[k.UP_MS] for _, _, event in home.events(k.HEARTBEAT)]
    assert len(ups) >= 60
    assert ups == sorted(ups)
    assert ups[-1] > 29 * 24 * 3600000


def test_heartbeat_says_everything_with_jitter():
    home = Home(config={"heartbeat": 300, "version": 12})
    home.run(6000)
    ((ms, _, event),) = home.events(k.HEARTBEAT)
    assert 5000 <= ms <= 5600
    keys = (
        k.HEAP,
        k.RESET,
        k.LINK,
        k.RSSI,
        k.OUTBOX,
        k.DROPS,
        k.RADIO,
        k.FIRMWARE,
        k.POWER,
        k.VERSIONS,
        k.DOWNLINK,
        k.REFUSED,
    )
    assert all(key in event for key in keys)
    assert k.FAULTS not in event
    assert event[k.LINK] == 1
    assert event[k.RSSI] == -50
    assert event[k.VERSIONS] == [12, 0]
    assert event[k.HEAP][0] >= event[k.HEAP][1] > 0
    assert event[k.OUTBOX] == [0, 0]
    limits = []
    for value in range(256):
        home.board.rng.getrandbits = lambda bits, value=value: value
        home.app.heartbeat._due_ms = 0
        home.app.heartbeat.tick()
        limits.append(home.app.heartbeat._due_ms - home.app.clock.now_ms())
    assert 269000 <= min(limits) <= 272000
    assert 328000 <= max(limits) <= 331000


def test_heartbeat_counts_what_went_wrong_inside():
    class Radio:
        overflows = 7

        def start(self):
            raise OSError(5)

        def report(self):
            return [0, 0]

        async def heard(self):
            await asyncio.sleep_ms(100000)

    Board.radio = Radio()
    try:
        home = Home()
        home.app.supervisor.crashes = 2
        home.app.outbox.corrupt = 3
        home.app.outbox.bulk.corrupt = 1
        home.run(6000)
    finally:
        Board.radio = None
    ((_, _, event),) = home.events(k.HEARTBEAT)
    assert event[k.FAULTS] == [2, 7, 4]
    ((_, _, event),) = home.events(k.LINE_FAULT)
    assert k.DEVICE not in event


def test_mains_lost_and_back():
    home = Home(config={"mains": 7})
    pin = home.board.pins[7]
    pin.level = 1
    home.run(10000)
    assert not home.events(k.MAINS_BACK)  # nothing was said to be lost
    for _ in range(5):  # flickers
        pin.level = 0
        home.run(3000)
        pin.level = 1
        home.run(3000)
    assert not home.events(k.MAINS_LOST)
    pin.level = 0
    home.run(10000)
    ((_, _, event),) = home.events(k.MAINS_LOST)
    assert event[k.POWER] == [False, None]
    assert home.app.state()[k.POWER] == [False, None]
    home.reboot()
    home.run(10000)
    assert len(home.events(k.MAINS_LOST)) == 1  # known already
    assert home.app.state()[k.POWER] == [False, None]
    home.reboot(3600000)
    home.board.pins[7].level = 1  # back while the hub was down
    home.run(10000)
    assert [name[0] for _, name, _ in home.events(k.MAINS_BACK)] == [3]
    home.reboot()
    home.board.pins[7].level = 1
    home.run(10000)
    assert len(home.events(k.MAINS_BACK)) == 1


def test_fault_shows_until_its_restoral():
    home = Home()
    home.run(1000)
    home.app.emit(k.LINE_FAULT, {k.DEVICE: 1, k.DETAIL: 1})
    home.run(300)
    assert home.lamp() == "fault"
    home.app.emit(k.LINE_OK, {k.DEVICE: 2})
    home.run(300)
    assert home.lamp() == "fault"
    home.press()
    assert home.lamp() != "fault"
    home.tell(
        k.ALARM_IS, {k.NUMBER: 1, k.ALARM_NAME: list(home.events(k.CALL)[0][1]), k.ALARM_STATE: k.CLOSED}
    )
    home.app.emit(k.LINE_OK, {k.DEVICE: 1})
    home.run(300)
    assert home.lamp() == "well"


def test_not_provisioned_is_one_clear_line():
    for values in ({}, {"hub_id": b"hub0000001"}, {"hub_id": b"hub0000001", "key": b"short"}):
        said = ""
        try:
            App(Board(Nvs(**values)), FOLDER + "/data")
        except NotProvisioned as error:
            said = str(error)
        assert said == "not provisioned: see docs/wiring.md"


def test_a_wrong_pin_costs_nothing_but_its_own_input():
    real = Board.input, Board.output

    def put_in(board, number, *args):
        if number > 48:
            raise ValueError("invalid pin")
        return real[0](board, number, *args)

    def put_out(board, number):
        if number > 48:
            raise ValueError("invalid pin")
        return real[1](board, number)

    Board.input, Board.output = put_in, put_out
    try:
        pins = {"buttons": [[3, 99], [1, BUTTON]], "pirs": [[2, 77]], "lamp": 88, "mains": 99}
        home = Home(config=pins)
        home.run(1000)
        faults = home.events(k.LINE_FAULT)
        assert [event.get(k.DEVICE, 0) for _, _, event in faults] == [0, 3, 2]
        assert all(event[k.DETAIL] == 1 for _, _, event in faults)
        assert home.lamp() == "fault"
        assert home.board.pins[15].level == 0
        home.press()
        home.run(500)
        assert [event[k.DEVICE] for _, _, event in home.events(k.CALL)] == [1]
        assert home.app.state()[k.POWER] == [True, None]
    finally:
        Board.input, Board.output = real


def test_boot_counter_that_nvs_does_not_take_stands_on_flash():
    home = Home(answer=False, config={"mains": 7})
    home.press()
    home.run(500)
    last = home.app.recorder.seq - 1
    home.nvs.failing = True
    for boot in (2, 3, 4):
        home.reboot()
        assert home.app.recorder.boot == boot
        if boot == 2:
            # The oldest events are stored: that writes no lower boot than this one to flash.
            home.host.boot = 2
            home.tell(k.STORED, {k.UPTO: [[1, last]]})
            home.tell(k.TIME, {k.NUMBER: 1, k.TIME_MS: 1795292752000})
            home.board.pins[7].level = 0
            home.run(8000)
            assert not home.app.faults.mains
            assert home.app.supervisor.crashes == 0
        home.press()
        home.run(500)
    home.nvs.failing = False
    home.reboot()
    assert home.nvs.values["boot"] == 5
    home.answer = True
    home.run(15000)
    assert {name[0] for _, _, _, name, _ in home.heard} == {1, 2, 3, 4, 5}
    # Nothing at all can be written: no identity, so no hub until the next try.
    home.nvs.failing = True
    real, store.replace = store.replace, home.nvs.set_i32
    try:
        home.reboot()
        raise AssertionError("an identity out of nothing")
    except OSError:
        pass
    finally:
        store.replace = real


def test_crashed_task_starts_again_and_five_times_is_enough():
    home = Home()
    runs = []

    async def bad(beat):
        runs.append(home.time.ms)
        await asyncio.sleep_ms(10)
        raise ValueError("broken")

    home.app.supervisor.add("bad", bad, 1000)
    home.run(10000)
    assert len(runs) == 4
    assert home.board.resets == 0
    home.press()
    home.run(300)
    assert home.events(k.CALL)
    home.run_to_reset(20000)
    assert home.board.resets == 1
    assert home.nvs.values["reset"] == 6
    home.reboot()
    home.run(500)
    assert home.events(k.BOOT)[-1][2][k.RESET] == 6


def test_out_of_memory_resets():
    home = Home()

    async def hungry():
        raise MemoryError

    home.app.supervisor.add("hungry", hungry, 0)
    home.run_to_reset(100)
    assert home.board.resets == 1
    assert home.nvs.values["reset"] == 8


def test_stalled_task_stops_the_feeding():
    home = Home()

    async def lazy(beat):
        await asyncio.sleep_ms(100000)
        beat()
        await asyncio.sleep_ms(100000)

    home.app.supervisor.add("lazy", lazy, 30000)
    home.run(29000)
    feeds = home.board.feeds
    assert feeds >= 28
    home.run(30000)
    assert home.board.feeds <= feeds + 3
    assert home.nvs.values["reset"] == 7
    home.run(60000)
    assert home.board.feeds > feeds + 10
    assert home.nvs.values["reset"] == 0
