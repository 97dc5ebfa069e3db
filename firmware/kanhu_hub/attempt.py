"""Tries new network settings, step by step, beside a hub that goes on; what works is for save()."""

import asyncio

from micropython import const

from kanhu_hub.clock import HOST, SNTP
from kanhu_hub.courier import Way
from kanhu_hub.links import URGENT, LinkError
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

_POLL_MS = const(200)
_BROKER_MS = const(25000)
_STORED_MS = const(30000)
_DIAL_MS = const(200000)
# How long a modem may stand at that word before it is the answer.
_PATIENCE_MS = {"no_modem": 30000, "no_sim": 12000, "pin_needed": 6000}
_FAILURES = const(2)  # attempts at a broker after which the reason is not a passing one


class Failed(Exception):
    """args: step, why, more or None, dBm or None."""


class _Ca:
    # What Tls asks NVS for.
    def __init__(self, ca):
        self._ca = ca

    def blob(self, name):
        return self._ca


class _Net:
    # The network under a link on trial, which notes why the link does not come.
    def __init__(self, net, with_tls):
        self.up = net.up
        self.rssi = net.rssi
        self.resolve = net.resolve
        self.connect = net.connect
        self._text = net.why if with_tls else str
        self.errors = []  # the last two

    def why(self, error):
        if error not in self.errors:
            self.errors = self.errors[-1:] + [error]
        return self._text(error)


def settings(old, message):
    """The config that the message asks for: `old` (a map) with what it gives."""
    new = dict(old)
    for name in ("wifi", "broker", "tls", "ntp", "network", "apn", "modem"):
        if name in message:
            new[name] = message[name]
    if "links" in new and "mqtt" not in new["links"]:
        new["links"] = new["links"] + ["mqtt"]
    return new


def save(nvs, new, ca):
    """The settings into NVS in one commit; OSError, ValueError when they do not fit."""
    if ca is not None:
        # Beside the bundle in force, which the config then lets go.
        new["ca"] = "ca" if new.get("ca") == "ca2" else "ca2"
        nvs.set_blob(new["ca"], ca)
    nvs.set_blob("config", cbor.dumps(new))


