"""MQTT link: two broker sessions, so that a backlog of P2 to P5 never stands in front of a call."""

import asyncio

from micropython import const

from kanhu_hub.links import URGENT
from kanhu_hub.links.backoff import Backoff
from kanhu_hub.links.dns import Resolver
from kanhu_hub.links.mqtt_session import LAST_ID, TICK_MS, Session
from kanhu_protocol import VERSION

_MIN_BACKOFF_MS = const(1000)
_MAX_BACKOFF_MS = const(60000)
_KEEP_ALIVE_S = const(30)  # default; the broker publishes the will after 1.5 times this silence
_WINDOW = const(8)  # default; publishes without PUBACK per session


class MqttLink:
    """One session per lane; config.hub_id and config.broker = (host, port, user, password)."""

    name = "mqtt"
    held = False  # not to be opened: other settings are being tried

    def __init__(self, config, net, clock, rng, log, keep_alive_s=_KEEP_ALIVE_S, window=_WINDOW):
        from kanhu_protocol import mqtt  # for the first packets only

        host, port, user, password = config.broker
        user, password = user or None, password or None
        client_id = config.hub_id
        topics = f"kanhu/{VERSION}/hubs/{client_id}/"
        availability = topics + "availability"
        will = (availability, b"offline", 1, True)
        resolver = Resolver(net, clock)

        def session(hello, first):
            backoff = Backoff(_MIN_BACKOFF_MS, _MAX_BACKOFF_MS, rng)
            return Session(net, clock, resolver, backoff, (host, port), hello, first, keep_alive_s, window)

        self._class_topic = topics + "up/p"
        self._net = net
        self._why = getattr(net, "why", str)
        self._log = log
        self._host = host
        self._said = None  # why there was no connection, as logged
        self._watcher = None
        self._sessions = (
            session(
                mqtt.connect(client_id + "-1", keep_alive_s, False, will, user, password),
                mqtt.subscribe(LAST_ID + 1, [(topics + "down", 1)])
                + mqtt.publish(availability, b"online", 1, LAST_ID + 2, retain=True),
            ),
            # Clean: it subscribes to nothing, so the broker has nothing to keep for it.
            session(mqtt.connect(client_id + "-2", keep_alive_s, True, None, user, password), b""),
        )

    async def open(self):
        """Start both sessions and return at once; connected() and wait() tell when a lane is usable."""
        if self._watcher is None and not self.held:
            for session in self._sessions:
                session.start()
            self._watcher = asyncio.create_task(self._watch())

    async def send(self, lane, cls, payload):
        """Publish sealed events of class 1..5; returns once the socket has them; else LinkError."""
        if lane == URGENT and not self.connected(lane):
            self.hurry()
        await self._sessions[lane].publish(self._class_topic + str(cls), payload)

    async def receive(self):
        """The next down message, over reconnections; LinkError when closed."""
        return await self._sessions[URGENT].receive()

    async def close(self):
        """End both sessions; the broker then publishes the will."""
        watcher = self._watcher
        self._watcher = None
        if watcher:
            watcher.cancel()
        for session in self._sessions:
            await session.stop()

    def connected(self, lane):
        """Whether the lane can send now."""
        return self._sessions[lane].connected()

    def hurry(self):
        """A call is waiting: do not sit out a long back-off."""
        self._sessions[URGENT].hurry()

    def rssi(self):
        """dBm, or None when the network has none."""
        return self._net.rssi()

    def refused(self):
        """Packets from the broker that were malformed or too long, since start."""
        return sum(session.refused for session in self._sessions)

    async def _watch(self):
        while True:
            await asyncio.sleep_ms(TICK_MS)
            for session in self._sessions:
                session.tick()
            self._tell()

    def _tell(self):
        # For whoever reads the console: a line when the reason changes, not for each attempt.
        said = None
        for session in self._sessions:
            if session.failure and not session.connected():
                said = self._why(session.failure)
                break
        if said != self._said:
            self._said = said
            self._log("mqtt: %s: %s" % (self._host, said or "connected"))
