"""One connection to a monitor: indications first, then its clock and battery, then what it measured."""

import asyncio
import sys

from micropython import const

from kanhu_hub.inputs.monitors import monitor as m
from kanhu_protocol import kinds as k

_STEP_MS = const(4000)  # ours: one request; the answer takes two connection intervals
_PAIR_MS = const(15_000)  # ours; the protocol's own limit is 30 s
_FIRST_MS = const(30_000)  # ours: until a first measurement: some connect while the cuff is still pumping
_QUIET_MS = const(5000)  # ours: after a measurement nothing came for so long
_NOTHING_MS = const(60_000)  # ours: of a session in which nothing but nonsense came
_LONGEST_MS = const(600_000)  # ours: of a session that is no stream
_SAID = const(32)  # measurements remembered, oldest out first
_MINUTE_MS = const(60_000)  # a stream's newest valid value is said this often
_SETTLE_MS = const(10_000)  # the first time; its first values are a guess
_STREAMS = (0x2A37, 0x2A5F)  # heart rate, continuous pulse oximetry
_CCCD = const(0x2902)
_DEVICE_INFORMATION = const(0x180A)
_BATTERY = const(0x180F)
_TIME = const(0x1805)
_MANUFACTURER = const(0x2A29)
_MODEL = const(0x2A24)
_LEVEL = const(0x2A19)
_CURRENT_TIME = const(0x2A2B)
_DATE_TIME = const(0x2A08)
_GLUCOSE = const(16)  # role
_ONE_HOST = const(8)  # quirks.ONE_HOST
_AT_ONCE = const(4)  # events in a row: each is a write to flash, and calls wait meanwhile
_OLD_S = const(600)  # ours: what was measured longer ago than this comes from the monitor's memory
# ATT errors as NimBLE's status: insufficient authentication, authorization, key size, encryption
_INSECURE = (0x105, 0x108, 0x10C, 0x10F)
_PACKAGE = "kanhu_hub.inputs.monitors."
_PROFILES = ("blood_pressure", "heart_rate", "pulse_oximeter", "thermometer", "weight_scale", "glucose")


class _Wrong(Exception):
    # args[0]: DETAIL of monitor.fault
    pass


