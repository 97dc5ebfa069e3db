"""A home for the hub's inputs, on MicroPython: virtual time that wraps like an ESP32's, pins, ADC, radio.

Plays one scenario, {"input", "start", "steps": [[ms, action, ...], ...]}, and show() prints what was emitted
as JSON: [[ms, kind, [[key, value], ...]], ...]. Time passes only here, in the steps that the code asks for.
"""

import asyncio
import gc
import json

from kanhu_hub import store
from kanhu_protocol import kinds as k

PERIOD = 1 << 30


class PowerCut(BaseException):
    """Ends everything at once; args[0]: the events until then."""


class Clock:
    def __init__(self, start):
        self.now = self.start = start
        self.sleepers = []

    def ticks_ms(self):
        return self.now % PERIOD

    def ticks_diff(self, a, b):
        return ((a - b + PERIOD // 2) & (PERIOD - 1)) - PERIOD // 2

    async def sleep_ms(self, ms):
        if ms <= 0:
            await asyncio.sleep(0)
            return
        due = [self.now + ms, asyncio.Event()]
        self.sleepers.append(due)
        try:
            await due[1].wait()
        finally:
            if due in self.sleepers:
                self.sleepers.remove(due)

    async def until(self, ms):
        """Time passes to ms after the start, every sleeper waking at its own moment."""
        end = self.start + ms
        while True:
            await settle()
            due = [s for s in self.sleepers if s[0] <= end]
            if not due:
                break
            self.now = max(self.now, min(s[0] for s in due))
            self._wake()
        self.now = end
        await settle()

    async def leap(self, ms):
        """Time passes at once: sleepers wake late, together."""
        self.now += ms
        self._wake()
        await settle()

    def _wake(self):
        for due in [s for s in self.sleepers if s[0] <= self.now]:
            self.sleepers.remove(due)
            due[1].set()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


class Flag:
    """As asyncio.ThreadSafeFlag, but not through the poller, which takes 1 ms a round on the unix port."""

    def __init__(self):
        self.event = asyncio.Event()

    def set(self):
        self.event.set()

    async def wait(self):
        await self.event.wait()
        self.event.clear()


class Pin:
    def __init__(self, level, flag):
        self.level = level
        self.flag = flag

    def value(self):
        return self.level

    def set(self, level):
        if level != self.level:
            self.level = level
            self.flag.set()


class Adc:
    uv = 2_730_000

    def read_uv(self):
        if self.uv is None:
            raise OSError(5)
        return self.uv


class Radio:
    def __init__(self):
        self.waiting = []
        self.event = asyncio.Event()

    async def heard(self):
        await self.event.wait()
        self.event.clear()
        heard, self.waiting = self.waiting, []
        if heard and heard[0] is None:
            raise OSError("radio")
        return heard

    def put(self, advertisements):
        self.waiting.extend(advertisements)
        self.event.set()


class Devices:
    """Rows [index, role, address, supervision_s, key?], address and key in hexadecimal."""

    def __init__(self, table, path):
        self.path = path
        self.set(table)

    def set(self, table):
        self.table = [
            [i, r, bytes.fromhex(a), s] + [bytes.fromhex(k) for k in key] for i, r, a, s, *key in table
        ]

    def all(self):
        return self.table


class Hub:
    """What the core is to an input: takes events; can fail like flash (False) or a full heap (raise)."""

    def __init__(self, clock):
        self.clock = clock
        self.events = []
        self.writes = 0
        self.cut = None
        self.answer = True
        self.raises = 0
        self.standing = []  # as said before the start, too

    def emit(self, kind, fields):
        if k.MAINS_LOST <= kind < k.EVENTS_LOST:  # as the hub does (faults.py): no end of what does not stand
            fault = [kind & ~1, fields.get(k.DEVICE, 0)]
            if not kind & 1:
                self.standing.append(fault)
            elif fault not in self.standing:
                return True
            else:
                self.standing.remove(fault)
        if self.cut == "event":  # the power goes before flash has it
            raise PowerCut(self.events)
        if self.raises:
            self.raises -= 1
            raise MemoryError
        self.events.append([self.clock.now - self.clock.start, kind, sorted(fields.items())])
        fields.clear()  # an emitted map is the core's
        return self.answer

    def watch_flash(self):
        """Count the files written, and cut the power before the next one if a step says so."""
        real = store.replace

        def replace(path, data):
            if self.cut == "file":
                raise PowerCut(self.events)
            real(path, data)
            self.writes += 1

        store.replace = replace


async def play(scenario):
    clock = Clock(scenario["start"])
    hub = Hub(clock)
    hub.watch_flash()
    flag = asyncio.ThreadSafeFlag() if scenario.get("real_flag") else Flag()
    pin = Pin(scenario.get("level", scenario["input"] == "button"), flag)
    adc = Adc() if scenario.get("supervised") else None
    if adc:
        adc.uv = scenario.get("uv", adc.uv)
    radio = Radio()
    devices = Devices(scenario.get("table", []), scenario.get("folder", "/nowhere") + "/devices")
    if scenario["input"] == "button":
        from kanhu_hub.inputs.call_button import CallButton

        thing = CallButton(pin, 7, hub.emit, clock, adc)
    elif scenario["input"] == "pir":
        from kanhu_hub.inputs.pir import Pir

        thing = Pir(pin, 7, hub.emit, clock, scenario.get("warm_up_ms", 60_000))
    else:
        from kanhu_hub.inputs.advertisements import Advertisements

        thing = Advertisements(radio, devices, hub.emit, clock)
    if scenario.get("edge_at_start"):
        pin.flag.set()
    task = asyncio.create_task(thing.run())
    for step in scenario["steps"]:
        at, action, rest = step[0], step[1], step[2:]
        await clock.until(at)
        if action == "level":
            pin.set(rest[0])
        elif action == "silently":  # an edge the interrupt missed
            pin.level = rest[0]
        elif action == "uv":
            adc.uv = rest[0]
        elif action == "leap":
            for _ in range(rest[1]):
                await clock.leap(rest[0])
            clock.start = clock.now - at
        elif action == "adv":
            radio.put([(bytes.fromhex(a), rssi, bytes.fromhex(data)) for a, rssi, data in rest])
        elif action == "radio_fails":
            radio.put([None])
        elif action == "table":
            devices.set(rest[0])
        elif action == "answer":
            hub.answer = rest[0]
        elif action == "raises":
            hub.raises = rest[0]
        elif action == "cut":
            hub.cut = rest[0]
    await settle()
    assert not task.done(), "run() ended"
    counts = {n: getattr(thing, n) for n in ("foreign", "refused", "malformed") if hasattr(thing, n)}
    counts["sensors"] = len(getattr(thing, "sensors", ()))
    counts["writes"] = hub.writes
    task.cancel()
    try:  # noqa: SIM105
        await task
    except asyncio.CancelledError:
        pass  # MicroPython has no contextlib
    await settle()
    counts["sleepers"] = len(clock.sleepers)
    return {"events": hub.events, "counts": counts}


def show(scenario):
    gc.collect()
    try:
        done = asyncio.run(play(json.loads(scenario)))
    except PowerCut as cut:
        done = {"events": cut.args[0], "counts": {}}
    print(json.dumps(done))
