"""The hub's MQTT link, on MicroPython, against a broker that misbehaves."""

from __future__ import annotations

import ast
import asyncio
import struct

from helpers_hub_link import HUB, run_hub
from helpers_scripted_broker import PINGREQ, PUBACK, SUBSCRIBE, Peer, ScriptedBroker, split_publish
from kanhu_protocol import mqtt

STALLED = """
async def main():
    global link
    net.send_buffer = 4096
    fast = Clock(speed=10)
    link = MqttLink(Config, net, fast, Rng(), said.append, window=2000)
    await link.open()
    await both(link)
    given = 0

    async def bulk():
        nonlocal given
        try:
            while True:
                await link.send(1, 5, (b"%06d" % given) + bytes([given & 255]) * 500)
                given += 1
        except LinkError as error:
            print(error.args[0])

    task = asyncio.create_task(bulk())
    await until(lambda: link._sessions[1]._out)
    slowest = calls = 0
    while link._sessions[1].failure is None:
        begin = time.ticks_ms()
        await link.send(0, 1, b"call")
        slowest = max(slowest, time.ticks_diff(time.ticks_ms(), begin))
        calls += 1
        await asyncio.sleep_ms(20)
    await task
    print(calls, slowest, link._sessions[0].connects, link._sessions[1].failure.args[0])
    await until(lambda: link.connected(1))
    await link.send(1, 5, b"again")
    await until(lambda: not link._sessions[1]._inflight)
    await link.close()
"""


async def test_a_stalled_bulk_connection_does_not_delay_calls():
    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-2") and broker.connects.count(peer.client_id) == 1:
            await asyncio.sleep(60)
        await peer.serve()

    async with ScriptedBroker(script, receive_buffer=4096) as broker:
        closed, last = await run_hub(STALLED, broker.port)
    calls, slowest, connects, reason = last.split()
    assert closed == "closed"
    assert reason in {"silent", "puback"}  # whichever limit this clock's coarse steps pass first
    assert int(calls) > 20
    assert int(slowest) < 200
    assert int(connects) == 1, "the urgent session must not notice"


SLOW = """
async def main():
    global link
    net.send_buffer = 4096
    link = MqttLink(Config, net, clock, Rng(), said.append, window=100)
    await link.open()
    await both(link)
    for number in range(200):
        # above the socket's buffer now and then, so that it takes only a part
        payload = (b"%06d" % number) + bytes([number & 255]) * (9000 if number % 10 < 2 else 900)
        if number % 3 == 0:  # callers that give up must not tear a packet
            task = asyncio.create_task(link.send(1, 5, payload))
            await asyncio.sleep_ms(1)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
        else:
            await link.send(1, 5, payload)
    await until(lambda: not link._sessions[1]._inflight)
    await link.close()
"""


async def test_partial_writes_and_cancelled_sends_keep_the_stream_whole():
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-1"):
            await peer.serve()
        while True:
            topic, packet_id, payload = await peer.next_publish()
            assert topic == f"{HUB}/up/p5"
            got.append(payload)
            await asyncio.sleep(0.002)
            await peer.puback(packet_id)

    async with ScriptedBroker(script, receive_buffer=4096) as broker:
        await run_hub(SLOW, broker.port)
    numbers = [int(payload[:6]) for payload in got]
    for number, payload in zip(numbers, got, strict=True):
        assert payload == b"%06d" % number + bytes([number & 255]) * (9000 if number % 10 < 2 else 900)
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= {n for n in range(200) if n % 3}


WINDOW = """
async def main():
    await link.open()
    await both(link)
    for number in range(20):
        await link.send(1, 5, b"%d" % number)
    print("done")
    await link.close()
"""


async def test_the_window_bounds_what_is_unacknowledged():
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        if peer.client_id.endswith("-1"):
            await peer.serve()
        owed: list[int] = []
        total = 0
        while total < 20:
            try:
                async with asyncio.timeout(0.3):
                    owed.append((await peer.next_publish())[1])
                    total += 1
                    most = max(most, len(owed))
            except TimeoutError:
                await peer.puback(owed.pop())
        for packet_id in owed:
            await peer.puback(packet_id)

    async with ScriptedBroker(script) as broker:
        assert await run_hub(WINDOW, broker.port) == ["done"]
    assert most == 8


