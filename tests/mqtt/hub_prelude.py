# Runs on MicroPython: the board's room as the hub's MQTT link needs it. argv: port of the broker.
import asyncio
import random
import sys
import time

from kanhu_hub.links import LinkError  # noqa: F401 - for the scripts that follow
from kanhu_hub.links.mqtt import MqttLink

PORT = int(sys.argv[1])


class Net:
    wifi = True
    dns = True
    asked = 0
    send_buffer = 0

    def up(self):
        return self.wifi

    def rssi(self):
        return -60

    async def resolve(self, host, port):
        self.asked += 1
        if not self.dns:
            raise OSError(-2)
        return ("127.0.0.1", port)

    async def connect(self, address):
        reader, writer = await asyncio.open_connection(*address)
        if self.send_buffer:
            writer.s.setsockopt(1, 7, self.send_buffer)  # SOL_SOCKET, SO_SNDBUF
        return reader, writer


class Clock:
    """Ticks of an ESP32, which wrap at 2^30 ms; speed > 1 makes the link's time pass faster."""

    def __init__(self, speed=1, start=0):
        self.speed = speed
        self.start = start - time.ticks_ms() * speed

    def ticks_ms(self):
        return (self.start + time.ticks_ms() * self.speed) & 0x3FFFFFFF

    def ticks_diff(self, a, b):
        return ((a - b + 0x20000000) & 0x3FFFFFFF) - 0x20000000


class Config:
    hub_id = "0123456789"
    broker = ("broker.test", PORT, None, None)


class Rng:
    """Jitter of a tenth, so that tests do not wait."""

    def getrandbits(self, n):
        return random.getrandbits(n) // 10


async def both(link):
    await until(lambda: link.connected(0) and link.connected(1))


async def until(condition, ms=20000):
    while not condition():
        await asyncio.sleep_ms(5)
        ms -= 5
        assert ms > 0, "waited too long"


net = Net()
said = []  # lines of the log
clock = Clock()
link = MqttLink(Config, net, clock, Rng(), said.append)
