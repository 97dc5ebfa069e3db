"""What may be asked for while commissioning is open, sealed or by Improv, one thing at a time."""

import asyncio
import sys

from micropython import const

from kanhu_hub.ccm import Ccm
from kanhu_hub.clock import HOST, SNTP
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k

IMPROV = 3  # DETAIL of provisioned

_GENERATION = const(1)  # of the commissioning key
_IDENTIFY_MS = const(5000)
_CA = const(1024)  # bytes, as are the next two (IEEE 802.11)
_SSID = const(32)
_PASSWORD = const(64)
_STORED = const(1016)  # bytes of settings that NVS gives back, less those that name the CA bundle
_MORE = const(200)  # characters for a technician: a message up has 512 bytes
_LATEST_MS = const(3094168447000)  # 2068-01-19, the last that an ESP32's clock takes


class Requests:
    """Its answers go to the door that asked; `saved`: the hub has to start again."""

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
        self._job = None  # a scan or a trial, which is busy until it has told how it went
        self._trial = None
        self.saved = False
        self.over = False  # the time for it is: nothing more is begun
        self._told = False  # the clock is as it was told here
        self._ca = b""
        self._joining = None
        self._lamp_ms = 0

    def close(self):
        """Nothing will be asked any more."""
        self._app.commissioned = (self._last, self._n)
        self.tick(self._lamp_ms)

    def joining(self):
        """The Wi-Fi station."""
        if not self._joining:
            from kanhu_hub.board.joining import Joining

            self._joining = Joining()
        return self._joining

    def busy(self):
        """Whether something is being done, or the hub is about to start again."""
        return self.saved or self._job is not None

    def broken(self):
        """Whether the link that was tried has stopped."""
        return not self._trial or self._trial.broken()

    def tick(self, now):
        """A few times a second."""
        if self._lamp_ms and now >= self._lamp_ms:
            self._lamp_ms = 0
            self._app.indicator.choose = self._app.shown

    # Sealed

    def take(self, door, body):
        """One sealed message, True; False: it does not fit the code; None: it was for another time."""
        try:
            message = seal.parse(body, seal.MAX_DOWN)
            plain = message.open(self.aead, self.hub_id, seal.DOWN)
        except ValueError:
            return False
        if message.a != self.boot or (message.b, message.c) <= self._last:
            door.hello()
            return None
        self._last = (message.b, message.c)
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
        plain = cbor.dumps(message)
        return seal.seal(self.aead, _GENERATION, self.hub_id, seal.UP, self.boot, self._n, 0, plain)

    def _do(self, door, what, fields):
        if what == "status":
            door.say(self._status())
        elif what == "time":
            clock, utc_ms = self._app.clock, _number(fields["utc_ms"])
            if utc_ms > _LATEST_MS:
                return "malformed"
            # The code is not the hub's key: this binds the hub no more than a time server's word does.
            changed = clock.source != HOST and clock.set(utc_ms, SNTP)
            if changed:
                self._told = True
                self._app.recorder.record(k.CLOCK_SET, {})
            door.say({"is": "time", "ok": changed or not clock.fault})
        elif what == "identify":
            self._identify()
            door.say(self._status())
        elif what == "ca":
            at, data = _number(fields["at"]), _bytes(fields["data"])
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
        joining = self.joining()
        station = joining.station
        return {
            "is": "status",
            "firmware": app.state()[k.FIRMWARE],
            "mac": station.config("mac"),
            "link": app.courier.ready(),
            "wifi": station.config("ssid") or (app.config.wifi or [None])[0],
            "rssi": joining.rssi(),
            "clock": app.clock.source is not None,
            "busy": self.busy(),
            "broker": app.config.broker[0] if app.config.broker else None,
        }

    def _identify(self):
        from kanhu_hub.indicator import PATTERNS

        PATTERNS["identify"] = ("##..##..##..##..##..", "#....#")
        app = self._app
        app.indicator.choose = lambda: app.alarms.shown() or "identify"
        self._lamp_ms = self.now() + _IDENTIFY_MS
        app.indicator.look()

    # Improv

    def state(self):
        """Improv's state."""
        from kanhu_hub import improv

        if self.busy():
            return improv.PROVISIONING
        return improv.PROVISIONED if self.joining().station.isconnected() else improv.READY

    def device(self):
        """Firmware, its version, hardware, name."""
        chip = getattr(sys.implementation, "_machine", sys.platform)
        return "Kanhu", self._app.state()[k.FIRMWARE], chip[:60], "Kanhu " + self.hub_id

    def wifi(self, improv, ssid, password):
        """Improv's settings: False while something else is being done."""
        fields: dict = {"wifi": [ssid, password]}
        if self._app.config.network == "ppp":
            fields["network"] = "wifi"
        return self._set(improv, fields) is None

    # Both

    def scan(self, asker):
        """asker.found(rows) follows; False while something else is being done."""
        if self.busy() or self.over:
            return False
        self._job = asyncio.create_task(self._scan(asker))
        return True

    async def _scan(self, asker):
        try:
            found = await self.joining().scan(self._app.config.wifi)
        except Exception as error:
            sys.print_exception(error)
            found = []
        self._job = None
        asker.found(found)

    def _set(self, door, fields):
        if self.busy() or self.over:
            return "busy"
        from kanhu_hub import attempt, config

        old = self._app.board.nvs.blob("config")
        new = attempt.settings(cbor.loads(old) if old else {}, fields)
        ca = fields.get("ca")
        if ca is True:
            ca = self._ca
            if not ca:
                return "no_ca"
        elif ca is not None and not 0 < len(_bytes(ca)) <= _CA:
            return "malformed"
        raw = cbor.dumps(new)
        read = config.read(self.hub_id, raw)
        if [name for name in read.wrong if name in fields] or not (read.wifi or read.network == "ppp"):
            return "malformed"
        # To be without a broker could not be tried, and no hub would call any more.
        if len(raw) > _STORED or fields.get("broker", read) is None:
            return "malformed"
        if read.network == "ppp" and _pins(read).intersection(read.modem[1:3]):
            return "malformed"
        if read.wifi and (len(read.wifi[0].encode()) > _SSID or len(read.wifi[1].encode()) > _PASSWORD):
            return "malformed"
        del config
        self._drop("kanhu_hub.config")
        self._job = asyncio.create_task(self._try(door, new, read, ca))
        return None

    async def _try(self, door, new, read, ca):
        try:
            await self._tried(door, new, read, ca)
        except Exception as error:  # whatever is half done: a new start is not
            sys.print_exception(error)
            self.saved = True
            self._job = None

    async def _tried(self, door, new, read, ca):
        from kanhu_hub import attempt

        app = self._app
        sealed = hasattr(door, "tell")
        tell = door.tell if sealed else self._said
        trial = self._trial = attempt.Attempt(app, self.joining(), read, ca, tell, self._log)
        trial.told = self._told
        works = False
        try:
            await trial.run()
            attempt.save(app.board.nvs, new, ca)
            works = True
            if read.broker and read.tls:
                app.clock.keep_floor(0)  # a certificate was good then: the next start begins with it
        except attempt.Failed as error:
            step, why, more, rssi = error.args
            tell(step, False, why=why, more=more and more[:_MORE], rssi=rssi)
        except (OSError, ValueError) as error:
            await trial.back()
            tell("done", False, why="not_saved", more=repr(error))
        if works:
            app.config.wifi = read.wifi
            app.config.network = read.network
            app.recorder.record(k.PROVISIONED, {k.DETAIL: door.detail if sealed else IMPROV})
            tell("done", True)
            self._log("new network settings are in force")
        # Else a modem that has another task by now is had back by a new start only.
        self.saved = bool(read.broker) if works else trial.again
        self._job = None
        door.tried(works)

    def _said(self, step, ok, **more):
        self._log("improv: %s %s" % (step, "ok" if ok else more.get("why")))


def _pins(config):
    # What inputs, lamp and buzzer are on: a modem on one of them would silence it.
    used = {config.lamp, config.buzzer, config.mains, config.cancel}
    for row in config.buttons + config.pirs:
        used.update(row[1:])
    return used


def _number(value):
    if not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _bytes(value):
    if not isinstance(value, bytes):
        raise ValueError
    return value
