"""The hub's MQTT link, on MicroPython, against real brokers."""

from __future__ import annotations

from helpers_broker import Broker
from helpers_hub_link import HUB, hub, line, run_hub
from helpers_micropython import ROOT, mpy_size
from helpers_mqtt import observing, until

MPY_LIMIT = 5000  # bytes


def test_small_enough():
    sizes = {
        name: mpy_size(ROOT / f"firmware/kanhu_hub/links/{name}.py")
        for name in ("backoff", "dns", "mqtt", "mqtt_session")
    }
    print(sizes)
    assert sum(sizes.values()) < MPY_LIMIT + 1000
    assert max(sizes.values()) < MPY_LIMIT


BACKLOG = """
async def main():
    await link.open()
    await both(link)
    sent = 0

    async def bulk():
        nonlocal sent
        for number in range(1000):
            await link.send(1, 2 + number % 4, b"%d" % number)
            sent += 1

    task = asyncio.create_task(bulk())
    slowest = 0
    calls = 0
    while sent < 1000:
        begin = time.ticks_ms()
        await link.send(0, 1, b"call %d %d" % (calls, sent))
        slowest = max(slowest, time.ticks_diff(time.ticks_ms(), begin))
        calls += 1
        await asyncio.sleep_ms(5)
    await task
    await until(lambda: not any(s._inflight for s in link._sessions))
    print(calls, slowest)
    await link.close()
"""


async def test_a_backlog_does_not_delay_calls(broker: Broker):
    async with observing(broker.port) as seen:
        ((calls, slowest),) = [map(int, text.split()) for text in await run_hub(BACKLOG, broker.port)]
        await until(lambda: seen.on("/availability") == [b"online", b"offline"])
        await until(lambda: len(seen.on("/up/p1")) == calls)
        bulk = [p for t, p in seen.messages if t[-2:] in {"p2", "p3", "p4", "p5"}]
        assert sorted(bulk, key=int) == [b"%d" % n for n in range(1000)]
        for cls in (2, 3, 4, 5):
            assert seen.on(f"/up/p{cls}") == [b"%d" % n for n in range(1000) if n % 4 == cls - 2]
        assert calls >= 2
        assert slowest < 500, f"a call waited {slowest} ms"


DOWN = """
async def main():
    await link.open()
    for _ in range(10):
        print((await link.receive()).decode())
    await asyncio.sleep_ms(300)  # a close may overtake the last PUBACKs: then they come once more
    await link.close()
    try:
        await link.receive()
    except LinkError as error:
        print(error.args[0])
    try:
        await link.send(0, 1, b"x")
    except LinkError as error:
        print(error.args[0])
"""


async def test_down_messages_wait_for_the_hub(broker: Broker):
    async with observing(broker.port) as seen:
        subscribe_only = "async def main():\n    await link.open()\n    await both(link)\n" + (
            "    await asyncio.sleep_ms(300)\n    await link.close()"
        )
        await run_hub(subscribe_only, broker.port)
        for number in range(10):
            await seen.client.publish(f"{HUB}/down", b"%d" % number)
        lines = await run_hub(DOWN, broker.port)
        assert sorted(lines[:10]) == [str(n) for n in range(10)]
        assert lines[10:] == ["closed", "closed"]
        # Acknowledged: a new connection gets none of them again.
        await seen.client.publish(f"{HUB}/down", b"new")
        assert await run_hub(DOWN.replace("range(10)", "range(1)"), broker.port) == [
            "new",
            "closed",
            "closed",
        ]


RECOVER = """
async def main():
    await link.open()
    while True:
        await both(link)
        await link.send(0, 1, b"call")
        await link.send(1, 5, b"heartbeat")
        print("up")
        await until(lambda: not link.connected(0) and not link.connected(1), 60000)
        try:
            await link.send(0, 1, b"lost")
        except LinkError:
            print("down")
"""


async def test_recovers_from_a_killed_broker(broker: Broker):
    with hub(RECOVER, broker.port) as process:
        assert await line(process) == "up"
        broker.kill()
        assert await line(process) == "down"
        broker.start()
        async with observing(broker.port, f"{HUB}/up/+") as seen:
            assert await line(process) == "up"
            await until(lambda: {p for _, p in seen.messages} == {b"call", b"heartbeat"})


async def test_power_loss_publishes_the_will(broker: Broker):
    async with observing(broker.port, f"{HUB}/availability") as seen:
        with hub(RECOVER, broker.port) as process:
            assert await line(process) == "up"
            await until(lambda: seen.on("availability") == [b"online"])
            process.kill()
            await until(lambda: seen.on("availability") == [b"online", b"offline"])
        async with observing(broker.port, f"{HUB}/availability", client_id="late") as late:
            await until(lambda: late.on("availability") == [b"offline"])


NO_DNS = """
async def main():
    net.dns = False
    await link.open()
    await asyncio.sleep_ms(500)
    print(net.asked > 0, link.connected(0))
    net.dns = True
    await both(link)
    net.dns = False
    print("up")
    asked = net.asked
    await until(lambda: not link.connected(0), 60000)
    await until(lambda: net.asked > asked + 1, 60000)
    print("asked")
    await both(link)
    print("up")
    await link.close()
"""


async def test_the_last_good_address_is_used_when_dns_fails(broker: Broker):
    with hub(NO_DNS, broker.port) as process:
        assert await line(process) == "True False"
        assert await line(process) == "up"
        broker.kill()
        assert await line(process) == "asked"
        broker.start()
        assert await line(process) == "up"
        assert process.wait(20) == 0


NO_WIFI = """
async def main():
    net.wifi = False
    await link.open()
    await asyncio.sleep_ms(1200)
    print(net.asked)
    net.wifi = True
    begin = time.ticks_ms()
    await both(link)
    print(time.ticks_diff(time.ticks_ms(), begin) < 1500)
    await link.close()
"""


async def test_no_attempt_without_network_and_no_back_off_after(broker: Broker):
    assert await run_hub(NO_WIFI, broker.port) == ["0", "True"]


FROZEN = """
async def main():
    global link
    link = MqttLink(Config, net, Clock(speed=20, start=0x3FFFFFFF - 2000), Rng(), said.append)
    await link.open()
    await both(link)
    print("up")
    await until(lambda: not link.connected(0) and not link.connected(1), 60000)
    print(link._sessions[0].failure.args[0])
    await both(link)
    print("up")
    await asyncio.sleep_ms(4000)
    print(link._sessions[0].connects)
    await link.close()
"""


async def test_a_silent_broker_is_left_and_found_again(broker: Broker):
    """Also: 80 s of the link's time over a wrap of the ticks, with pings, keep the second connection."""
    with hub(FROZEN, broker.port) as process:
        assert await line(process) == "up"
        broker.freeze()
        assert await line(process) == "silent"
        broker.thaw()
        assert await line(process) == "up"
        assert await line(process) == "2"