NO_PUBACK = """
async def main():
    global link
    link = MqttLink(Config, net, Clock(speed=20), Rng(), said.append)
    await link.open()
    await both(link)
    try:
        for number in range(20):
            await link.send(1, 5, b"%d" % number)
    except LinkError as error:
        print(error.args[0])
    print(link._sessions[1].failure.args[0])
    await link.close()
"""


async def test_a_broker_that_answers_pings_but_never_acknowledges_is_left():
    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-1"):
            await peer.serve()
        while True:
            await peer.next(PINGREQ)
            await peer.send(b"\xd0\x00")

    async with ScriptedBroker(script) as broker:
        lines = await run_hub(NO_PUBACK, broker.port)
    assert lines == ["closed", "puback"]


BAD = """
async def main():
    await link.open()
    print((await link.receive()).decode())
    print(link.refused())
    await link.close()
"""


async def test_malformed_closes_and_comes_back():
    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-1") and broker.connects.count(peer.client_id) == 1:
            await peer.send(b"\x30\x03\x00\x01\xff")
        elif peer.client_id.endswith("-1"):
            await peer.send(mqtt.publish(f"{HUB}/down", b"good", 1, 1))
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        assert await run_hub(BAD, broker.port) == ["good", "1"]
    assert broker.connects.count("0123456789-1") == 2


async def test_oversize_is_acknowledged_counted_and_skipped():
    acknowledged: list[int] = []

    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-1"):
            await peer.send(mqtt.publish(f"{HUB}/down", bytes(300_000), 1, 7))
            acknowledged.extend(struct.unpack(">H", (await peer.next(PUBACK))[1]))
            await peer.send(mqtt.publish(f"{HUB}/down", b"good", 1, 8))
        await peer.serve()

    async with ScriptedBroker(script) as broker:
        assert await run_hub(BAD, broker.port) == ["good", "1"]
    assert acknowledged == [7]


SLOW_APP = """
async def main():
    await link.open()
    await until(lambda: link.connected(0))
    await asyncio.sleep_ms(500)
    print("waiting", len(link._sessions[0]._inbox))
    for _ in range(12):
        print((await link.receive()).decode())
    print(len(link._sessions[0]._inbox))
    await link.close()
"""


async def test_down_messages_are_acknowledged_when_taken():
    acknowledged: list[tuple[float, int]] = []
    accepted = 0.0

    async def script(peer: Peer) -> None:
        nonlocal accepted
        if peer.client_id.endswith("-2"):
            await peer.serve()
        loop = asyncio.get_running_loop()
        accepted = loop.time()
        for number in range(1, 13):
            await peer.send(mqtt.publish(f"{HUB}/down", b"%d" % number, 1, number))
        while True:
            _, body = await peer.next(PUBACK)
            acknowledged.append((loop.time(), int.from_bytes(body, "big")))

    async with ScriptedBroker(script) as broker:
        assert await run_hub(SLOW_APP, broker.port) == ["waiting 4", *map(str, range(1, 13)), "0"]
    assert [packet_id for _, packet_id in acknowledged] == list(range(1, 13))
    assert acknowledged[0][0] - accepted > 0.4, "acknowledged before the application had it"


REFUSED = """
async def main():
    await link.open()
    await until(lambda: link._sessions[0].failure and link._sessions[1].failure)
    print(link._sessions[0].failure.args[0], link.connected(0))
    await link.close()
"""


async def test_a_refused_credential_is_tried_again_later():
    async with ScriptedBroker(Peer.serve, connack=b"\x20\x02\x00\x05") as broker:
        assert await run_hub(REFUSED, broker.port) == ["not authorised (5) False"]


REASONS = """
async def main():
    await link.open()
    for _ in range(3):
        await until(lambda: link._sessions[0].failure)
        link._sessions[0].failure = None
        link.hurry()
    await asyncio.sleep_ms(1100)
    if net.dns:
        net.dns = False
        link._sessions[0]._resolver._address = None
        for _ in range(2):
            await until(lambda: "no address" in str(link._sessions[0].failure))
            link._sessions[0].failure = None
        await until(lambda: link._sessions[0].failure)
        await asyncio.sleep_ms(600)
    print(said)
    await link.close()
"""


