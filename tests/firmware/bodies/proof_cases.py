"""Care at the hub: the daily test call, sent and answered."""

import fake_board
import hub_home
from care_home import UTC_MS, Home, loaded, names, said
from fake_host import HUB

from kanhu_hub import proof
from kanhu_protocol import kinds as k


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
    config = {"proof": 20, "buttons": [[1, 4, None]], "pirs": []}
    home = hub_home.Home(links=("mqtt", "serial"), config=config)
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
