"""An MQTT 3.1.1 broker that forgets all that a broker may: its PUBACK promises nothing."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kanhu.sim.world.net import End, Net
from kanhu_protocol import mqtt

QUEUED_MAX = 1000  # messages for a client that is away: mosquitto's default, and like it the rest is dropped
INFLIGHT_MAX = 20  # messages without PUBACK to one client: mosquitto's default
LOSES_SESSIONS = 0.3  # chance that a restart loses all sessions, as a broker without persistence does
LOSES_MESSAGE = 0.3  # chance that it loses one message it has acknowledged
CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 8, 10, 12, 14


class Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool = False


class Session:
    """What a broker keeps of a client."""

    def __init__(self, clean: bool) -> None:
        self.clean = clean
        self.filters: dict[str, int] = {}
        self.queue: deque[Message] = deque()
        self.inflight: dict[int, Message] = {}
        self.connection: Connection | None = None
        self.last_id = 0


class Connection:
    """One client's connection at the broker: an asyncio protocol."""

    end: End

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._held = b""
        self.session: Session | None = None
        self.client_id = ""
        self.will: Message | None = None
        self._limit_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: End) -> None:
        self.end = transport
        self._broker.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self._timer is not None:
            self._watch()
        for kind, flags, body in self._packets():
            if self.session is None and kind != CONNECT:
                self.end.close()
                return
            self._take(kind, flags, body)

    def connection_lost(self, error: Exception | None) -> None:
        self.over()

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def over(self) -> None:
        """The connection is gone: the will is said, a clean session forgotten."""
        if self._timer is not None:
            self._timer.cancel()
        if self in self._broker.connections:
            self._broker.connections.remove(self)
        session, self.session = self.session, None
        if session is not None and session.connection is self:
            session.connection = None
            if session.clean:
                self._broker.sessions.pop(self.client_id, None)
        will, self.will = self.will, None
        if will is not None:
            self._broker.route(will)

    def _watch(self) -> None:
        # Of a client that has gone silent the will is published after 1.5 times its keep-alive (3.1.2.10).
        if self._timer is not None:
            self._timer.cancel()
        if self._limit_s:
            self._timer = self._broker.net.loop.call_later(
                self._limit_s, self._silent, context=self._broker.net.context
            )

    def _silent(self) -> None:
        self.end.close()
        self.over()

    def _packets(self) -> Iterator[tuple[int, int, bytes]]:
        while len(self._held) > 1:
            size = shift = 0
            at = 1
            while at < len(self._held):
                byte = self._held[at]
                size |= (byte & 127) << shift
                shift += 7
                at += 1
                if byte < 128:
                    break
            else:
                return
            if len(self._held) < at + size:
                return
            head, body = self._held[0], self._held[at : at + size]
            self._held = self._held[at + size :]
            yield head >> 4, head & 15, body

    def _take(self, kind: int, flags: int, body: bytes) -> None:
        if kind == CONNECT:
            self._connect(body)
        elif kind == mqtt.PUBLISH:
            topic, rest = _field(body, 0)
            qos = flags >> 1 & 3
            if qos:
                packet_id = int.from_bytes(body[rest : rest + 2], "big")
                rest += 2
                self.end.write(mqtt.puback(packet_id))
            self._broker.route(Message(topic.decode(), body[rest:], qos, bool(flags & mqtt.RETAIN)))
        elif kind == mqtt.PUBACK and self.session is not None:
            self.session.inflight.pop(int.from_bytes(body[:2], "big"), None)
            self.pump()
        elif kind == SUBSCRIBE:
            self._subscribe(body)
        elif kind == PINGREQ:
            self.end.write(b"\xd0\x00")
        elif kind == DISCONNECT:
            self.will = None

    def _connect(self, body: bytes) -> None:
        at = 7  # protocol name and level
        flags = body[at]
        keep_alive_s = int.from_bytes(body[at + 1 : at + 3], "big")
        client_id, at = _field(body, at + 3)
        if flags & 4:
            topic, at = _field(body, at)
            payload, at = _field(body, at)
            self.will = Message(topic.decode(), payload, flags >> 3 & 3, bool(flags & 32))
        self.client_id = client_id.decode()
        self._limit_s = 1.5 * keep_alive_s
        self._watch()
        self.session, present = self._broker.session(self, bool(flags & 2))
        self.end.write(bytes((0x20, 2, int(present), 0)))
        for packet_id, message in self.session.inflight.items():
            self.end.write(mqtt.publish(message.topic, message.payload, 1, packet_id, dup=True))
        self.pump()

    def _subscribe(self, body: bytes) -> None:
        session = self.session
        if session is None:
            return
        at, granted = 2, []
        while at < len(body):
            name, at = _field(body, at)
            session.filters[name.decode()] = body[at]
            granted.append(body[at])
            at += 1
            self._broker.retained_for(session, name.decode())
        self.end.write(bytes((0x90, 2 + len(granted))) + body[:2] + bytes(granted))
        self.pump()

    def pump(self) -> None:
        """Send what waits, as far as the window allows."""
        session = self.session
        while session is not None and session.queue and len(session.inflight) < INFLIGHT_MAX:
            message = session.queue.popleft()
            if not message.qos:
                self.end.write(mqtt.publish(message.topic, message.payload, retain=message.retain))
                continue
            session.last_id = session.last_id % 65535 + 1
            session.inflight[session.last_id] = message
            self.end.write(
                mqtt.publish(message.topic, message.payload, 1, session.last_id, retain=message.retain)
            )


