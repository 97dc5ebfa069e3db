"""What BLE sensors say: scripts of advertisements, one address at a time, and storms of neighbours."""

import asyncio
import binascii
import os

from micropython import const

from stimulus import fields
from stimulus.fields import Wrong

_MOST = const(64)  # advertisements of a script
_DATA = const(31)  # bytes of advertising data
_MIN_MS = const(100)  # of a Bluetooth 4.2 controller, where nobody can connect
_MAX_MS = const(10240)
_HOUR_MS = const(3600000)
_STORM_US = const(100000)  # a storm's advertisements are replaced before they are sent again
_TRIES = const(60)
_TRY_MS = const(50)
_OWN = const(0)  # config(addr_mode=...): the board's own address
_DRAWN = const(1)  # a random static one; each setting draws another, and none can be chosen
# A neighbour's message: flags, service data of BTHome, button
_NEIGHBOUR = b"\x02\x01\x06\x0a\x16\xd2\xfc\x44\x00\x00\x01\x64\x3a\x01"
_ID_AT = const(9)


class Radio:
    """The board's BLE; one thing is on the air at a time, and what begins ends what was there."""

    def __init__(self, app):
        self._app = app
        self._ble = None
        self._task = None
        self._what = None
        self._sent = 0  # advertisements begun of what plays, or played last
        self.other = None  # the interrupt of connections
        app.register("radio", self.radio)
        app.register("address", self.address, ("draw",))
        app.register("advertise", self.advertise, ("address", "adverts", "rounds"))
        app.register("storm", self.storm, ("per_s", "ms", "addresses"))
        app.register("quiet", self.quiet)
        app.holders.append((self.busy, self.rest))

    @property
    def ble(self):
        """Switched on when first needed."""
        if not self._ble:
            self._ble = self._app.board.radio()
            self._ble.irq(self._irq)
        if not self._ble.active():
            self._ble.active(True)
        return self._ble

    def _irq(self, event, data):
        if self.other:
            return self.other(event, data)

    def busy(self):
        """Whether anything is on the air."""
        return self._task is not None

    def rest(self):
        """Silence, at once."""
        if self._task:
            self._task.cancel()
            self._task = None
            self.ble.gap_advertise(None)

    async def begin(self, what, work):
        """Have the coroutine work(), in the place of what was on the air."""
        self.rest()
        await asyncio.sleep_ms(0)  # what was cancelled cleans up first
        self._what, self._sent = what, 0
        self._task = asyncio.create_task(self._run(work))

    async def _run(self, work):
        try:
            await work
        except OSError as error:
            self._app.emit("radio_failed", [self._what, error.args[0]])
        self.ble.gap_advertise(None)
        self._task = None

    async def settled(self, action):
        """Do what the stack refuses while a connection is still ending; OSError if it goes on refusing."""
        for _ in range(_TRIES):
            try:
                return action()
            except OSError:
                await asyncio.sleep_ms(_TRY_MS)
        return action()

    def require(self, request):
        """Wrong unless the request's address is the one that this board sends from now."""
        want = octets(request.get("address"), "address", 6)
        own = bytes(self.ble.config("mac")[1])
        if want != own:
            raise Wrong("address: the board sends from %s now" % _hex(own))

    # Commands

    async def radio(self, request):
        """What is on the air, and how many advertisements were begun."""
        return {"on_air": self._what if self._task else None, "last": self._what, "sent": self._sent}

    async def address(self, request):
        """From where the board sends; draw: from now on a new random address (true) or its own (false)."""
        if "draw" in request:
            mode = _DRAWN if fields.flag(request, "draw", None) else _OWN
            self.rest()
            await asyncio.sleep_ms(0)
            ble = self.ble
            await self.settled(lambda: ble.config(addr_mode=mode))
        kind, address = self.ble.config("mac")
        return {"address": _hex(address), "random": kind}

    async def advertise(self, request):
        """Play advertisements ([data in hex, copies, ms from copy to copy, ms of pause], ...), in rounds."""
        rows = []
        for row in _rows(request):
            data = octets(row[0], "adverts: data", None)
            for value, low, high in ((row[1], 1, 100000), (row[2], _MIN_MS, _MAX_MS), (row[3], 0, _HOUR_MS)):
                if not isinstance(value, int) or not low <= value <= high:
                    raise Wrong("adverts: %s is not from %d to %d" % (value, low, high))
            rows.append((data, row[1], row[2], row[3]))
        rounds = fields.integer(request, "rounds", 1, 1, 1000000)
        self.require(request)
        await self.begin("script", self._play(rows, rounds))
        return self._app.board.ticks_us()

    async def _play(self, rows, rounds):
        ble = self.ble
        for _ in range(rounds):
            for data, copies, every_ms, pause_ms in rows:
                ble.gap_advertise(every_ms * 1000, data, connectable=False)
                self._sent += 1
                # Half an interval short: a controller adds up to 10 ms to each.
                await asyncio.sleep_ms(copies * every_ms - every_ms // 2)
                ble.gap_advertise(None)
                await asyncio.sleep_ms(every_ms // 2 + pause_ms)

    async def storm(self, request):
        """So many advertisements of neighbours a second for ms; addresses: each from another one."""
        per_s = fields.integer(request, "per_s", None, 1, 1000)
        ms = fields.integer(request, "ms", None, 1, _HOUR_MS)
        addresses = fields.flag(request, "addresses", True)
        self.ble  # noqa: B018  switched on before the answer
        await self.begin("storm", self._storm(per_s, ms, addresses))
        return self._app.board.ticks_us()

    async def _storm(self, per_s, ms, addresses):
        ble, board = self.ble, self._app.board
        data = bytearray(_NEIGHBOUR)
        began = board.ticks_ms()
        try:
            while True:
                gone = board.ticks_diff(board.ticks_ms(), began)
                if gone >= ms:
                    break
                if self._sent * 1000 > gone * per_s:
                    await asyncio.sleep_ms(1)
                    continue
                data[_ID_AT] = os.urandom(1)[0]
                if addresses:
                    ble.gap_advertise(None)
                    ble.config(addr_mode=_DRAWN)
                ble.gap_advertise(_STORM_US, data, connectable=False)
                self._sent += 1
                await asyncio.sleep_ms(0)
        finally:
            ble.gap_advertise(None)
            if addresses:
                ble.config(addr_mode=_OWN)

    async def quiet(self, request):
        """End what is on the air."""
        self.rest()


def octets(value, name, length):
    """Bytes of a hexadecimal string; length None: 1 to 31 of advertising data."""
    try:
        found = binascii.unhexlify(value)
    except (TypeError, ValueError):
        raise Wrong("%s: bytes as hexadecimal digits" % name)
    if len(found) != length and (length is not None or not 0 < len(found) <= _DATA):
        raise Wrong("%s: %s bytes" % (name, length or "1 to %d" % _DATA))
    return found


def _rows(request):
    rows = request.get("adverts")
    if not isinstance(rows, list) or not 0 < len(rows) <= _MOST:
        raise Wrong("adverts: a list of 1 to %d" % _MOST)
    for row in rows:
        if not isinstance(row, list) or len(row) != 4:
            raise Wrong("adverts: each [data, copies, ms from one to the next, ms of pause]")
    return rows


def _hex(data):
    return binascii.hexlify(data).decode()
