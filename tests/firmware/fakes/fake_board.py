"""A board for tests under MicroPython: virtual time, pins that tests move, NVS that outlives a boot."""

import asyncio
import asyncio.core as core

_AHEAD_MS = 1 << 40


class Time:
    """Virtual milliseconds; asyncio sleeps pass in no time at all."""

    def __init__(self, start=0, period=1 << 30):
        self.ms = start
        self.period = period

    def ticks_ms(self):
        return self.ms % self.period

    def ticks_diff(self, a, b):
        half = self.period // 2
        return (a - b + half) % self.period - half

    async def sleep_ms(self, ms):
        await asyncio.sleep_ms(ms)


def virtual(time):
    """Let asyncio wait on `time` instead of the real clock, from a new event loop on."""

    def wait_io_event(queue, dt):
        assert dt >= 0, "every task waits for what never comes"
        time.ms += dt

    core.new_event_loop()
    # The task queue (C) dates new tasks by the real clock: virtual time runs far ahead of it.
    core.ticks = asyncio.ticks = lambda: _AHEAD_MS + time.ms
    core.IOQueue.wait_io_event = wait_io_event


class Flag:
    """A ThreadSafeFlag that virtual time can wait on."""

    def __init__(self):
        self.state = 0

    def set(self):
        self.state = 1

    def clear(self):
        self.state = 0

    async def wait(self):
        while not self.state:
            await asyncio.sleep_ms(5)
        self.state = 0


class Nvs:
    def __init__(self, **values):
        self.values = values
        self.failing = False

    def i32(self, key, default):
        return self.values.get(key, default)

    def blob(self, key):
        return self.values.get(key)

    def set_i32(self, key, value):
        if self.failing:
            raise OSError(5)
        self.values[key] = value

    set_blob = set_i32


class Pin:
    def __init__(self, level=0):
        self.level = level
        self.flag = Flag()

    def value(self, level=None):
        if level is None:
            return self.level
        self.level = level

    def move(self, level):
        self.level = level
        self.flag.set()


class Rng:
    def getrandbits(self, bits):
        return 1 << (bits - 1)


class Console:
    """Two ends of a wire: the test's and the hub's."""

    def __init__(self):
        self.coming = b""
        self.gone = b""

    async def read(self):
        while not self.coming:
            await asyncio.sleep_ms(10)
        data, self.coming = self.coming, b""
        return data

    def write(self, data):
        self.gone += data

    def taken(self):
        data, self.gone = self.gone, b""
        return data


class Board:
    radio = None
    rng = Rng()

    def __init__(self, nvs, time=None):
        self.nvs = nvs
        self.time = time or Time()
        self.ticks_ms = self.time.ticks_ms
        self.ticks_diff = self.time.ticks_diff
        self.sleep_ms = self.time.sleep_ms
        self.pins = {}
        self.wire = Console()
        self.feeds = 0
        self.resets = 0
        self.rtc = None
        self.watchdog_ms = 0

    def input(self, number, pull_up):
        return self.pins.setdefault(number, Pin(int(pull_up)))

    def output(self, number):
        return self.pins.setdefault(number, Pin())

    def adc(self, number):
        raise AssertionError("no ADC here")

    def console(self):
        return self.wire

    def set_rtc(self, utc_ms):
        self.rtc = utc_ms

    def watchdog(self, timeout_ms):
        self.watchdog_ms = timeout_ms

    def feed(self):
        self.feeds += 1

    def reset(self):
        self.resets += 1
        raise SystemExit

    def reset_cause(self):
        return 1
