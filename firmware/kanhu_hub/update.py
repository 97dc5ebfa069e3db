"""A new release: fetched from the host piece by piece, checked, unpacked beside the one that runs, and tried.
Imported when a host orders it, or a start finds one under way; dropped when it is over."""

import asyncio
import os
import sys

from micropython import const

from kanhu_hub import archive, slots, store
from kanhu_hub.app import drop
from kanhu_hub.order import Order, calm, forget, keep, quiet, root, say
from kanhu_protocol import kinds as k

MALFORMED, NOT_SAVED, ALARM_STANDS, NOT_NEWER, BUSY = 2, 3, 5, 8, 9  # DETAIL of command.refused
GIVEN_UP, NO_FLASH = 8, 9  # DETAIL of update.failed

_PIECES = const(4)  # chunks that a host sends for one update.progress (contracts.md section 13)
_WAIT_MS = const(20000)  # for the next of them; doubled while a host gives none
_AGAIN_MS = const(300000)  # one that no host has stored is not said twice before
_HELD_MS = const(1000)
_NO_SPACE = const(28)  # errno, which MicroPython's module does not name
_BREATH_MS = const(2)  # after each slice of work
_RESERVE = const(98304)  # bytes of flash left to events: outbox.py gives up P5 below 65,536
_SIZE_MAX = const(524288)

_now = None  # the Update under way


def command(app, fields):
    """Do UPDATE: 0, or DETAIL of command.refused; None for CHUNK, which has no answer."""
    why = None
    if fields[k.TYPE] != k.CHUNK:
        why = _ordered(app, fields)
    elif _now:
        _now.chunk(fields[k.CHUNK_OFFSET], fields[k.CHUNK_DATA])
    if not _now:
        _drop()
    return why


def _drop():
    drop("kanhu_hub.update", "kanhu_hub.archive", "kanhu_hub.ed25519", "kanhu_hub.order", "kanhu_hub.slots")


def _ordered(app, fields):
    order = Order(fields[k.NUMBER], fields[k.RELEASE], fields[k.RELEASE_SIZE], fields[k.RELEASE_DIGEST])
    if slots.Slots(app.board.nvs).trial:
        return BUSY
    if not order.size:
        if _now:
            _now.stop()
        return 0
    if not slots.number(order.release):
        return MALFORMED
    if slots.number(order.release) <= slots.number(app.firmware):
        return NOT_NEWER
    if _now and _now.order.digest != order.digest:
        return BUSY
    if app.alarms.shown():
        return ALARM_STANDS
    try:
        if not _now:
            forget(app)
        keep(app, order)
    except OSError:
        return NOT_SAVED
    if _now:
        _now.order = order  # the same release under a newer number
    else:
        resume(app, order)
    return 0


def resume(app, order):
    """Go on with an order that flash keeps."""
    global _now
    _now = Update(app, order)


class Update:
    """One order on its way."""

    def __init__(self, app, order):
        self._app = app
        self.order = order
        self._path = root(app) + "/update/archive"
        self._parts = []
        self._more = 0  # bytes in parts
        self._wait_ms = _WAIT_MS
        self._come = asyncio.Event()
        try:
            self._got = os.stat(self._path)[6]
        except OSError:
            self._got = 0
        self._task = asyncio.create_task(self._run())

    def chunk(self, offset, data):
        """The next piece; any other is ignored."""
        here = self._got + self._more
        if offset == here and here + len(data) <= self.order.size and calm(self._app):
            self._parts.append(data)
            self._more += len(data)
            self._come.set()

    def stop(self):
        """The host gives it up."""
        self._task.cancel()
        self._end(GIVEN_UP)

    def _end(self, detail):
        global _now
        _now = None
        say(self._app, k.UPDATE_FAILED, self.order, detail=detail)
        forget(self._app)
        _drop()

    async def _run(self):
        detail = NO_FLASH
        try:
            await self._try()
        except asyncio.CancelledError:
            raise
        except archive.Refused as error:
            detail = error.args[0]
        except Exception as error:
            sys.print_exception(error)
            if isinstance(error, OSError) and error.args[0] == _NO_SPACE:
                detail = archive.NO_ROOM
        try:
            await self._tidy()
        except OSError:
            pass  # the next one does
        self._end(detail)

    async def _tidy(self):
        # What nothing will ever start takes no room: a slot that is not whole, or has failed.
        state = slots.Slots(self._app.board.nvs)
        slot = state.free()
        folder = root(self._app) + slots.FOLDERS[slot]
        try:
            os.stat(folder + "/manifest")
        except OSError:
            state.bad = 15
        if state.bad >> slot & 1:
            await archive.remove(folder, self._pause)
        return slot, folder

    async def _try(self):
        app, order = self._app, self.order
        keys = app.board.nvs.blob("release") or b""
        if not keys:
            raise archive.Refused(archive.NOT_SIGNED)
        store.make(root(app) + "/update")
        if order.size > _SIZE_MAX:
            raise archive.Refused(archive.NO_ROOM)
        slot, folder = await self._tidy()
        self._need(order.size - self._got)
        await self._fetch()
        rows, start = await archive.check(self._path, order, keys, slots.number(app.firmware), self._pause)
        drop("kanhu_hub.ed25519")
        await archive.remove(folder, self._pause)
        self._need(archive.blocks(rows, os.statvfs(root(app) + "/update")[0]))
        await archive.unpack(self._path, rows, start, folder, self._pause)
        del rows
        while app.outbox.urgent or not quiet(app):
            await app.clock.sleep_ms(_HELD_MS)
        slots.start_trial(app, slot)

    def _need(self, size):
        if store.free(root(self._app) + "/update") < size + _RESERVE:
            raise archive.Refused(archive.NO_ROOM)

    async def _pause(self):
        app = self._app
        await app.clock.sleep_ms(_BREATH_MS)
        while not calm(app):
            await app.clock.sleep_ms(_HELD_MS)

    async def _fetch(self):
        while self._got < self.order.size:
            await self._pause()
            name = say(self._app, k.UPDATE_PROGRESS, self.order, offset=self._got)
            await self._pieces(name)
            if self._parts:
                store.append(self._path, b"".join(self._parts))
                self._got += self._more
                self._parts, self._more = [], 0
                self._wait_ms = _WAIT_MS
            elif self._wait_ms < _AGAIN_MS:
                self._wait_ms *= 2

    async def _pieces(self, name):
        # Until they have come, or none has for so long; what no host has stored is said again later only.
        clock = self._app.clock
        said_ms = last_ms = clock.now_ms()
        while len(self._parts) < _PIECES and self._got + self._more < self.order.size:
            self._come.clear()
            try:
                await asyncio.wait_for(self._come.wait(), _WAIT_MS // 4, clock.sleep_ms)  # type: ignore[call-arg]
                last_ms = clock.now_ms()
            except asyncio.TimeoutError:
                now = clock.now_ms()
                if now - last_ms >= (_WAIT_MS if self._parts else self._wait_ms) and (
                    self._parts or self._app.outbox.is_stored(*name) or now - said_ms >= _AGAIN_MS
                ):
                    return
