# A board of the shape of kanhu_hub.board.Board whose pins, NVS, Wi-Fi and time belong to a world.
import asyncio
import random

import wire
from micropython import const

_PERIOD = const(1 << 30)  # ms: ESP32's ticks
_HALF = const(1 << 29)
_CONNECT_MS = const(10000)
_SEND_BUFFER = const(5744)  # bytes: lwIP's TCP_SND_BUF in stock ESP32 builds
_SNTP_MS = const(30)
_OPEN = const(2)  # a pin's level when nothing drives it: its pull


class Flag:
    def __init__(self):
        self._event = asyncio.Event()
        self.set = self._event.set
        self.clear = self._event.clear

    async def wait(self):
        await self._event.wait()
        self._event.clear()


class Pin:
    def __init__(self, level, pull=0):
        self.level = level
        self.pull = pull
        self.flag = Flag()

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level

    def move(self, level):
        if level != self.level:
            self.level = level
            self.flag.set()


class Nvs:
    def __init__(self, values, flash):
        self._values = values
        self._flash = flash

    def i32(self, key, default):
        value = self._values.get(key)
        return default if value is None else value

    def blob(self, key):
        return self._values.get(key)

    def _set(self, key, value, data):
        if self._flash.failing:
            raise OSError(-0x1105)
        if not self._flash.spend():
            wire.die("cut")
        self._values[key] = value
        wire.say(b"N", key.encode() + b"=" + data)

    def set_i32(self, key, value):
        self._set(key, value, b"i%d" % value)

    def set_blob(self, key, value):
        self._set(key, bytes(value), b"b" + bytes(value))


class Stream:
    """A TCP connection: what asyncio's StreamReader offers of it."""

    def __init__(self, number):
        self._name = number.to_bytes(4, "little")
        self._came = asyncio.Event()
        self._data = b""
        self._ended = None  # b"": by the other side; else OSError's number
        self._room = _SEND_BUFFER
        self.opened = False
        self.out_buf = b""

    async def opening(self):
        while not self.opened and self._ended is None:
            self._came.clear()
            await self._came.wait()
        if not self.opened:
            raise OSError(self._ended or 111)

    async def read(self, size):
        while not self._data:
            if self._ended is not None:
                if self._ended:
                    raise OSError(self._ended)
                return b""
            self._came.clear()
            await self._came.wait()
        data, self._data = self._data[:size], self._data[size:]
        return data

    def write(self, data):
        if self._ended:
            raise OSError(self._ended)
        taken = min(len(data), self._room)
        if taken:
            self._room -= taken
            wire.say(b"D", self._name + data[:taken])
        self.out_buf = data[taken:]

    def close(self):
        wire.say(b"X", self._name)
        self._ended = 9
        self._came.set()

    async def wait_closed(self):
        pass

    def heard(self, kind, data):
        if kind == b"c":
            self.opened = True
        elif kind == b"d":
            self._data += data
        elif kind == b"k":
            self._room += int.from_bytes(data, "little")
            return
        else:
            self._ended = int.from_bytes(data, "little")
        self._came.set()


class Wifi:
    def __init__(self, up):
        self._up = up
        self._streams = {}
        self._number = 0
        for kind in (b"c", b"d", b"k", b"x"):
            wire.handlers[kind] = lambda data, kind=kind: self._heard(kind, data)
        wire.handlers[b"w"] = self._turned

    def _turned(self, data):
        self._up = data == b"1"

    def _heard(self, kind, data):
        stream = self._streams.get(int.from_bytes(data[:4], "little"))
        if stream:
            stream.heard(kind, data[4:])
            if kind == b"x":
                del self._streams[int.from_bytes(data[:4], "little")]

    def up(self):
        return self._up

    def rssi(self):
        return -60 if self._up else None

    async def resolve(self, host, port):
        if not self._up:
            raise OSError(-202)
        return (host, port)

    async def connect(self, address):
        self._number += 1
        stream = self._streams[self._number] = Stream(self._number)
        wire.say(b"C", self._number.to_bytes(4, "little") + f"{address[0]}:{address[1]}".encode())
        try:
            await asyncio.wait_for_ms(stream.opening(), _CONNECT_MS)
        except BaseException as error:
            stream.close()
            if isinstance(error, asyncio.TimeoutError):
                raise OSError(110)
            raise
        return stream, stream


class Radio:
    """Hears what the world puts on the air; no advertisement is lost."""

    overflows = 0

    def __init__(self):
        self._heard = []
        self._flag = Flag()
        self._count = 0
        wire.handlers[b"a"] = self._came

    def start(self):
        pass

    def _came(self, data):
        self._heard.append((data[:6], data[6] - 256, data[7:]))
        self._flag.set()

    async def heard(self):
        while not self._heard:
            await self._flag.wait()
        heard, self._heard = self._heard, []
        self._count += len(heard)
        return heard

    def report(self):
        count, self._count = self._count, 0
        return [100, count]


class Board:
    """tick_start: what the ticks show at power-on; sntp_ms: UTC less the world's time, None: no server."""

    rng = random

    def __init__(self, nvs, tick_start, wifi_up, sntp_ms, cause, radio):
        self.nvs = nvs
        self._tick_start = tick_start - wire.now
        self._wifi = Wifi(wifi_up)
        self._cause = cause
        self.sntp_ms = sntp_ms
        self.pins = {}
        self.driven = {}  # pin number as text: the level it has at the start, whatever its pull
        self.radio = Radio() if radio else None
        self.sleep_ms = asyncio.sleep_ms
        wire.handlers[b"p"] = self._moved
        wire.handlers[b"t"] = self._clocked

    def _moved(self, data):
        pin = self.pins.get(data[0])
        if pin:
            pin.move(pin.pull if data[1] == _OPEN else data[1])

    def _clocked(self, data):
        self.sntp_ms = int(data) if data else None

    def ticks_ms(self):
        return (self._tick_start + wire.now) & (_PERIOD - 1)

    def ticks_diff(self, end, start):
        return ((end - start + _HALF) & (_PERIOD - 1)) - _HALF

    def input(self, number, pull_up):
        pull = int(pull_up)
        return self.pins.setdefault(number, Pin(self.driven.get(str(number), pull), pull))

    def output(self, number):
        return self.pins.setdefault(number, Pin(0))

    def network(self, config, log):
        return self._wifi

    async def sntp(self, host, port):
        await asyncio.sleep_ms(_SNTP_MS)
        if self.sntp_ms is None or not self._wifi.up():
            raise OSError(110)
        return wire.now + self.sntp_ms

    def set_rtc(self, utc_ms):
        pass

    def watchdog(self, timeout_ms):
        pass

    def feed(self):
        pass

    def reset(self):
        wire.die("reset")

    def reset_cause(self):
        return self._cause