async def test_the_log_says_why_there_is_no_connection_once_for_each_reason():
    async with ScriptedBroker(Peer.serve, connack=b"\x20\x02\x00\x05") as broker:
        (said,) = await run_hub(REASONS, broker.port)
    assert ast.literal_eval(said) == [
        "mqtt: broker.test: not authorised (5)",
        "mqtt: broker.test: no address",
    ]
    (said,) = await run_hub("net.dns = False\n" + REASONS, broker.port)
    assert ast.literal_eval(said) == ["mqtt: broker.test: no address"]
    (said,) = await run_hub(REASONS, broker.port)  # nobody listens there any more
    assert "ECONNREFUSED" in ast.literal_eval(said)[0]


async def test_a_refused_subscription_ends_the_connection():
    async def script(peer: Peer) -> None:
        if peer.client_id.endswith("-1"):
            _, body = await peer.next(SUBSCRIBE)
            await peer.send(b"\x90\x03" + body[:2] + b"\x80")
        await peer.serve()

    source = REFUSED.replace("and link._sessions[1].failure", "")
    async with ScriptedBroker(script) as broker:
        assert (await run_hub(source, broker.port))[0].startswith("subscribe")


HURRY = """
class Late:
    def getrandbits(self, n):
        return (1 << n) - 1

async def main():
    global link
    link = MqttLink(Config, net, clock, Late(), said.append)
    for session in link._sessions:
        session._backoff._limit_ms = 60000
    await link.open()
    await until(lambda: link._sessions[0].failure)
    begin = time.ticks_ms()
    try:
        await link.send(0, 1, b"call")
    except LinkError:
        pass
    await until(lambda: link.connected(0))
    print(time.ticks_diff(time.ticks_ms(), begin) < 5000, link.connected(1))
    await link.close()
"""


async def test_a_call_cuts_a_long_back_off_short():
    async def script(peer: Peer) -> None:
        if broker.connects.count(peer.client_id) > 1:
            await peer.serve()

    async with ScriptedBroker(script) as broker:
        assert await run_hub(HURRY, broker.port) == ["True False"]


FIRST = """
async def main():
    await link.open()
    await both(link)
    await link.send(0, 1, b"call")
    await asyncio.sleep_ms(100)
    await link.close()
"""


async def test_what_each_session_says_first():
    said: dict[str, list[tuple[int, int, bytes]]] = {}

    async def script(peer: Peer) -> None:
        packets = said.setdefault(peer.client_id, [])
        while True:
            packets.append(await peer.packet())

    async with ScriptedBroker(script) as broker:
        await run_hub(FIRST, broker.port)
    assert sorted(said) == ["0123456789-1", "0123456789-2"]
    assert said["0123456789-2"] == []
    (kind, _, body), (_, flags, online), (_, call_flags, call) = said["0123456789-1"]
    assert kind == SUBSCRIBE
    assert body[2:] == b"\x00\x1c" + f"{HUB}/down".encode() + b"\x01"
    topic, packet_id, payload = split_publish(flags, online)
    assert (topic, payload, flags) == (f"{HUB}/availability", b"online", 0b0011)
    topic, call_id, payload = split_publish(call_flags, call)
    assert (topic, payload, call_flags) == (f"{HUB}/up/p1", b"call", 0b0010)
    assert call_id not in {packet_id, int.from_bytes(body[:2], "big")}


BACKOFF = """
from kanhu_hub.links.backoff import Backoff

async def main():
    class Top:
        def getrandbits(self, n):
            return (1 << n) - 1

    backoff = Backoff(1000, 60000, Top())
    print(*[backoff.next_ms() for _ in range(8)])
    backoff.reset()
    print(backoff.next_ms())
    backoff = Backoff(1000, 60000, random)
    waits = []
    for _ in range(500):
        backoff.next_ms()
        waits.append(backoff.next_ms())
        backoff.reset()
    print(min(waits) < 200, 1800 < max(waits) < 2000, 800 < sum(waits) // 500 < 1200)
"""


async def test_back_off_doubles_to_its_limit_with_full_jitter():
    tops, again, spread = await run_hub(BACKOFF, 1)
    assert tops == "999 1998 3996 7992 15984 31968 59941 59941"
    assert again == "999"
    assert spread == "True True True"
