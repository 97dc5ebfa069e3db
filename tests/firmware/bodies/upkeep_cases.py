"""The whole hub: commands, clock, heartbeat, faults, and tasks that stop."""

import asyncio

import hub_home
from fake_board import Board, Nvs
from fake_host import HUB, Host
from hub_home import BUTTON, Home

from kanhu_hub import store
from kanhu_hub.app import App, NotProvisioned
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k


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
    with open(hub_home.FOLDER + "/data/devices", "r+b") as file:
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
            App(Board(Nvs(**values)), hub_home.FOLDER + "/data")
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
