"""Commissioning: whoever stands at the hub gives it its network (docs/commissioning.md). Rarely loaded."""

import asyncio
import sys

import micropython
from micropython import const

from kanhu_hub.ccm import Ccm
from kanhu_protocol import VERSION, cbor, seal
from kanhu_protocol import kinds as k

SERIAL, BLE, IMPROV = 1, 2, 3  # DETAIL of provisioned

_OPEN_MS = const(600000)  # after a press
_WORKS_MS = const(5000)  # a link that works for so long closes it
_HELLO_MS = const(10000)  # contracts, section 3
_IDENTIFY_MS = const(5000)
_WRONG = const(10)  # messages on one door that do not fit the code
_LOOK_MS = const(250)
_LINGER_MS = const(3000)  # between the last word and the restart
_STORED_MS = const(10000)  # for the host to store what is said before it
_SCANNED = const(20)  # networks told
_ROW = const(450)  # bytes of them in one message
_CA = const(1024)
_REQUESTED = const(9)  # names.RESETS


def begin(app, log, drop):
    """From now on, or for longer."""
    if app.commissioning:
        app.commissioning.press()
    else:
        app.commissioning = Commissioning(app, log, drop)


class Door:
    """One way in: a stream with read() and write(); frames come and go on it."""

    def __init__(self, owner, stream, detail):
        from kanhu_protocol import frame

        self._owner = owner
        self._frame = frame
        self.stream = stream
        self.detail = detail
        self._decoder = frame.Decoder()
        self.wrong = 0
        self.shut = False
        self.improv = None
        stream.tap = self.feed

    def feed(self, data):
        """What has come, whoever else reads it."""
        if self.improv and (3 in data if self.shut else self.improv.feed(data, self._owner.now())):
            micropython.kbd_intr(3)
            raise KeyboardInterrupt
        if self.shut:
            return
        for kind, body in self._decoder.feed(data):
            if kind == self._frame.HELLO:
                self.hello()
            elif kind == self._frame.COMMISSION_DOWN and not self._owner.take(self, body):
                self.wrong += 1
                self.shut = self.wrong >= _WRONG

    def hello(self):
        """Say whose hub this is, and that it can be talked to."""
        fields = {0: VERSION, 1: self._owner.hub_id, 2: self._owner.boot}
        if self._owner.aead:
            fields[33] = 1
        self.stream.write(self._frame.encode(self._frame.HELLO, cbor.dumps(fields)))

    def say(self, message):
        """A map, sealed."""
        self.stream.write(self._frame.encode(self._frame.COMMISSION_UP, self._owner.sealed(message)))

    def tell(self, step, ok, **more):
        """A step of the trial."""
        message = {name: value for name, value in more.items() if value is not None}
        message.update({"is": "step", "step": step, "ok": ok})
        self.say(message)

    def tried(self, works):
        """The trial is over: its steps have said how."""

    def found(self, networks):
        """Answer to scan, in as many messages as it takes."""
        rows = [list(row) for row in networks[:_SCANNED]]
        while True:
            part, size = [], 0
            while rows and size + len(rows[0][0]) + 8 <= _ROW:
                size += 3 * len(rows[0][0]) + 8  # a letter has up to three bytes
                part.append(rows.pop(0))
            self.say({"is": "scan", "networks": part, "last": not rows})
            if not rows:
                return