class Session:
    """run(link) collects until the monitor leaves or is quiet, then finish(); whether it `gave` news."""

    def __init__(self, app, bonds, monitor, advertisement):
        self.app = app
        self.monitor = monitor
        self.task = None
        self.began_ms = app.clock.now_ms()
        self._bonds = bonds
        self._advertisement = advertisement
        self._connected = False
        self.handles = {}  # value handle: UUID's number
        self._quirks = 0
        self._battery = self._offset_s = None
        self.malformed = 0
        self._paired = self._securing = False
        self.gave = False  # something new
        self.fine = False  # it has given what it had to give, new or not
        self._said = []  # (UUID's number, data)
        self._records = None  # of a glucose meter
        self._newest = None  # of a stream
        self._minute_ms = None
        self._ended = False  # by us, to make room
        self._wrong = 0  # DETAIL of monitor.fault
        self._hung = self._gone = False  # it did not answer, it ended the connection

    def leave(self):
        """Make room, or the monitor is no longer this home's."""
        self._ended = True
        if self._connected:
            self._link.leave()

    async def run(self, link):
        """Collect; never raises but for a lack of memory."""
        self._link = link
        self._connected = True
        name = _PACKAGE + _PROFILES[self.monitor.role - 11]
        __import__(name)
        self._profile = sys.modules[name]
        self._ask_quirks()
        if self.monitor.role == _GLUCOSE:
            from kanhu_hub.inputs.monitors.stored import Records

            self._records = Records(self, link, self._profile)
        try:
            await self._subscribe()
            if self._bonds.has(self.monitor.address) and not link.encrypted:
                # Whoever has only its address cannot encrypt: nothing is taken from them.
                handles, self.handles = self.handles, {}
                await self._secure()
                self.handles = handles
            try:
                await self._befriend()
            except (asyncio.TimeoutError, _Wrong):
                self._hung = True  # at what it could do without
            await self._gather()
        except _Wrong as error:
            self._wrong = error.args[0]
        except asyncio.TimeoutError:
            self._hung = True
        except ValueError:
            self.malformed += 1
        except OSError:
            self._hung = True  # it is gone, or what it says makes no sense to the stack
        self._gone = link.gone

    async def finish(self):
        """The connection is over: what came at its very end, and what is wrong with the monitor."""
        while self._link.heard:
            self.take()
            await asyncio.sleep_ms(0)
        self._flush(0)
        if self._records:
            self._records.end()
        if self.fine:
            return
        if self.malformed:
            self._wrong = self._wrong or m.NOT_UNDERSTOOD
        if self._wrong:
            self.monitor.wrong(self._wrong)
        elif (self._hung or self._gone) and not self._ended and not self._paired:
            self.monitor.cut(self._refusal() if self._securing else m.GAVE_NOTHING)

    async def do(self, step, *args):
        """A request of the connection; where the monitor wants a bond first, with one."""
        answer = await step(*args, _STEP_MS)
        status = answer[0] if isinstance(answer, tuple) else answer
        if status in _INSECURE and not self._link.encrypted:
            await self._secure()
            answer = await step(*args, _STEP_MS)
        return answer

    def _refusal(self):
        if self._bonds.has(self.monitor.address) or self.monitor.facts[m.BONDED]:
            return m.BOND_LOST
        return m.OTHER_HOST if self._quirks & _ONE_HOST else m.REFUSED

    async def _secure(self):
        monitor, bonds, link = self.monitor, self._bonds, self._link
        known = bonds.has(monitor.address)
        self._securing = True
        if not await link.pair(_PAIR_MS):
            if not (known and self.app.pairing):
                raise _Wrong(self._refusal())
            # A person stands there and pairs it again: the old key is of no use any more.
            bonds.forget(monitor.address)
            monitor.facts[m.BONDED] = known = False
            if not await link.pair(_PAIR_MS):
                raise _Wrong(self._refusal())
        self._securing = False
        if not known:
            self._paired = True
            monitor.facts[m.BONDED] = True
            bonds.changed()
            bonds.keep()  # at once: without it a power cut makes a bond that only the monitor knows of

    async def _found(self, number):
        # {UUID's number: (value handle, last handle)} of a service; None without it.
        link = self._link
        handles = await link.service(number, _STEP_MS)
        if not handles:
            return None
        return {row[2]: row[:2] for row in await link.characteristics(handles[0], handles[1], _STEP_MS)}

    async def _subscribe(self):
        link, profile = self._link, self._profile
        for number, _ in profile.CHARACTERISTICS:
            link.uuid(number)
        link.uuid(_DATE_TIME)
        found = self._own = await self._found(profile.SERVICE)
        for number, mode in profile.CHARACTERISTICS if found else ():
            value, last = found.get(number, (0, 0))
            if last <= value:
                continue
            cccd = last
            if last > value + 1:  # else it is the only descriptor there can be
                cccd = await link.descriptor(value, last, _CCCD, _STEP_MS)
            if not cccd:
                continue
            self.handles[value] = number
            if await self.do(link.write, cccd, bytes((mode, 0))):
                del self.handles[value]
        if not self.handles:
            raise _Wrong(m.NOT_UNDERSTOOD)

    def _ask_quirks(self):
        from kanhu_hub.inputs.monitors import quirks

        facts = self.monitor.facts
        self._quirks = quirks.of(facts[m.MANUFACTURER], facts[m.MODEL], _name(self._advertisement))

    async def _read(self, found, number):
        if not found or number not in found:
            return b""
        status, data = await self.do(self._link.read, found[number][0])
        return b"" if status else data

    async def _befriend(self):
        link, monitor = self._link, self.monitor
        for number in (_MANUFACTURER, _MODEL, _LEVEL, _CURRENT_TIME):
            link.uuid(number)
        facts = monitor.facts
        if facts[m.MODEL] is None:
            about = await self._found(_DEVICE_INFORMATION)
            facts[m.MANUFACTURER] = _text(await self._read(about, _MANUFACTURER))
            facts[m.MODEL] = _text(await self._read(about, _MODEL))
            self._ask_quirks()
        await self._set_clock()
        level = await self._read(await self._found(_BATTERY), _LEVEL)
        if level and level[0] <= 100:
            self._battery = level[0]

    def _local_s(self):
        # The home's local time in s since 1970 as if it were UTC; None while the hub cannot tell.
        clock, zone_s = self.app.clock, self.app.devices.zone_s
        utc_ms = clock.utc_ms(clock.now_ms())
        if utc_ms is None or zone_s is None or clock.fault:
            return None
        return utc_ms // 1000 + zone_s

    async def _set_clock(self):
        if self._local_s() is None:
            return
        number, found = _DATE_TIME, self._own
        if _DATE_TIME not in found:
            number, found = _CURRENT_TIME, await self._found(_TIME)
            if not found or number not in found:
                return
        from kanhu_hub.inputs.monitors import clock

        said = await self._read(found, number)
        local_s = self._local_s()
        try:
            self._offset_s = clock.decode(said) - local_s
        except (ValueError, TypeError):
            pass  # it has no time yet, or lets nobody read it
        await self.do(self._link.write, found[number][0], clock.encode(number, local_s))

    async def _gather(self):
        link, now = self._link, self.app.clock.now_ms
        if self._records:
            return await self._records.collect()
        while not link.gone and (
            self._minute_ms is not None or now() - self.began_ms < (_LONGEST_MS if self.fine else _NOTHING_MS)
        ):
            link.news.clear()
            self.take()
            try:
                await asyncio.wait_for_ms(link.news.wait(), _QUIET_MS if self.fine else _FIRST_MS)
            except asyncio.TimeoutError:
                return

    def take(self):
        """Read some of what has been heard; link.news stays set where there is more."""
        link = self._link
        for _ in range(min(_AT_ONCE, len(link.heard))):
            handle, data = link.heard.pop(0)
            number = self.handles.get(handle)
            if not number:
                continue
            try:
                fields = self._profile.parse(number, data, self._quirks)
            except (ValueError, IndexError):
                self.malformed += 1
                continue
            if self._records:
                self._records.heard(number, data, fields)
            elif fields and number not in _STREAMS:
                self._once(number, data, fields)
            elif fields:
                self._stream(fields)
        if link.heard:
            link.news.set()

    def _stream(self, fields):
        self.gave = self.fine = True
        if self._minute_ms is None:
            self._minute_ms = self.app.clock.now_ms() - _MINUTE_MS + _SETTLE_MS
        if k.VALUES in fields or not self._newest or k.VALUES not in self._newest:
            self._newest = fields
        self._flush(_MINUTE_MS)

    def _once(self, number, data, fields):
        # What the monitor could not know to have arrived it says again, in this connection or the next.
        self.fine = True
        measured = number, data
        if measured in self._said or (k.MEASURED_S in fields and measured in self.monitor.said):
            return
        self._said = (self._said + [measured])[-_SAID:]
        self.monitor.said = (self.monitor.said + [measured])[-_SAID:]
        self.gave = True
        self.say(fields)

    def _flush(self, every_ms):
        if self._newest and self.app.clock.now_ms() - self._minute_ms >= every_ms:
            self.say(self._newest)
            self._newest = None
            self._minute_ms = self.app.clock.now_ms()

    def say(self, fields):
        """A measurement as an event: True when flash has it."""
        if not self.monitor.may_say():
            self.leave()
            return False
        fields[k.DEVICE] = self.monitor.device
        if self._battery is not None:
            fields[k.BATTERY] = self._battery
        if self._offset_s is not None and k.MEASURED_S in fields:
            fields[k.CLOCK_OFFSET_S] = self._offset_s
            local_s = self._local_s()
            if local_s is not None and local_s + self._offset_s - fields[k.MEASURED_S] > _OLD_S:
                fields[k.FLAGS] = fields.get(k.FLAGS, 0) | k.HISTORICAL
        self.monitor.well()
        return self.app.emit(k.VITALS if fields.get(k.VALUES) else k.VITALS_INVALID, fields)


def _text(data):
    try:
        return data.decode().rstrip("\0 ")
    except ValueError:
        return ""


def _name(advertisement):
    # What an advertisement calls its sender; None.
    at = 0
    while at + 1 < len(advertisement) and advertisement[at]:
        if advertisement[at + 1] in (8, 9):
            return _text(advertisement[at + 2 : at + 1 + advertisement[at]])
        at += 1 + advertisement[at]
