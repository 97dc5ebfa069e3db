"""Hostile and broken monitors before the collector: each costs itself, and no other monitor or call."""

import asyncio
import sys

import collector_cases
from collector_cases import CONTROL, CUFF, ENOTCONN, PRESSURE, RECORD, A, B, Link, World
from fake_board import Flag, Time, virtual

from kanhu_hub import store
from kanhu_hub.inputs.monitors.bonds import Bonds
from kanhu_hub.inputs.monitors.session import Session
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

FOLDER = ""
HOUR_MS = 3600_000
BOND_LOST, NOT_UNDERSTOOD, FLOODS = 1, 4, 6
METER = 16


def world(make, *table):
    collector_cases.FOLDER = FOLDER
    return World(make, *table)


def details(world, device=3):
    return [one[k.DETAIL] for one in world.of(k.MONITOR_FAULT) if one[k.DEVICE] == device]


class Good(Link):
    """A cuff with all services, which measures once in each connection."""

    taken = 0

    async def service(self, number, ms):
        await self._step()
        return number & 0xFF, (number & 0xFF) + 10

    async def characteristics(self, first, last, ms):
        await self._step()
        rows = {0x10: [(RECORD, RECORD + 1, 0x2A35)], 0x0A: [(30, 30, 0x2A29), (31, 31, 0x2A24)]}
        return rows.get(first, [(40, 40, 0x2A19), (41, 41, 0x2A2B)])

    async def read(self, handle, ms):
        await self._step()
        return 0, {30: b"Kanhu", 31: b"BP1", 40: b"\x5a"}.get(
            handle, b"\xea\x07\x0b\x15\x0a\x00\x00\x01\x00\x00"
        )

    async def write(self, handle, data, ms):
        await self._step()
        if handle == RECORD + 1:
            Good.taken += 1
            self.says(
                b"\x02"
                + PRESSURE[1:]
                + b"\xea\x07\x0b\x15\x09"
                + bytes((Good.taken // 60 % 60, Good.taken % 60))
            )
        return 0


class Failing(Good):
    """At its `at`-th answer it fails as `how` says; the ones before are well."""

    at = 0
    how = ""

    def __init__(self, world):
        super().__init__(world)
        self.encrypted = False
        self.left = Failing.at

    async def _fails(self, ms):
        self.left -= 1
        if self.left != -1:
            return False
        if self.how == "ends":
            self.end()
        elif self.how == "refused":  # the stack does not take what it has said
            raise OSError(22)
        elif self.how == "hangs":
            self.left = 0  # from now on
            await asyncio.wait_for_ms(asyncio.Event().wait(), ms)
        return True

    async def service(self, number, ms):
        odd = await self._fails(ms)
        found = await super().service(number, ms)
        return None if odd and self.how == "error" else (0xFFFF, 0) if odd else found

    async def characteristics(self, first, last, ms):
        odd = await self._fails(ms)
        found = await super().characteristics(first, last, ms)
        if odd and self.how == "odd":
            return [(0, 0, 0), (65535, 65535, 0x2A35), (7, 65535, 0x2A35), (9, 3, 0x2A19)]
        return [] if odd else found

    async def descriptor(self, value, last, number, ms):
        await self._step()
        return None

    async def read(self, handle, ms):
        odd = await self._fails(ms)
        found = await super().read(handle, ms)
        return (0, b"\xff" * 64) if odd and self.how == "odd" else (0x101, b"") if odd else found

    async def write(self, handle, data, ms):
        odd = await self._fails(ms)
        if odd and self.how in ("error", "odd"):
            self.says(b"\xff" * 20, 1)
            self.says(b"", RECORD)
            return 0x10E
        return await super().write(handle, data, ms)


def test_whatever_step_a_monitor_fails_at_it_costs_itself_only_and_is_well_again():
    for how in ("ends", "refused", "hangs", "error", "odd"):
        for at in range(14):
            Failing.at, Failing.how = at, how
            home = world(None, (3, CUFF, A), (4, CUFF, B))
            turn = [0]

            def make(home, turn=turn):
                turn[0] += 1
                return (Failing if turn[0] % 2 else Good)(home)

            home.make = make
            home.live(60_000, (A, B))
            assert home.of(k.VITALS), (how, at)
            assert sum([not link.gone for link in home.links]) <= 2, (how, at)
            home.events.clear()
            home.make = Good
            home.live(90_000, (A, B))
            assert {one[k.DEVICE] for one in home.of(k.VITALS)} == {3, 4}, (how, at)
            faults, ended = len(details(home)), len(home.of(k.MONITOR_OK))
            assert faults == 0, (how, at, faults, ended)


def test_a_monitor_whose_words_the_stack_refuses_is_a_fault():
    class Refused(Good):
        async def characteristics(self, first, last, ms):
            raise OSError(22)

    home = world(Refused, (3, CUFF, A))
    home.live(20_000)
    assert details(home) == [3]


def test_a_flood_is_bounded_said_once_and_leaves_the_loop_to_others():
    class Flood(Link):
        async def write(self, handle, data, ms):
            self.task = asyncio.create_task(self.flood())
            return 0

        async def flood(self):
            number = 0
            while not self.gone:
                for _ in range(20):
                    number += 1
                    if len(self.heard) < 32:
                        self.says(b"\x00" + bytes((100 + number % 30, 0, 60 + number // 30 % 20, 0, 70, 0)))
                await asyncio.sleep_ms(30)

    class Counting(World):
        vitals = 0

        def emit(self, kind, fields):
            if kind != k.VITALS:
                return super().emit(kind, fields)
            self.vitals += 1
            return True

    taken, take = [], Session.take

    def counted(session):
        before = home.vitals
        take(session)
        taken.append(home.vitals - before)

    collector_cases.FOLDER = FOLDER
    home = Counting(Flood, (3, CUFF, A))
    Session.take = counted
    home.live(5000)
    Session.take = take
    assert home.vitals > 100
    assert max(taken) <= 4, max(taken)  # then others have their turn: each is a write to flash
    home.live(HOUR_MS)
    assert 2048 < home.vitals <= 2048 + 200, home.vitals
    assert details(home)[0] == FLOODS
    assert len(details(home)) <= 3, details(home)
    home.events.clear()
    home.vitals = 0
    home.live(4 * HOUR_MS)
    assert home.vitals <= 4 * 120 + 70, home.vitals
    assert len(details(home)) <= 9


class Meter(Link):
    """A glucose meter; `gives` says which numbers it answers a request with."""

    number = 0x2A18

    async def characteristics(self, first, last, ms):
        await self._step()
        return [(RECORD, RECORD + 1, 0x2A18), (CONTROL, CONTROL + 1, 0x2A52)]

    def record(self, number):
        value = 100 + number % 50
        self.says(
            b"\x02"
            + number.to_bytes(2, "little")
            + b"\xea\x07\x0b\x15\x09\x00\x00"
            + bytes((value, 0xB0, 0x11))
        )

    def over(self, code=1):
        self.says(bytes((6, 0, 1, code)), CONTROL)


def test_a_meter_that_ignores_or_refuses_the_filter_says_each_record_once():
    class Stubborn(Meter):
        refuses = False
        numbers = range(5)

        async def write(self, handle, data, ms):
            if handle == CONTROL:
                if data[:2] == b"\x01\x03" and self.refuses:
                    self.over(9)
                    return 0
                for number in self.numbers:
                    self.record(number)
                self.over()
            return 0

    for refuses in (False, True):
        store.remove(FOLDER + "/devices.monitors")
        Stubborn.refuses, Stubborn.numbers = refuses, range(5)
        home = world(Stubborn, (3, METER, A))
        home.live(120_000)
        assert len(home.links) > 3
        assert len(home.of(k.VITALS)) == 5, (refuses, len(home.of(k.VITALS)))
        Stubborn.numbers = range(7)
        home.live(120_000)
        assert len(home.of(k.VITALS)) == 7, refuses
        Stubborn.numbers = range(2)  # a new battery: it counts anew
        home.live(120_000)
        assert len(home.of(k.VITALS)) == 9, (refuses, len(home.of(k.VITALS)))
        again = world(Stubborn, (3, METER, A))
        again.live(60_000)
        assert not again.of(k.VITALS)
        assert not details(home)


def test_record_access_that_never_ends_ends_after_ten_minutes_and_leaves_what_it_gave():
    class Endless(Meter):
        async def write(self, handle, data, ms):
            if handle == CONTROL:
                self.task = asyncio.create_task(self.run())
            return 0

        async def run(self):
            number = 0
            while not self.gone:
                if number < 60:
                    self.record(number)
                else:
                    self.says(b"\xff", RECORD)  # nonsense, and no end
                number += 1
                await asyncio.sleep_ms(2000)

    home = world(Endless, (3, METER, A))
    home.live(650_000)
    assert home.links[0].gone
    assert len(home.links) >= 2
    assert len(home.of(k.VITALS)) == 60

    class Mute(Meter):
        async def write(self, handle, data, ms):
            return 0

    class Babbling(Meter):
        async def write(self, handle, data, ms):
            if handle == CONTROL:
                self.says(b"\x06", CONTROL)
            return 0

    for make, detail in ((Mute, 3), (Babbling, NOT_UNDERSTOOD)):
        store.remove(FOLDER + "/devices.monitors")
        home = world(make, (3, METER, A))
        home.live(90_000)
        assert details(home) == [detail], (make, details(home))


def test_junk_that_never_ends_does_not_hold_a_connection():
    class Junk(Link):
        async def write(self, handle, data, ms):
            self.task = asyncio.create_task(self.run())
            return 0

        async def run(self):
            while not self.gone:
                if len(self.heard) < 30:
                    self.says(b"\x00", 77)  # a handle that it does not have
                    self.says(b"\x00")  # too short
                await asyncio.sleep_ms(20)

    home = world(Junk, (3, CUFF, A))
    home.live(65_000)
    assert home.links[0].gone
    assert details(home) == [NOT_UNDERSTOOD]


def test_nobody_without_the_key_speaks_for_a_monitor_that_has_a_bond():
    class Honest(Link):
        status = 0x105
        spoofed = False

        async def pair(self, ms):
            await self._step()
            if not self.world.collector.bonds.has(A):
                self.world.collector.bonds.put(2, b"\x01" + bytes(reversed(A)), bytes(80))
            self.encrypted = True
            return True

        async def write(self, handle, data, ms):
            status = await super().write(handle, data, ms)
            if not status:
                self.says(PRESSURE)
            return status

    class Spoofer(Link):
        async def pair(self, ms):
            await self._step()
            return False

        async def write(self, handle, data, ms):
            await self._step()
            self.says(b"\x00\xfa\x00\x78\x00\xff\x07")  # 250 / 120, unencrypted
            return 0

    home = world(Honest, (3, CUFF, A))
    home.live(2000)
    assert len(home.of(k.VITALS)) == 1
    home.make = Spoofer
    home.live(30_000)
    assert len(home.of(k.VITALS)) == 1, home.of(k.VITALS)
    assert details(home) == [BOND_LOST]
    home.make = Honest
    home.live(90_000)
    assert len(home.of(k.VITALS)) >= 2
    assert all(one[k.VALUES][0][1] == 120 for one in home.of(k.VITALS))
    assert home.of(k.MONITOR_OK)


def test_a_full_store_of_bonds_gives_up_what_belongs_to_nobody():
    bonds = Bonds(FOLDER + "/devices")
    bonds.facts[A] = [True, 0, None, None, None]
    bonds.put(10, b"irk", bytes(16))
    bonds.put(2, b"\x01" + bytes(reversed(A)), bytes(80))
    for n in range(60):  # another identity at each pairing
        assert bonds.put(2, bytes((n,)) * 7, bytes(80)), n
    assert bonds.has(A)
    assert bonds.get(10, 0, b"irk")
    assert len(bonds._secrets) == 40
    for n in range(60):
        one = bytes((n, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5))
        bonds.facts[one] = [False, 0, None, None, None]
        taken = bonds.put(2, b"\x01" + bytes(reversed(one)), bytes(80))
        assert taken == (n < 38), n
    assert bonds.has(A)


def test_facts_of_another_layout_are_forgotten():
    store.replace(FOLDER + "/devices.monitors", cbor.dumps([[A], [B, True, 0, None, "x", "y"]]))
    assert list(Bonds(FOLDER + "/devices").facts) == [B]
    home = world(Good, (3, CUFF, A))
    home.live(3000)
    assert home.of(k.VITALS)


# The central, over a fake of MicroPython's BLE.


class Ble:
    def __init__(self):
        self.left = []
        self.asked = []

    def config(self, **settings):
        pass

    def gap_connect(self, *args):
        self.asked.append(args)

    def gap_disconnect(self, handle):
        self.left.append(handle)

    gattc_read = gap_connect


class Radio:
    overflows = 0
    connecting = False
    other = None

    def resume(self):
        self.connecting = False


def central(script):
    """Runs script(central, ble, radio, irq) in virtual time."""

    class Bluetooth:
        UUID = int

    sys.modules["bluetooth"] = Bluetooth
    virtual(Time())
    room = {}
    # By its source: its package wants an ESP32.
    with open(store.__file__[: -len("store.py")] + "board/central.py") as source:
        exec(source.read(), room)  # noqa: S102  # our own
    Central = room["Central"]
    radio, ble = Radio(), Ble()

    class Secrets:
        def keep(self):
            pass

    async def life():
        made = Central(radio, ble, Secrets())
        made._flag = Flag()
        running = asyncio.create_task(made.run())
        await script(made, ble, radio, radio.other)
        running.cancel()

    asyncio.run(life())


def test_a_late_connection_is_never_taken_for_anothers():
    async def script(made, ble, radio, irq):
        first = asyncio.create_task(made.connect(0, A, 1000))
        await asyncio.sleep_ms(2100)  # it did not answer, and the hub has given up
        second = asyncio.create_task(made.connect(0, B, 1000))
        await asyncio.sleep_ms(1200)
        assert len(ble.asked) >= 3, ble.asked  # A, its end, B
        irq(7, (1, 0, A))  # now
        await asyncio.sleep_ms(100)
        assert ble.left == [1]
        irq(7, (2, 0, B))
        link = await second
        assert link.handle == 2
        assert await first is None

    central(script)


def test_who_does_not_answer_leaves_the_air_to_callers_as_long_as_it_took_it():
    async def script(made, ble, radio, irq):
        blind = [0, 0]
        tasks = [asyncio.create_task(made.connect(0, A[:5] + bytes((n,)), 1000)) for n in range(20)]
        failed = None
        for _ in range(400):
            await asyncio.sleep_ms(50)
            blind[radio.connecting] += 1
            if radio.connecting and failed is None:
                failed = 20
            if failed is not None:
                failed -= 1
                if failed == 0:
                    irq(8, (65535, 255, bytes(6)))
                    failed = None
        assert blind[0] >= blind[1] * 0.9, blind
        for task in tasks:
            task.cancel()

    central(script)


def test_a_flood_cannot_hide_that_a_connection_was_made_or_ended():
    async def script(made, ble, radio, irq):
        connecting = asyncio.create_task(made.connect(0, B, 1000))
        await asyncio.sleep_ms(10)
        for _ in range(100):
            irq(18, (1, 5, bytes(20)))
        assert radio.overflows
        irq(7, (2, 0, B))
        link = await connecting
        assert link.handle == 2
        for _ in range(100):
            irq(19, (2, 5, bytes(90)))
        irq(8, (2, 0, B))
        await asyncio.sleep_ms(100)
        assert link.gone
        assert len(link.heard) <= 32
        assert all(len(data) == 64 for _, data in link.heard)
        try:
            await link.read(3, 100)
            raise AssertionError("it is gone")
        except OSError as error:
            said = error.args[0]
        assert said == ENOTCONN

    central(script)
