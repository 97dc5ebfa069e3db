"""Fuzz targets of what comes from a network, a wire or the air: MQTT, serial, BTHome, commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import SimpleNamespace
from typing import Any

from file_targets import room
from protocol_targets import Run


def pieces(data: bytes) -> list[bytes]:
    """The bytes after the first, cut where the first says."""
    step = (data[0] & 0x3F) + 1 if data else 1
    return [data[start : start + step] for start in range(1, len(data), step)]


def mqtt_codec() -> Run:
    """However the bytes arrive: the same packets, or an error both ways; what is held is bounded."""
    from kanhu_protocol import mqtt

    bound = 1280

    def feed(chunks: list[bytes]) -> list[Any] | None:
        decoder = mqtt.Decoder(bound)
        found = []
        for chunk in chunks:
            try:
                found += decoder.feed(chunk)
            except mqtt.MqttError as error:
                assert isinstance(error.args[0], str)
                return None
            assert len(decoder._held) <= bound
        return found

    def run(data: bytes) -> None:
        assert feed([data[1:]]) == feed(pieces(data))

    return run


class _Transport:
    """Takes what is written; closing is remembered."""

    def __init__(self) -> None:
        self.closing = False
        self.written = bytearray()

    def set_write_buffer_limits(self, high: int) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.closing = True

    close = abort


def mqtt_host() -> Run:
    """The daemon's connection: any bytes end it cleanly at worst."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    from kanhu.links.mqtt_connection import READ_MAX, Connection, Counters
    from kanhu_protocol import mqtt

    loop = asyncio.new_event_loop()

    async def converse(data: bytes) -> None:
        counters = Counters()
        owed = []

        def on_message(topic: str, payload: bytes, ack: Any) -> None:
            assert topic
            assert len(payload) < 4096
            owed.append(ack)

        connection = Connection(b"hello", 30, 4, 4, 4096, on_message, counters)
        transport = _Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        chunks = pieces(data)
        if data and data[0] & 0x80:  # as a broker that has accepted, with two publishes owed
            chunks.insert(0, b"\x20\x02\x00\x00")
        asked = None
        for number, chunk in enumerate(chunks):
            if transport.closing:
                break
            connection.get_buffer(READ_MAX)[: len(chunk)] = chunk
            connection.buffer_updated(len(chunk))
            if connection.up and number == 0:
                asked = asyncio.ensure_future(connection.subscribe([("a", 1)]))
                for _ in range(6):
                    connection.publish("b", b"c", 1, False, connection._loop.create_future())
                await asyncio.sleep(0)
            assert len(connection._owed) <= 8
        for ack in owed:
            ack()
        await asyncio.sleep(0)
        assert not counters.failed_handlers
        assert counters.malformed <= 1
        connection.connection_lost(None)
        if asked is not None:
            await asyncio.gather(asked, return_exceptions=True)
            asked = asked.exception()
            assert asked is None or type(asked).__name__ == "LinkDown", asked
        assert connection.closed.done()
        assert not mqtt.Decoder(4096).feed(b"")

    def run(data: bytes) -> None:
        loop.run_until_complete(converse(data))

    return run


class _Wire:
    """Both ends of a hub's socket: gives the chunks, then ends."""

    out_buf = b""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    async def read(self, _: int) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


def mqtt_hub() -> Run:
    """The hub's session: any bytes end the connection for a reason it names, and never its task."""
    import shim

    shim.install()
    from kanhu_hub.links import LinkError
    from kanhu_hub.links.mqtt_session import Session
    from kanhu_protocol.mqtt_packets import MqttError

    loop = asyncio.new_event_loop()

    class Board:
        """Clock, network, resolver and back-off in one."""

        wire: _Wire

        def ticks_ms(self) -> int:
            return 0

        def ticks_diff(self, a: int, b: int) -> int:
            return a - b

        def up(self) -> bool:
            return True

        async def resolve(self, *_: Any) -> str:
            return "broker"

        async def connect(self, *_: Any) -> Any:
            return self.wire, self.wire

        def doubt(self) -> None: ...

        def reset(self) -> None: ...

        def next_ms(self) -> int:
            return 1 << 40

    async def drain(session: Any) -> None:
        while True:
            assert isinstance(await session.receive(), (bytes, bytearray))

    async def converse(data: bytes) -> None:
        board = Board()
        chunks = pieces(data)
        if data and data[0] & 0x80:
            chunks.insert(0, b"\x20\x02\x00\x00")
        board.wire = _Wire(chunks)
        session = Session(board, board, board, board, ("broker", 1), b"hello", b"first", 30, 4)
        session.start()
        reader = asyncio.ensure_future(drain(session))
        for _ in range(8 * len(data) + 50):
            await asyncio.sleep(0)
            if session.failure:
                break
        assert isinstance(session.failure, (LinkError, MqttError)), repr(session.failure)
        assert not session._task.done()
        await session.stop()
        (ended,) = await asyncio.gather(reader, return_exceptions=True)
        assert isinstance(ended, LinkError), repr(ended)

    def run(data: bytes) -> None:
        loop.run_until_complete(converse(data))

    return run


