"""The supervised line of a call button: its resistors tell an intact line from an open or short one."""

from micropython import const

from kanhu_protocol import kinds as k

_LINE_MS = const(1000)  # a line fault, or its end, must last
# Microvolts at the line, supply 3.3 V: docs/wiring.md works them out.
_SHORT_BELOW_UV = const(300_000)
_PRESSED_BELOW_UV = const(1_200_000)
_LEAK_BELOW_UV = const(2_200_000)
_OPEN_ABOVE_UV = const(3_000_000)
# What the line says; OPEN and SHORT are LINE_FAULT's DETAIL.
_INTACT = const(0)
_OPEN = const(1)
_SHORT = const(2)
_PRESSED = const(3)
_LEAK = const(4)  # wet cable or wrong resistor


class Line:
    """Reads adc.read_uv(); say(kind, key, value) gets LINE_FAULT and LINE_OK."""

    def __init__(self, adc, device, say):
        self.adc = adc
        self.device = device
        self.say = say
        self._fault = None  # not looked at yet: what it says first is told
        self._line = _INTACT
        self._line_ms = 0

    def short(self):
        """Whether the line is a clear short now."""
        return self._read() == _SHORT

    def _read(self):
        try:
            uv = self.adc.read_uv()
        except Exception as error:  # a broken ADC must not silence the button
            print("line", self.device, repr(error))
            return _PRESSED
        if uv < _SHORT_BELOW_UV:
            return _SHORT
        if uv < _PRESSED_BELOW_UV:
            return _PRESSED
        if uv < _LEAK_BELOW_UV:
            return _LEAK
        return _OPEN if uv > _OPEN_ABOVE_UV else _INTACT

    def watch(self, ms, pressed):
        """ms went by with the button pressed or not."""
        line = self._read()
        if line == _LEAK and not pressed:
            line = _SHORT
        elif line >= _PRESSED:  # the button answers through the whole line
            line = _INTACT
        if line != self._line:
            self._line = line
            self._line_ms = 0
            return
        if line == self._fault:
            return
        self._line_ms += ms
        if self._line_ms >= _LINE_MS:
            if line == _INTACT:
                self.say(k.LINE_OK)
            else:
                self.say(k.LINE_FAULT, k.DETAIL, line)
            self._fault = line