class Broker:
    """Listens at (host, port) of the net; stop() and start() are a restart."""

    def __init__(self, net: Net, host: str, port: int, chance: random.Random) -> None:
        self.net = net
        self.address = (host, port)
        self._chance = chance
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Message] = {}
        self.connections: list[Connection] = []
        self.dropped = 0  # messages acknowledged and then not passed on

    def start(self) -> None:
        """Accept connections."""
        self.net.listen(*self.address, lambda: Connection(self))

    def stop(self) -> None:
        """kill -9: connections are reset; of what was acknowledged a part is gone, perhaps all sessions."""
        self.net.listen(*self.address, None)
        for connection in self.connections[:]:
            connection.will = None
            connection.end.vanish(answered=True)
            connection.over()
        if self._chance.random() < LOSES_SESSIONS:
            self.dropped += sum(len(one.queue) + len(one.inflight) for one in self.sessions.values())
            self.sessions.clear()
            self.retained.clear()
            return
        for session in self.sessions.values():
            kept = [one for one in session.queue if self._chance.random() >= LOSES_MESSAGE]
            self.dropped += len(session.queue) - len(kept)
            session.queue = deque(kept)

    def session(self, connection: Connection, clean: bool) -> tuple[Session, bool]:
        """The session of a client that connects, and whether there was one; another connection is ended."""
        client_id = connection.client_id
        old = self.sessions.get(client_id)
        if old is not None and old.connection is not None:
            other = old.connection
            other.end.close()
            other.over()
            old = self.sessions.get(client_id)
        present = old is not None and not clean
        session = old if old is not None and present else Session(clean)
        session.clean = clean
        session.connection = connection
        self.sessions[client_id] = session
        return session, present

    def route(self, message: Message) -> None:
        """To every session that has subscribed to it."""
        if message.retain:
            self.retained[message.topic] = message
        for session in list(self.sessions.values()):
            if any(_matches(name, message.topic) for name in session.filters):
                self._give(session, message._replace(retain=False))

    def retained_for(self, session: Session, name: str) -> None:
        """What is retained, for a new subscription."""
        for message in list(self.retained.values()):
            if _matches(name, message.topic):
                self._give(session, message)

    def _give(self, session: Session, message: Message) -> None:
        if session.connection is None and len(session.queue) >= QUEUED_MAX:
            self.dropped += 1
            return
        session.queue.append(message)
        if session.connection is not None:
            session.connection.pump()


def _field(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : end], end


def _matches(name: str, topic: str) -> bool:
    wanted, parts = name.split("/"), topic.split("/")
    for position, part in enumerate(wanted):
        if part == "#":
            return True
        if position >= len(parts) or (part != "+" and part != parts[position]):
            return False
    return len(wanted) == len(parts)
