"""A home with ten days behind it; its families' page is served from a thread, browsers wait in another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from helpers_family import PIN, Place, running
from helpers_intake import Clock
from kanhu.registry import operators
from kanhu_protocol import events
from kanhu_protocol import kinds as k

T = TypeVar("T")
HOUR, DAY = 3_600_000, 86_400_000
WANG, LI = "王秀兰", "李建国"
LIMITS = {"systolic": {"low": 90, "high": 140}, "diastolic": {"high": 90}, "temperature": {"high": 37.3}}
# Upper, lower, pulse in the mornings of ten days, and so much lower in the evenings.
MORNINGS = (
    (136, 84, 71), (129, 81, 68), (133, 86, 74), (127, 79, 66), (144, 91, 78),
    (131, 83, 70), (128, 80, 69), (134, 85, 73), (126, 78, 67), (130, 82, 70),
)  # fmt: skip
EVENING = (7, 4, 3)


async def say_at(place: Place, at_ms: int, kind: int, device: int = 0, **more: Any) -> None:
    """The hub says something that happened then, and it arrives then."""
    now_ms, place.clock.now_ms = place.clock.now_ms, at_ms
    fields = {k.UTC_MS: at_ms, k.CLOCK: 1} | ({k.DEVICE: device} if device else {})
    fields |= {getattr(k, key.upper()): value for key, value in more.items()}
    voice = place.voices[place.hub]
    voice.seq += 1
    plain = events.encode(kind, at_ms // 1000, fields)
    await place.intake.submit(place.hub, voice.sealed(plain, voice.boot, voice.seq - 1), "mqtt")
    place.clock.now_ms = now_ms


async def furnish(place: Place) -> dict[str, int]:
    """Sensors, and what they have said in ten days; the device indexes by role."""
    now_ms = place.clock()
    add = place.registry.add_sensor
    hub = place.hub
    found = {
        "wired": 1,
        "kitchen": 2,
        "pendant": add(hub, "call", "A4:C1:38:77:00:01", "挂坠", "bedroom"),
        "motion": add(hub, "motion", "A4:C1:38:77:00:02", "", "bedroom", 28_800),
        "door": add(hub, "door", "A4:C1:38:77:00:03", "", "hall"),
        "smoke": add(hub, "smoke", "A4:C1:38:77:00:04", "", "kitchen", 28_800),
        "cuff": add(hub, "blood_pressure", "F0:4B:48:00:00:01", wearer=f"{WANG}、{LI}"),
        "thermometer": add(hub, "thermometer", "F0:4B:48:00:00:02", wearer=WANG),
    }
    with place.registry._change() as db:
        db.execute("UPDATE sensors SET added_ms=?", (now_ms - 11 * DAY,))
    place.registry.set_rule(place.home, "vitals", {"limits": LIMITS}, "test")
    await say_at(place, now_ms - 10 * DAY - HOUR, k.BOOT, reset=1, firmware="0.1.0", versions=[1, 1])
    await place.has_table()
    midnight = now_ms - (now_ms + 8 * HOUR) % DAY  # in Wuhan
    for day, (high, low, pulse) in enumerate(MORNINGS):
        begin = midnight - (len(MORNINGS) - 1 - day) * DAY
        moments = [(begin + 7 * HOUR + 12 * 60_000, 0), (begin + 19 * HOUR + 41 * 60_000, 1)]
        for at_ms, evening in moments:
            if at_ms > now_ms - 60_000:
                continue
            rows = zip((150021, 150022, 149546), (high, low, pulse), EVENING, strict=True)
            values = [[code, number - evening * less, 0] for code, number, less in rows]
            await say_at(place, at_ms, k.VITALS, found["cuff"], values=values, user=1, battery=80)
            await say_at(place, at_ms + 60_000, k.MOTION, found["motion"], battery=96, rssi=-62)
            await say_at(place, at_ms + 90_000, k.MOTION, found["kitchen"])
            await say_at(place, at_ms + 120_000, k.DOOR_OPEN, found["door"], battery=57, rssi=-81)
            temperature = [[150364, 364 + (day * 3 + evening) % 5, -1]]
            await say_at(place, at_ms + 180_000, k.VITALS, found["thermometer"], values=temperature)
    ago = now_ms - 3 * HOUR
    await say_at(place, ago, k.VITALS, found["cuff"], values=[[150021, 118, 0], [150022, 74, 0]])  # of whom?
    await say_at(place, ago + 60_000, k.VITALS_INVALID, found["thermometer"], invalid=[[150364, 1]])
    await say_at(place, ago + 180_000, k.TEST_PRESS, found["pendant"], battery=88, rssi=-58, flags=k.TEST)
    await say_at(place, now_ms - 20 * 60_000, k.MOTION, found["motion"], battery=96, rssi=-62)
    await say_at(place, now_ms - 60_000, k.PATH_PROVEN, span_ms=640)
    await say_at(place, now_ms - 30_000, k.HEARTBEAT)
    await place.deliver()
    return found


class Ticking(Clock):
    """Goes on by itself while nobody holds it at a moment."""

    def __init__(self) -> None:
        super().__init__(0)

    def __call__(self) -> int:
        return self.now_ms or int(time.time() * 1000)


class Lived:
    """`with Lived(folder) as lived:` such a home, claimed; run() works in its loop, so do its pages."""

    def __init__(self, folder: Path, furnished: bool = True) -> None:
        self._folder, self._furnished = folder, furnished
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),))
        self.place: Place
        self.devices: dict[str, int] = {}

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        try:
            async with running(self._folder, Ticking()) as self.place:
                if self._furnished:
                    self.devices = await furnish(self.place)
                self.place.families.claim(self.place.home, PIN)
                self._ready.set()
                await self._stop.wait()
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._ready.set()

    def __enter__(self) -> Self:
        self._cost, operators.BCRYPT_COST = operators.BCRYPT_COST, 4  # who gets in is tested elsewhere
        self._thread.start()
        self._ready.wait(60)
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()
        operators.BCRYPT_COST = self._cost

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of work that the page's loop does."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)