class Attempt:
    """config: as of kanhu_hub.config.read(); ca: bytes, or None for the one in NVS; tell(step, ok, ..)."""

    def __init__(self, app, joining, config, ca, tell, log):
        self._app = app
        self._joining = joining
        self._config = config
        self._ca = ca
        self._tell = tell
        self._log = log
        self._way = self._ppp = None
        self._tasks = []
        self._held = []
        self._moved = False  # the station has left its network
        self._own = None  # what the host behind the new broker is to store
        self._stored = False
        self.told = False  # the clock, by whoever has the code
        self.again = False  # the hub has to start again to be what it was

    async def run(self):
        """Returns when all that could be tried works; Failed when it does not, and all is as before."""
        step = "join"
        try:
            net = await self._network()
            if self._config.broker:
                step = "time"
                await self._time()
                step = "broker"
                await self._broker(net)
                step = "proof"
                await self._proof()
        except BaseException as error:
            await self.back()
            if isinstance(error, Exception) and not isinstance(error, Failed):
                why = "not_joined" if step == "join" else "broker_unreachable"
                raise Failed(step, why, repr(error), None)
            raise

    async def _network(self):
        app, config, joining = self._app, self._config, self._joining
        if config.network == "ppp":
            return await self._dialled()
        stays = app.config.wifi == config.wifi and joining.station.isconnected()
        await self._hold(not stays)
        rssi = joining.rssi()
        if not stays:
            self._moved = True
            why, more, rssi = await joining.join(*config.wifi)
            if why:
                raise Failed("join", why, more, rssi)
        self._tell("join", True, rssi=rssi, why=joining.weak(rssi))
        if not await joining.address():
            raise Failed("address", "no_address", None, joining.rssi())
        joining.keep()
        self._tell("address", True)
        from kanhu_hub.board.wifi import Wifi

        return Wifi(*config.wifi)

    async def _dialled(self):
        app, config = self._app, self._config
        had = app.config.network == "ppp"
        same = had and (app.config.apn, app.config.modem) == (config.apn, config.modem)
        await self._hold(False)
        if same:
            net = app.board.network(app.config, self._log)
        else:
            from kanhu_hub.board.ppp import Ppp

            if had:
                app.board.network(app.config, self._log).close()
                self.again = True
            net = self._ppp = Ppp(config, self._log)
        word, since_ms, left_ms = "", 0, _DIAL_MS
        while not net.up():
            if net.why() != word:
                word, since_ms = net.why(), 0
            since_ms += _POLL_MS
            left_ms -= _POLL_MS
            if left_ms < 0 or since_ms > _PATIENCE_MS.get(word, _DIAL_MS):
                raise Failed("address" if word == "no_address" else "join", word, None, net.rssi())
            await app.clock.sleep_ms(_POLL_MS)
        self._tell("join", True, rssi=net.rssi())
        self._tell("address", True)
        return net

    async def _hold(self, moves):
        # The running broker's link rests where it would be in the way: on the air, or by its name.
        app = self._app
        old, new = app.config.broker, self._config.broker
        if moves or (old and new and old[:2] == new[:2]):
            for way in app.courier.ways:
                if way.number == 1:
                    way.link.held = True
                    self._held.append(way.link)
                    await way.link.close()

    async def _time(self):
        clock, config = self._app.clock, self._config
        more = "neither a time server nor the host gave the time"
        if config.ntp:
            try:
                utc_ms = await self._app.board.sntp(*config.ntp)
                more = "the time server is not believed"
                if clock.set(utc_ms, SNTP):
                    self.told = False
                    self._app.recorder.record(k.CLOCK_SET, {})
            except OSError as error:
                more = "%s is silent: %r" % (config.ntp[0], error)
        if clock.source is None and (config.ntp or config.tls):
            raise Failed("time", "clock_not_set", more, None)
        source = HOST if self.told else clock.source
        self._tell("time", True, more={SNTP: "sntp", HOST: "host"}.get(source, "unset"))

    async def _broker(self, net):
        from kanhu_hub.links.mqtt import MqttLink

        app, config = self._app, self._config
        if config.tls:
            from kanhu_hub.links.tls import Tls

            nvs = app.board.nvs if self._ca is None else _Ca(self._ca)
            net = Tls(net, config.broker[0], nvs, app.clock, config.ca)
        net = _Net(net, config.tls)
        link = MqttLink(config, net, app.clock, app.board.rng, self._log)
        way = self._way = Way(link)
        way.met = False
        courier = app.courier
        courier.ways = courier.ways + [way]
        create = asyncio.create_task
        self._tasks = [create(self._receive(way))]
        self._tasks.append(create(courier.urgent(way, _nothing)))
        self._tasks.append(create(courier.bulk(way, _nothing)))
        why, more = "broker_unreachable", "no answer"
        for _ in range(_BROKER_MS // _POLL_MS):
            if link.connected(URGENT):
                self._tell("broker", True)
                return
            for error in net.errors:
                more = net.why(error)
                why, final = _why(error, more, config.tls)
                if final or len(net.errors) == _FAILURES:
                    raise Failed("broker", why, more, None)
            await app.clock.sleep_ms(_POLL_MS)
        raise Failed("broker", why, more, None)

    async def _receive(self, way):
        app = self._app
        await way.link.open()
        while True:
            try:
                message = await way.link.receive()
            except LinkError:
                await app.clock.sleep_ms(_POLL_MS)
                continue
            way.met = app.down(message) or way.met
            self._stored = way.met and self._own not in app.outbox.urgent

    async def _proof(self):
        app = self._app
        outbox = app.outbox
        # What waits since this start will do; what is older, a host may have its reasons not to take.
        if not outbox.urgent or outbox.urgent[-1].name[0] < app.recorder.boot:
            app.recorder.record(k.TEST_CALL, {k.FLAGS: k.TEST})
        self._own = outbox.urgent[-1]
        self._stored = False
        for _ in range(_STORED_MS // _POLL_MS):
            if self._stored:
                self._tell("proof", True)
                return
            await app.clock.sleep_ms(_POLL_MS)
        raise Failed("proof", "not_stored", None, None)

    def broken(self):
        """Whether a task of the new link has stopped."""
        return any(task.done() for task in self._tasks)

    async def back(self):
        """As it was before run()."""
        app = self._app
        for task in self._tasks:
            task.cancel()
        if self._way:
            app.courier.ways = [way for way in app.courier.ways if way is not self._way]
            await self._way.link.close()
        if self._ppp:
            self._ppp.close()
        if self._moved:
            self._joining.back(app.config.wifi)
        for link in self._held:
            link.held = False  # and opens again by itself


def _nothing():
    pass


def _why(error, text, with_tls):
    # (why, whether another attempt would say the same)
    if isinstance(error, LinkError):
        if text.endswith(")") or text == "subscribe":
            return "broker_refused", True
        return ("clock_not_set", True) if "time" in text else ("broker_unreachable", False)
    if "address" in text:  # links/dns.py's
        return "dns", False
    number = error.args[0] if error.args else None
    # mbedTLS' own numbers are negative.
    if with_tls and (text.startswith("tls:") or not isinstance(number, int) or number < 0):
        return "tls", True
    return "broker_unreachable", False