class _Inlet:
    def __init__(self) -> None:
        self.submitted = self.refused = 0

    def submit(self, hub_id: str, body: bytes, link: str) -> None:
        assert len(hub_id) == 10
        self.submitted += 1

    def refuse(self, link: str, reason: str) -> None:
        assert reason in ("malformed", "unknown_hub")
        self.refused += 1

    def present(self, hub_id: str, link: str) -> None:
        assert len(hub_id) == 10


def serial_host() -> Run:
    """A port's bytes: hellos, events and log lines; every frame is taken or refused, and counted."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    from kanhu.links.serial import HUB_LINE_MAX, OUTGOING_MAX, SerialLink
    from kanhu_protocol import frame

    def run(data: bytes) -> None:
        inlet: Any = _Inlet()
        link = SerialLink("fuzz://", inlet)
        if data and data[0] & 0x80:  # beyond the CRC: a hello, then events
            link._received(frame.encode(frame.HELLO, data[1 : frame.MAX_FRAME - 4]))
            link._received(frame.encode(frame.UP, data[1 : frame.MAX_FRAME - 4]))
        for chunk in pieces(data):
            link._received(chunk)
        assert link._outgoing.qsize() <= OUTGOING_MAX
        assert len(link._line) <= HUB_LINE_MAX
        assert link.hub_id is None or len(link.hub_id) == 10

    return run


def bthome() -> Run:
    """An advertisement's objects lie inside it, in order; a cut or unknown one is the last."""
    import shim

    shim.install()
    from kanhu_hub.inputs import bthome

    def run(data: bytes) -> None:
        found = bthome.service_data(data)
        for service in (found, data):
            if service is None or not bthome.version_2(service) or service[0] & bthome.ENCRYPTED:
                continue
            ended = False
            for what, value in bthome.objects(service):
                assert not ended
                if what == -1:
                    assert 0 < value <= len(service)
                    ended = True
                elif isinstance(value, int):
                    assert 0 <= value < 1 << 64
                else:
                    assert len(value) < len(service)

    return run


def monitors() -> Run:
    """A health monitor's characteristic: an event that a host believes, or ValueError; never a number that no
    living person has. The first byte says of which, the second its quirks."""
    from kanhu_hub.inputs.monitors import (
        blood_pressure,
        clock,
        glucose,
        heart_rate,
        pulse_oximeter,
        thermometer,
        weight_scale,
    )
    from kanhu_protocol import checks, names
    from kanhu_protocol import kinds as k

    modules = (blood_pressure, heart_rate, pulse_oximeter, thermometer, weight_scale, glucose)
    readers = [(module, uuid) for module in modules for uuid, _ in module.CHARACTERISTICS]

    def of_clock(data: bytes) -> None:
        try:
            local_s = clock.decode(data)
        except ValueError:
            return
        assert clock.encode(0x2A08, local_s) == data[:7]

    def of_control_point(data: bytes) -> None:
        with contextlib.suppress(ValueError):
            assert isinstance(glucose.done(data), bool)

    def run(data: bytes) -> None:
        which, bits, data = *data[:2].ljust(2, b"\0"), data[2:]
        of_clock(data)
        of_control_point(data)
        module, uuid = readers[which % len(readers)]
        try:
            fields = module.parse(uuid, data, bits)
        except ValueError:
            return
        if not fields:
            assert uuid == glucose.CONTROL_POINT
            return
        kind = k.VITALS if k.VALUES in fields else k.VITALS_INVALID
        assert not checks.check({k.KIND: kind, k.UP_MS: 0, **fields})
        for code, mantissa, exponent, *_ in fields.get(k.VALUES, ()):
            assert code in names.QUANTITIES
            assert 0 <= mantissa * 10.0**exponent <= 1081
        if uuid == 0x2A18:
            assert 0 <= glucose.sequence(data) < 1 << 16

    return run


