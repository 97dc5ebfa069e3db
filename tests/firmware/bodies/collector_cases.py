"""The collector over a scripted central and virtual time: what a session makes of what a monitor does."""

import asyncio
import os
import sys

from fake_board import Nvs, Time, virtual

from kanhu_hub import store
from kanhu_hub.clock import HOST, Clock
from kanhu_hub.devices import Devices
from kanhu_hub.inputs.monitors.bonds import Bonds
from kanhu_hub.inputs.monitors.collector import Collector
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

FOLDER = ""
UTC = 1795292752000
A, B = b"\xf0\xf1\xf2\xf3\xf4\x0b", b"\xf0\xf1\xf2\xf3\xf4\x0c"
CUFF, STRAP = 11, 12
CONTROL, RECORD = 9, 5  # value handles
PRESSURE = b"\x00\x78\x00\x50\x00\xff\x07"
ENOTCONN = 107


class Link:
    """A connection to a monitor with one characteristic; a subclass says what it does."""

    number = 0x2A35
    status = 0  # of a write
    pairs = True

    def __init__(self, world):
        self.world = world
        self.encrypted = self.gone = False
        self.heard = []
        self.missed = 0
        self.news = asyncio.Event()
        self.written = []
        self.made_ms = world.time.ms
        world.links.append(self)

    def uuid(self, number):
        return number

    async def _step(self):
        await asyncio.sleep_ms(50)
        if self.gone:
            raise OSError(ENOTCONN)

    async def service(self, number, ms):
        await self._step()
        return None if number in (0x180A, 0x180F, 0x1805) else (1, 10)

    async def characteristics(self, first, last, ms):
        await self._step()
        return [(RECORD, RECORD + 1, self.number)]

    async def write(self, handle, data, ms):
        await self._step()
        if self.status and not self.encrypted:
            return self.status
        self.written.append((handle, data))
        return 0

    async def pair(self, ms):
        await self._step()
        self.encrypted = self.pairs
        return self.encrypted

    def says(self, data, handle=RECORD):
        self.heard.append((handle, data))
        self.news.set()

    def leave(self):
        self.end()

    def end(self):
        self.gone = True
        self.news.set()


