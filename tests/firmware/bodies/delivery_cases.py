"""The whole hub: what is kept and sent again, until a host has it."""

import hub_home
from fake_host import Host
from hub_home import Home

from kanhu_hub import store
from kanhu_protocol import kinds as k
from kanhu_protocol import seal


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
    with open(hub_home.FOLDER + "/data/urgent/0000000100000001", "r+b") as file:
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