def bthome_encrypted() -> Run:
    """What no key sealed is never believed, nor a message twice; what the key sealed and is new always is."""
    import shim

    shim.install()
    from kanhu_hub.ccm import Ccm
    from kanhu_hub.inputs.encrypted import Counters, Guard
    from kanhu_protocol import kinds as k

    address, key = b"\x54\x48\xe6\x8f\x80\xa5", bytes(range(16))
    ccm = Ccm(key, 4)
    path = str(room() / "heard")

    def sealed(counter: int, plain: bytes) -> bytes:
        count = counter.to_bytes(4, "little")
        whole = ccm.seal(address + b"\xd2\xfc\x41" + count, plain, b"")
        return b"\x41" + whole[:-4] + count + whole[-4:]

    def run(data: bytes) -> None:
        events: list[Any] = []
        caller = not data or data[0] & 1
        sensor = SimpleNamespace(device=3, role=1 if caller else 2)
        counters = Counters(path, [[3, sensor.role, address, 0, key]])
        counters.rows.clear()
        guard = Guard(sensor, address, key, counters, lambda kind, fields: events.append((kind, fields)))
        sent: list[bytes] = []
        taken: list[bytes] = []
        highest = -1  # and counters below it are marked until a restart is proven or a day is over
        low_s: int | None = None
        for chunk in pieces(data):
            how, number = chunk[0] & 3, chunk[0] >> 2
            genuine = False
            if how == 0:
                service = sealed(number, chunk[1:])
                sent.append(service)
                genuine = True
            elif how == 1 and sent:
                service = sent[number % len(sent)]
                genuine = True
            elif how == 2 and sent:
                service = bytearray(sent[number % len(sent)])
                service[len(chunk) * 7 % len(service)] ^= 1 << (number & 7)
                service = bytes(service)
                genuine = service in sent
            else:
                service = chunk
            plain = guard.open(service)
            known = service[-8:] in taken[-8:]
            if plain is None:
                # A call that its key sealed is at most doubted, never lost.
                assert not genuine or known or not caller
                continue
            assert genuine
            assert not known
            counter = int.from_bytes(service[-8:-4], "little")
            doubted = bool(guard.flags & k.UNVERIFIED)
            assert doubted == (counter <= highest)
            assert plain[1:] == ccm.open(
                address + b"\xd2\xfc\x41" + service[-8:-4], service[1:-8] + service[-4:], b""
            )
            guard.taken(True)
            taken.append(service[-8:])
            if not caller:  # three rising ones, or danger: tests/inputs has the cases
                highest = guard._highest
            elif not doubted or (low_s or 0) >= 86_400:
                highest, low_s = counter, None
            elif low_s is None:
                low_s = 0
            guard.passed(number * 1000)
            if low_s is not None:
                low_s += number
        if taken:
            again = Counters(path, [[3, sensor.role, address, 0, key]])
            assert again.rows[address][1:] == (b"".join(taken[-8:]), highest)
        assert all(kind == k.SENSOR_DOUBTED and 0 < fields[k.DETAIL] < 6 for kind, fields in events)

    return run


def commands() -> Run:
    """What a platform says: commands in order or one sentence; each answer is JSON."""
    from kanhu.uplink.commands import CommandError, parse, reply

    def run(data: bytes) -> None:
        try:
            found = parse(data)
        except CommandError as error:
            found = [error]
        assert found
        for command in found:
            error_text = str(command) if isinstance(command, CommandError) else None
            answer = json.loads(reply(command.id, error_text))
            assert answer["ok"] is (error_text is None)
            assert answer.get("id") == command.id

    return run


def city_events() -> Run:
    """What the SDK reads from the broker: an event or NotAnEvent."""
    from kanhu.platform.event import NotAnEvent, parse

    def run(data: bytes) -> None:
        try:
            event = parse(data)
        except NotAnEvent:
            return
        assert event.event_class in ("p1", "p2", "p3", "p4", "p5")
        assert isinstance(event.hub, str)
        assert isinstance(event.name, str)
        assert event.identity.source
        assert event.alarm is None or isinstance(event.alarm, str)

    return run
