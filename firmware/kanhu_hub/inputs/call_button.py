"""A wired call button, active low, with or without a supervised line (docs/wiring.md)."""

from micropython import const

from kanhu_hub.inputs.wire import Wire
from kanhu_protocol import kinds as k

# Ganssle, "A Guide to Debouncing" (2004): all but one of 18 kinds of switches bounced less than 7 ms. Four
# times that also rides out a period of 50 Hz pick-up on a long wire; a quick press lasts three times longer.
_PRESS_MS = const(30)
_RELEASE_MS = const(50)  # old contacts open more raggedly than they close
_STUCK_MS = const(30_000)  # ours: nobody presses for half a minute
_BEAT_MS = const(1000)  # in case an edge was missed
_BEAT_LINE_MS = const(250)


class CallButton:
    """Reads pin.value() (0 = closed) at edges of pin.flag; adc.read_uv() where the line is supervised."""

    def __init__(self, pin, device, emit, clock, adc=None):
        self.wire = Wire(pin, clock, _BEAT_LINE_MS if adc else _BEAT_MS)
        self.device = device
        self.emit = emit
        self.line = None
        if adc:
            from kanhu_hub.inputs.line import Line

            self.line = Line(adc, device, self._say)
        self._unsure = True  # no open contact seen since the start
        self.pressed = False
        self._held_ms = 0
        self._stuck = False
        self.due = False  # a press that emit has not taken yet

    async def run(self):
        """Never returns; an error is logged and the button read again, with no press forgotten."""
        await self.wire.run(self._step)

    async def _step(self):
        self._call()  # again, if it failed
        if await self.wire.edge() or (self.wire.value() == 0) != self.pressed:
            await self._settled(_RELEASE_MS if self.pressed else _PRESS_MS)
        ms = self._elapsed()
        if self.wire.value() == 1:
            self._opened()
        elif not self.pressed and self._is_press():
            self.pressed = True
            # Closed already at the start: a hand that could not wait, or a contact stuck since before? A hand
            # lets go within _STUCK_MS, and that is a call. A contact that does not is a fault and no call,
            # however often the hub restarts; calling at once would make a call of it at each restart.
            self.due = not self._unsure
            self._held_ms = 0
        self._call()
        self._supervise(ms)

    def _call(self):
        if self.due:
            self._say(k.CALL)
            self.due = False

    def _say(self, kind, key=0, value=0):
        fields = {k.DEVICE: self.device}
        if key:
            fields[key] = value
        self.emit(kind, fields)

    async def _settled(self, ms):
        while not await self.wire.steady(ms):
            self._supervise(self._elapsed())

    def _is_press(self):
        # Only a clear short is none: a corroded contact or a failing ADC must not silence the button. A short
        # that comes while it is pressed is no release: else a wet line would press again and again.
        return not (self.line and self.line.short())

    def _elapsed(self):
        ms = self.wire.elapsed()
        self._held_ms += ms
        return ms

    def _opened(self):
        if self._stuck or self._unsure:  # at first, too: it may have been stuck before the start
            self._say(k.CONTACT_RELEASED, k.SPAN_MS, self._held_ms)
        if self.pressed and self._unsure and not self._stuck:
            self.due = True
        self.pressed = self._stuck = self._unsure = False

    def _supervise(self, ms):
        if self.pressed and not self._stuck and self._held_ms >= _STUCK_MS:
            self._say(k.CONTACT_STUCK, k.SPAN_MS, self._held_ms)
            self._stuck = True
        if self.line:
            self.line.watch(ms, self.pressed)