class Commissioning:
    """Runs from its making until it closes itself."""

    def __init__(self, app, log, drop):
        self._app = app
        self._log = log
        self._drop = drop
        self.now = app.clock.now_ms
        self.boot = app.recorder.boot
        self.hub_id = app.config.hub_id
        key = app.board.nvs.blob("commission") or b""
        self.aead = Ccm(key) if len(key) == 16 else None
        # Over windows of one boot: neither a message nor a nonce comes twice.
        self._last, self._n = getattr(app, "commissioned", ((0, 0), 0))
        self._doors = []
        self._tasks = []
        self._job = None  # a scan or a trial, which is busy until it has told how it went
        self._ca = b""
        self._joining = None
        self._saved = False  # a broker's settings are: the hub starts again
        self._gatt = None
        self._lamp_ms = 0
        log("commissioning is open")
        self._begin()
        self.press()
        self._tasks.append(asyncio.create_task(self._watch()))

    def _begin(self):
        app = self._app
        names = [way.link.name for way in app.courier.ways]
        console = app.board.console()
        door = Door(self, console, SERIAL)
        from kanhu_hub.improv import Improv

        door.improv = Improv(console.write, self)
        micropython.kbd_intr(-1)  # in an Improv packet it is a byte like any other
        self._doors.append(door)
        if "serial" not in names:
            self._tasks.append(asyncio.create_task(_read(console)))
        if self.aead and app.board.radio:
            from kanhu_hub.board.gatt import of

            self._gatt = of(app.board.radio, self.hub_id)
            self._doors.append(Door(self, self._gatt, BLE))
            self._gatt.want("commissioning", True)
        if app.config.wifi and not names:
            self._station().back(app.config.wifi)  # nothing else uses it

    def press(self):
        """The hub's own button: for a while from now on."""
        self._until_ms = self.now() + _OPEN_MS
        for door in self._doors:
            door.shut = False
            door.wrong = 0

    # What comes

    def take(self, door, body):
        """One sealed message; False: it does not fit the code."""
        if not self.aead:
            return True
        try:
            message = seal.parse(body, seal.MAX_DOWN)
            plain = message.open(self.aead, self.hub_id, seal.DOWN)
        except ValueError:
            return False
        if message.a != self.boot or (message.b, message.c) <= self._last:
            door.hello()
            return True
        self._last = (message.b, message.c)
        if door.detail == BLE:
            self._gatt.used()
        try:
            fields = cbor.loads(plain)
            why = self._do(door, fields["do"], fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            why = "malformed"
        if why:
            door.say({"is": "refused", "why": why})
        return True

    def sealed(self, message):
        """A map of docs/commissioning.md as the body of a frame."""
        self._n += 1
        return seal.seal(self.aead, 1, self.hub_id, seal.UP, self.boot, self._n, 0, cbor.dumps(message))

    def _do(self, door, what, fields):
        if what == "status":
            door.say(self._status())
        elif what == "time":
            clock = self._app.clock
            changed = clock.set(_number(fields["utc_ms"]), 2)
            if changed:
                self._app.recorder.record(k.CLOCK_SET, {})
            door.say({"is": "time", "ok": changed or not clock.fault})
        elif what == "identify":
            self._identify()
            door.say(self._status())
        elif what == "ca":
            at, data = _number(fields["at"]), bytes(fields["data"])
            if not at:
                self._ca = b""
            if at == len(self._ca) and at + len(data) <= _CA:
                self._ca += data
            door.say({"is": "ca", "size": len(self._ca)})
        elif what == "scan":
            return None if self.scan(door) else "busy"
        elif what == "set":
            return self._set(door, fields)
        else:
            return "unknown"
        return None

    def _status(self):
        app = self._app
        station = self._station()
        name = station.station.config("ssid")
        return {
            "is": "status",
            "firmware": app.state()[k.FIRMWARE],
            "mac": station.station.config("mac"),
            "link": app.courier.ready(),
            "wifi": name or (app.config.wifi or [None])[0],
            "rssi": station.rssi(),
            "clock": app.clock.source is not None,
            "busy": self._busy(),
            "broker": app.config.broker[0] if app.config.broker else None,
        }

    def _identify(self):
        from kanhu_hub.indicator import PATTERNS

        PATTERNS["identify"] = ("##..##..##..##..##..", "#....#")
        app = self._app
        if not self._lamp_ms:
            app.indicator.choose = lambda: app.alarms.shown() or "identify"
        self._lamp_ms = self.now() + _IDENTIFY_MS
        app.indicator.look()

    def _busy(self):
        return self._saved or self._job is not None

    def _station(self):
        if not self._joining:
            from kanhu_hub.board.joining import Joining

            self._joining = Joining()
        return self._joining

    # What Improv asks for

    def state(self):
        """Improv's state."""
        from kanhu_hub import improv

        if self._busy():
            return improv.PROVISIONING
        return improv.PROVISIONED if self._station().station.isconnected() else improv.READY

    def device(self):
        """Firmware, its version, hardware, name."""
        chip = getattr(sys.implementation, "_machine", sys.platform)
        return "Kanhu", self._app.state()[k.FIRMWARE], chip[:60], "Kanhu " + self.hub_id

    def wifi(self, improv, ssid, password):
        """Improv's settings: False while others are being tried."""
        return self._set(improv, {"wifi": [ssid, password]}) is None

    def scan(self, asker):
        """asker.found(rows) follows; False while settings are being tried."""
        if self._busy():
            return False
        self._job = asyncio.create_task(self._scan(asker))
        return True

    async def _scan(self, asker):
        found = await self._station().scan(self._app.config.wifi)
        self._job = None
        asker.found(found)

    # Settings

    def _set(self, door, fields):
        if self._busy():
            return "busy"
        from kanhu_hub import attempt, config

        nvs = self._app.board.nvs
        old = nvs.blob("config")
        new = attempt.settings(cbor.loads(old) if old else {}, fields)
        ca = fields.get("ca")
        if ca is True:
            ca = self._ca
            if not ca:
                return "no_ca"
        elif ca is not None and not 0 < len(bytes(ca)) <= _CA:
            return "malformed"
        read = config.read(self.hub_id, cbor.dumps(new))
        if [name for name in read.wrong if name in fields] or not (read.wifi or read.network == "ppp"):
            return "malformed"
        self._job = asyncio.create_task(self._try(door, new, read, ca))
        return None

    async def _try(self, door, new, read, ca):
        from kanhu_hub import attempt

        app = self._app
        told = getattr(door, "tell", None)
        tell = told or self._said
        trial = attempt.Attempt(app, self._station(), read, ca, tell, self._log)
        step = "done"
        try:
            await trial.run()
            why = "not_saved"
            attempt.save(app.board.nvs, new, ca)
        except attempt.Failed as error:
            step, why, more, rssi = error.args
            tell(step, False, why=why, more=more, rssi=rssi)
        except (OSError, ValueError) as error:
            tell(step, False, why=why, more=repr(error))
            await trial.back()
        else:
            app.config.wifi = read.wifi
            app.config.network = read.network
            app.recorder.record(k.PROVISIONED, {k.DETAIL: door.detail if told else IMPROV})
            self._saved = bool(read.broker)
            tell(step, True)
            self._log("new network settings are in force")
            why = None
        if trial.again and not self._saved:
            self._saved = True  # back on what it had by a new start only
        self._job = None
        door.tried(why is None)

    def _said(self, step, ok, **more):
        self._log("improv: %s %s" % (step, "ok" if ok else more.get("why")))

    # Until it closes

    async def _watch(self):
        app = self._app
        works_ms = hello_ms = self.now()
        done_ms = None
        while True:
            now = self.now()
            if self._lamp_ms and now >= self._lamp_ms:
                self._lamp_ms = 0
                app.indicator.choose = app.shown
            if now >= hello_ms:
                hello_ms = now + _HELLO_MS
                for door in self._doors:
                    if not door.shut and self.aead:
                        door.hello()
            if self._saved:
                done_ms = done_ms or now
                self._restart(now - done_ms)
            elif self._busy():
                works_ms = now
            else:
                if app.courier.cut_off_ms():
                    works_ms = now
                lacks = len(app.courier.ways) < len(app.config.links)
                over = now >= self._until_ms or now - works_ms >= _WORKS_MS
                if not [door for door in self._doors if not door.shut] or (over and not lacks):
                    break
            for door in self._doors:
                if door.detail == BLE:
                    self._gatt.want("commissioning", not door.shut)
            await app.clock.sleep_ms(_LOOK_MS)
        self._close()

    def _restart(self, since_ms):
        app = self._app
        if since_ms < _LINGER_MS or app.alarms.shown():
            return  # the new link runs already
        outbox = app.outbox
        if since_ms < _STORED_MS and (outbox.urgent or outbox.flight):
            return
        try:
            app.board.nvs.set_i32("reset", _REQUESTED)
        except OSError:
            pass
        app.board.reset()

    def _close(self):
        app = self._app
        app.commissioned = (self._last, self._n)
        app.commissioning = None
        self._log("commissioning is closed")
        for door in self._doors:
            door.stream.tap = None
        micropython.kbd_intr(3)
        if self._lamp_ms:
            app.indicator.choose = app.shown
        if self._gatt:
            self._gatt.want("commissioning", False)
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        drop = self._drop
        drop("kanhu_hub.improv", "kanhu_hub.attempt", "kanhu_hub.config", "kanhu_hub.board.joining")
        if not [way for way in app.courier.ways if way.number != 1]:
            drop("kanhu_protocol.frame")
        drop("kanhu_hub.commissioning")


async def _read(stream):
    # The tap does the rest.
    while True:
        await stream.read()


def _number(value):
    if not isinstance(value, int) or value < 0:
        raise ValueError
    return value
