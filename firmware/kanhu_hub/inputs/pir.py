"""A wired PIR motion sensor, active high; a cut wire is pulled up and reads as motion without end."""

from micropython import const

from kanhu_hub.inputs.movement import Movement
from kanhu_hub.inputs.wire import Wire
from kanhu_protocol import kinds as k

_BEAT_MS = const(1000)
_STEADY_MS = const(20)  # ours: one period of 50 Hz mains, whose pick-up on a long wire is no motion
# HC-SR501 data sheet: up to a minute of false outputs after power-on; other modules take less.
_WARM_UP_MS = const(60_000)
# Ours: three times the longest that modules hold their output after a movement (HC-SR501: 300 s).
_STUCK_MS = const(900_000)


class Pir:
    """Reads pin.value() (1 = motion) at edges of pin.flag; emit(kind, fields) gets the events."""

    def __init__(self, pin, device, emit, clock, warm_up_ms=_WARM_UP_MS):
        self.wire = Wire(pin, clock, _BEAT_MS)
        self.device = device
        self.emit = emit
        self.movement = Movement(device, emit)
        self._cold_ms = warm_up_ms  # left of the warm-up
        self._active = False
        self._active_ms = 0
        self._moving = False  # active, and not since the start or the warm-up
        self._unsure = True  # no inactive output seen since the start
        self._stuck = False

    async def run(self):
        """Never returns; an error is logged and the sensor read again."""
        await self.wire.run(self._step)

    async def _step(self):
        if await self.wire.edge() or (self.wire.value() == 1) != self._active:
            while not await self.wire.steady(_STEADY_MS):
                self._pass()
        self._pass()
        active = self.wire.value() == 1
        if not active and (self._stuck or self._unsure):  # at first, too: perhaps stuck before the start
            self.emit(k.CONTACT_RELEASED, {k.DEVICE: self.device, k.SPAN_MS: self._active_ms})
            self._stuck = self._unsure = False
        if active == self._active:
            return
        moving = active and self._cold_ms <= 0 and not self._unsure
        if moving:
            self.movement.began({})
        elif not active and not self._moving:
            self.movement.blind()
        self._active = active
        self._moving = moving
        self._active_ms = 0

    def _pass(self):
        ms = self.wire.elapsed()
        if self._cold_ms > 0:
            self._cold_ms -= ms
        self._active_ms += ms
        if self._active and not self._stuck and self._active_ms >= _STUCK_MS:
            self.emit(k.CONTACT_STUCK, {k.DEVICE: self.device, k.SPAN_MS: self._active_ms})
            self._stuck = True
            self._moving = False
        if self._moving or not self._active:  # else it says neither that somebody moves nor that all is still
            self.movement.passed(ms, self._moving)