class World:
    """A collector, its clock, and the monitors' links as `make` makes them."""

    def __init__(self, make, *table, zone_s=28800):
        self.time = Time()
        virtual(self.time)
        self.make = make
        self.links = []
        self.events = []
        self.watched = {}
        self.connecting = False
        self.pairing = None
        self.clock = Clock(self, Nvs())
        self.devices = Devices(FOLDER + "/devices")
        self.devices.replace(self.devices.version + 1, [[n, role, one, 0] for n, role, one in table], zone_s)
        self.board = self
        self.radio = self
        self.collector = Collector(self, self.drop)

    ticks_ms = property(lambda self: self.time.ticks_ms)
    ticks_diff = property(lambda self: self.time.ticks_diff)
    sleep_ms = property(lambda self: self.time.sleep_ms)

    def set_rtc(self, utc_ms):
        pass

    def drop(self, *names):
        for name in names:
            del sys.modules[name]

    def central(self, secrets):
        return self

    async def run(self):
        await asyncio.sleep_ms(1 << 29)

    async def connect(self, address_type, address, ms):
        await asyncio.sleep_ms(50)
        return self.make(self) if self.make else None

    def emit(self, kind, fields):
        self.events.append((kind, fields))
        return True

    def of(self, kind):
        return [fields for one, fields in self.events if one == kind]

    def live(self, ms, heard=(A,), script=None):
        """That long, with the monitors of those addresses advertising while they have no connection."""

        async def life():
            collector = asyncio.create_task(self.collector.run())
            told = asyncio.create_task(script(self)) if script else None
            for _ in range(ms // 100):
                await asyncio.sleep_ms(100)
                for address in heard:
                    if address in self.watched:
                        self.watched[address](0, b"\x02\x01\x06")
            collector.cancel()
            if told:
                told.cancel()

        asyncio.run(life())


def test_one_that_ends_the_link_three_times_is_a_fault_said_once_and_tried_ever_less():
    class Dropping(Link):
        async def write(self, handle, data, ms):
            self.end()
            await self._step()

    world = World(Dropping, (3, CUFF, A))
    world.live(600_000)
    assert [(one[k.DEVICE], one[k.DETAIL]) for one in world.of(k.MONITOR_FAULT)] == [(3, 3)]
    assert 10 < len(world.links) < 25, len(world.links)
    assert world.links[3].made_ms < 6000  # it may be awake for seconds only


def test_one_that_hangs_is_left_and_a_fault_after_three_times():
    class Hanging(Link):
        async def characteristics(self, first, last, ms):
            await asyncio.wait_for_ms(self.news.wait(), ms)

    world = World(Hanging, (3, CUFF, A))
    world.live(30_000)
    assert [one[k.DETAIL] for one in world.of(k.MONITOR_FAULT)] == [3]
    assert all(link.gone for link in world.links[:-1])


def test_one_without_the_profile_or_with_nonsense_is_not_understood_and_well_again():
    class Odd(Link):
        number = 0x2A37

    class Babbling(Link):
        async def write(self, handle, data, ms):
            self.says(b"\x00\x78")
            return 0

    class Good(Link):
        async def write(self, handle, data, ms):
            self.says(PRESSURE)
            return 0

    world = World(Odd, (3, CUFF, A))
    world.live(10_000)
    assert [one[k.DETAIL] for one in world.of(k.MONITOR_FAULT)] == [4]
    world.make = Babbling
    world.live(90_000)
    assert len(world.events) == 1
    world.make = Good
    world.live(90_000)
    assert [kind for kind, _ in world.events[:3]] == [k.MONITOR_FAULT, k.MONITOR_OK, k.VITALS]
    assert world.of(k.VITALS)[0][k.VALUES][0] == [150021, 120, 0]


def test_a_stream_is_said_once_a_minute_with_its_newest_valid_value():
    class Strap(Link):
        number = 0x2A37

    async def worn(world):
        while not world.links:
            await asyncio.sleep_ms(100)
        await asyncio.sleep_ms(2000)
        link = world.links[0]
        for second in range(150):
            # It loses the skin for a second now and then, and for the last 20 s.
            link.says(b"\x04\x00" if second % 7 == 0 or second >= 130 else bytes((6, 60 + second % 100)))
            await asyncio.sleep_ms(1000)
        link.end()

    world = World(Strap, (3, STRAP, A))
    world.live(160_000, script=worn)
    said = [one[k.VALUES][0][1] for one in world.of(k.VITALS)]
    assert said == [60 + 10, 60 + 69, 60 + 29], said  # after 10 s, a minute, and the last valid one
    assert not world.of(k.MONITOR_FAULT)


def test_a_fifth_monitor_gets_a_connection_from_the_one_that_has_had_it_longest():
    class Idle(Link):
        number = 0x2A37

        async def write(self, handle, data, ms):
            self.task = asyncio.create_task(self.stream())
            return 0

        async def stream(self):
            while not self.gone:
                self.says(b"\x06\x48")
                await asyncio.sleep_ms(1000)

    table = [(n, STRAP, A[:5] + bytes((n,))) for n in range(1, 6)]
    world = World(Idle, *table)
    world.live(100_000, [row[2] for row in table])
    assert {one[k.DEVICE] for one in world.of(k.VITALS)} == {1, 2, 3, 4, 5}
    open_links = 0
    for link in world.links:
        open_links += not link.gone
    assert open_links <= 4
    assert not world.of(k.MONITOR_FAULT)


def test_an_old_measurement_is_historical_and_a_clock_is_set_only_when_the_hub_knows_the_time():
    class Clocked(Link):
        async def characteristics(self, first, last, ms):
            return [(RECORD, RECORD + 1, self.number), (CONTROL, CONTROL, 0x2A08)]

        async def read(self, handle, ms):
            return 0, b"\xea\x07\x0b\x15\x0a\x00\x00"  # 2026-11-21 10:00:00

        async def write(self, handle, data, ms):
            self.written.append((handle, data))
            if handle == CONTROL or not self.world.clock.source:
                for minute in (30, 59):
                    self.says(b"\x02" + PRESSURE[1:] + b"\xea\x07\x0b\x15\x09" + bytes((minute, 0)))
                self.end()
            return 0

    world = World(Clocked, (3, CUFF, A))
    world.live(2000)
    assert not any(handle == CONTROL for link in world.links for handle, _ in link.written)
    assert all(k.CLOCK_OFFSET_S not in one for one in world.of(k.VITALS))
    world = World(Clocked, (3, CUFF, A))
    world.clock.set(UTC, HOST)
    world.live(1000)
    assert [one.get(k.FLAGS, 0) for one in world.of(k.VITALS)] == [k.HISTORICAL, 0]
    assert all(one[k.CLOCK_OFFSET_S] == -37552 - 28800 for one in world.of(k.VITALS)), world.of(k.VITALS)
    assert any(
        data == b"\xea\x07\x0b\x16" for link in world.links for _, data in [(0, link.written[-1][1][:4])]
    )


def test_a_monitor_that_counts_its_records_anew_gives_all_of_them():
    class Meter(Link):
        number = 0x2A18
        numbers = (7, 8, 9)

        async def characteristics(self, first, last, ms):
            return [(RECORD, RECORD + 1, 0x2A18), (CONTROL, CONTROL + 1, 0x2A52)]

        async def write(self, handle, data, ms):
            if handle != CONTROL:
                return 0
            chosen = self.numbers
            if data[:2] == b"\x01\x03":
                chosen = [n for n in chosen if n >= data[3]]
            elif data == b"\x01\x06":
                chosen = chosen[-1:]
            for number in chosen:
                self.says(b"\x02" + bytes((number, 0)) + bytes(7) + bytes((90 + number, 0xB0, 0x11)))
            self.says(b"\x06\x00\x01" + (b"\x01" if chosen else b"\x06"), CONTROL)
            return 0

    world = World(Meter, (3, 16, A))

    def given():
        said = [(one[k.VALUES][0][1] - 90, one.get(k.FLAGS, 0)) for one in world.of(k.VITALS)]
        world.events.clear()
        return said

    world.live(3000)
    assert given() == [(7, k.HISTORICAL), (8, k.HISTORICAL), (9, 0)]
    links = len(world.links)
    world.live(60_000)
    assert given() == []
    assert len(world.links) - links < 10
    Meter.numbers = (8, 9, 10)
    world.live(30_000)
    assert given() == [(10, 0)]
    Meter.numbers = (0, 1)
    world.live(30_000)
    assert given() == [(0, k.HISTORICAL), (1, 0)]
    again = World(Meter, (3, 16, A))
    again.live(5000)
    assert not again.events  # over a restart, too


def test_bonds_outlive_a_restart_are_bounded_and_end_with_their_monitor():
    bonds = Bonds(FOLDER + "/devices")
    reverse = memoryview(bytearray(b"\x01" + bytes(reversed(A))))
    assert bonds.put(2, reverse, memoryview(bytes(80)))
    assert bonds.put(1, memoryview(bytes(10)), reverse)
    assert bonds.put(10, memoryview(b"irk"), memoryview(bytes(16)))
    assert bonds.get(2, 0, reverse) == bytes(80)
    assert bonds.get(2, 0, None) == bytes(80)
    assert bonds.get(2, 1, None) is None
    assert not bonds.has(B)
    bonds.facts[A] = [True, 0, None, "", ""]
    bonds.changed()
    bonds.keep()
    bonds = Bonds(FOLDER + "/devices")
    assert bonds.has(A)
    assert bonds.facts == {A: [True, 0, None, "", ""]}
    assert bonds.get(10, 0, memoryview(b"irk")) == bytes(16)
    bonds.only({B: None})
    bonds.keep()
    bonds = Bonds(FOLDER + "/devices")
    assert not bonds.has(A)
    assert not bonds.facts
    assert bonds.get(10, 0, memoryview(b"irk"))
    for n in range(60):
        one = A[:5] + bytes((n,))
        bonds.facts[one] = [True, 0, None, "", ""]
        bonds.put(2, bytes(reversed(one)), b"x")
    assert not bonds.put(2, b"one more", b"x")
    assert bonds.put(2, bytes(reversed(A[:5] + b"\x03")), None)
    assert bonds.put(2, b"one more", b"x")
    damaged = [b"", b"\xff", cbor.dumps([1]), cbor.dumps([[1, 2]]), cbor.dumps({})]
    damaged += [cbor.dumps([dict.fromkeys(range(1, 1 + size), 0)]) for size in range(1, 8)]
    for one in damaged:
        store.replace(FOLDER + "/devices.bonds", one)
        store.replace(FOLDER + "/devices.monitors", one)
        assert not Bonds(FOLDER + "/devices").has(A)


def test_a_table_of_before_has_no_zone_and_a_newer_one_keeps_it():
    path = FOLDER + "/devices"
    store.replace(path, cbor.dumps([7, [[1, 11, A, 0]]]))
    devices = Devices(path)
    assert (devices.version, devices.zone_s, len(devices.all())) == (7, None, 1)
    assert devices.replace(8, [[1, 11, A, 0]], 28800)
    assert Devices(path).zone_s == 28800
    assert devices.replace(9, [])
    assert Devices(path).zone_s is None
    for odd in ([7], {0: 7}, {0: 7, 1: [[1, 11, A, 0]]}, {}, [7, {}], "7", 7, None):
        store.replace(path, cbor.dumps(odd))
        devices = Devices(path)
        assert (devices.version, devices.all(), devices.zone_s) == (0, [], None), odd
    assert sorted(os.listdir(FOLDER)) == ["devices"]
