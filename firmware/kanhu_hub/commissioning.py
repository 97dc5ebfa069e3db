"""Commissioning: for a while, whoever stands at the hub may give it its network (docs/commissioning.md).
Loaded while it is open."""

import asyncio

import micropython
from micropython import const

_OPEN_MS = const(600000)  # after a press
_WORKS_MS = const(5000)  # a link that works for so long closes it
_HELLO_MS = const(10000)  # contracts, section 3
_LOOK_MS = const(250)
_LINGER_MS = const(3000)  # between the last word and the restart
_STORED_MS = const(10000)  # for the host to store what is said before it
_REQUESTED = const(9)  # names.RESETS


def begin(app, log, drop):
    """From now on, or for longer."""
    if app.commissioning:
        app.commissioning.press()
    else:
        app.commissioning = Commissioning(app, log, drop)


class Commissioning:
    """Runs from its making until it closes itself."""

    def __init__(self, app, log, drop):
        from kanhu_hub.requests import Requests

        self._app = app
        self._log = log
        self._drop = drop
        self._doors = []
        self._tasks = []
        self._gatt = None
        self._lacks = True  # a link its settings
        self._saved_ms = None  # when a broker's settings were
        self._requests = Requests(app, log, drop)
        self._open()
        self.press()
        log("commissioning is open")
        self._tasks.append(asyncio.create_task(self._watch()))

    def _open(self):
        from kanhu_hub.door import BLE, SERIAL, Door
        from kanhu_hub.improv import Improv

        app, requests = self._app, self._requests
        names = [way.link.name for way in app.courier.ways]
        console = app.board.console()
        door = Door(requests, console, SERIAL)
        door.improv = Improv(console.write, requests)
        micropython.kbd_intr(-1)  # in an Improv packet it is a byte like any other
        self._doors.append(door)
        if "serial" not in names:
            self._tasks.append(asyncio.create_task(_read(console)))
        if requests.aead and app.board.radio:
            from kanhu_hub.board.gatt import of

            self._gatt = of(app.board.radio, requests.hub_id)
            door = Door(requests, self._gatt, BLE)
            door.used = self._gatt.used
            self._doors.append(door)
        if app.config.wifi and not names:
            requests.joining().back(app.config.wifi)  # nothing else uses it

    def press(self):
        """The hub's own button: for a while from now on."""
        self._until_ms = self._app.clock.now_ms() + _OPEN_MS
        for door in self._doors:
            door.wrong = 0
            door.shut = False
        self._offer()

    def _offer(self):
        if self._gatt:
            self._gatt.want("commissioning", not self._doors[-1].shut)

    async def _watch(self):
        self._works_ms = self._hello_ms = self._app.clock.now_ms()
        while True:
            try:
                if self._look():
                    break
            except Exception as error:  # it must not stay open for that
                print("commissioning", repr(error))
            await self._app.clock.sleep_ms(_LOOK_MS)
        self._close()

    def _look(self):
        # True: it is over.
        app, requests = self._app, self._requests
        now = app.clock.now_ms()
        requests.tick(now)
        open_doors = [door for door in self._doors if not door.shut]
        if now >= self._hello_ms:
            self._hello_ms = now + _HELLO_MS
            for door in open_doors:
                door.hello()
        busy = requests.busy()
        if requests.saved:
            self._restart(now)
        elif busy or app.courier.cut_off_ms():
            self._works_ms = now
        if not busy:  # a trial has a link of its own
            self._lacks = len(app.courier.ways) < len(app.config.links)
        # Also while settings are tried: after them no others.
        requests.over = now >= self._until_ms and not self._lacks
        works = now - self._works_ms >= _WORKS_MS
        if not busy and (not open_doors or requests.over or (works and not self._lacks)):
            return True
        self._offer()
        return False

    def _restart(self, now):
        app = self._app
        self._saved_ms = self._saved_ms or now
        since_ms = now - self._saved_ms
        from kanhu_hub.order import pressing

        if since_ms < _LINGER_MS or pressing(app):
            return
        if not self._requests.broken():
            # The new link runs already: no hurry.
            if app.alarms.shown():
                return
            if since_ms < _STORED_MS and (app.outbox.urgent or app.outbox.flight):
                return
        try:
            app.board.nvs.set_i32("reset", _REQUESTED)
        except OSError:
            pass
        app.board.reset()

    def _close(self):
        app, drop = self._app, self._drop
        self._log("commissioning is closed")
        self._requests.close()
        for door in self._doors:
            door.stream.tap = None
        micropython.kbd_intr(3)
        if self._gatt:
            self._gatt.want("commissioning", False)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        app.commissioning = None
        drop("kanhu_hub.requests", "kanhu_hub.door", "kanhu_hub.improv", "kanhu_hub.attempt")
        drop("kanhu_hub.config", "kanhu_hub.board.joining")
        if not [way for way in app.courier.ways if way.number > 1]:
            drop("kanhu_protocol.frame")
        drop("kanhu_hub.commissioning")


async def _read(stream):
    # The tap does the rest.
    while True:
        await stream.read()
