# machine as on an ESP32: pins, ADC, watchdog, resets and RTC, driven by the bench.
import binascii
import time

import _bench
from _ppp import UART  # noqa: F401  machine.UART
from micropython import const

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_MAX_PIN = const(48)  # ESP32-S3 has GPIO 0..48
_pins = {}
_driven = {int(pin): level for pin, level in _bench.state["pins"].items()}
_volts = {int(pin): uv for pin, uv in _bench.state["adc"].items()}
_out = {int(pin): level for pin, level in _bench.state["out"].items()}  # a soft reset leaves pins as they are


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    def __new__(cls, id, *args, **kwargs):
        if isinstance(id, Pin):
            id = id._id
        if not isinstance(id, int) or not 0 <= id <= _MAX_PIN:
            raise ValueError("invalid pin")
        pin = _pins.get(id)
        if pin is None:
            pin = _pins[id] = object.__new__(cls)
            pin._id = id
            pin._mode = Pin.IN
            pin._pull = None
            pin._out = 0
            pin._handler = None
            pin._trigger = 0
            pin._level = pin._input()
        return pin

    def __init__(self, id, mode=-1, pull=-1, **kwargs):
        self.init(mode, pull, **kwargs)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        if value is not None:
            self._out = 1 if value else 0
        if pull != -1:
            self._pull = pull
        if mode != -1 and mode is not None:
            if mode not in (Pin.IN, Pin.OUT, Pin.OPEN_DRAIN):
                raise ValueError("invalid pin mode")
            self._mode = mode
        if self._mode == Pin.IN:
            if self._id in _out:
                del _out[self._id]
                _bench.send("o", self._id, None, _bench.up_us())
        elif mode != -1 or value is not None:
            self._show()
        self._level = self._input()

    def _input(self):
        level = _driven.get(self._id)
        if level is None:
            level = 1 if self._pull == Pin.PULL_UP else 0
        return level

    def _show(self):
        level = self._out
        if level and self._mode == Pin.OPEN_DRAIN:
            level = None
        _out[self._id] = level
        _bench.send("o", self._id, level, _bench.up_us())

    def value(self, level=None):
        if level is None:
            if self._mode == Pin.OUT or (self._mode == Pin.OPEN_DRAIN and not self._out):
                return self._out
            _bench.poll()
            return self._input()
        level = 1 if level else 0
        if level != self._out:
            self._out = level
            if self._mode != Pin.IN:
                self._show()

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(1 - self._out)

    def irq(self, handler=None, trigger=3, wake=None, hard=False):
        self._handler = handler
        self._trigger = trigger
        return self

    def _changed(self):
        level = self._input()
        if level != self._level:
            self._level = level
            if self._handler and self._mode == Pin.IN and self._trigger & (1 if level else 2):
                _bench.irq(self._handler, self)

    def __repr__(self):
        return f"Pin({self._id})"


def _on_pin(id, level, when_us=None):
    _driven[id] = level
    pin = _pins.get(id)
    if pin:
        _bench.freeze(when_us)
        try:
            pin._changed()
        finally:
            _bench.freeze(None)


def _on_adc(id, uv):
    _volts[id] = uv


_bench.handlers["p"] = _on_pin
_bench.handlers["a"] = _on_adc


class ADC:
    ATTN_0DB = 0
    ATTN_2_5DB = 1
    ATTN_6DB = 2
    ATTN_11DB = 3
    WIDTH_12BIT = 12
    _full_uv = (950000, 1250000, 1750000, 3100000)  # ESP32-S3 data sheet, recommended ranges

    def __init__(self, pin, atten=0):
        self._id = Pin(pin)._id
        self.init(atten=atten)

    def init(self, atten=0):
        self.atten(atten)

    def atten(self, atten):
        if atten not in (0, 1, 2, 3):
            raise ValueError("invalid atten")
        self._range = ADC._full_uv[atten]

    def width(self, bits):
        pass

    def read_uv(self):
        _bench.poll()
        return min(max(_volts.get(self._id, 0), 0), self._range)

    def read_u16(self):
        return self.read_uv() * 65535 // self._range

    def read(self):
        return self.read_u16() >> 4


class PWM:
    # The bench sees a tone as "on".
    def __init__(self, pin, freq=None, duty=None, duty_u16=None, duty_ns=None):
        self._pin = Pin(pin, Pin.OUT)
        self._freq = freq or 5000
        self._duty = 32768
        self.init(freq, duty, duty_u16, duty_ns)

    def init(self, freq=None, duty=None, duty_u16=None, duty_ns=None):
        if freq:
            self._freq = freq
        if duty is not None:
            self._duty = duty * 64
        if duty_u16 is not None:
            self._duty = duty_u16
        if duty_ns is not None:
            self._duty = duty_ns * self._freq * 65536 // 1000000000
        self._pin.value(self._duty > 0)

    def freq(self, hz=None):
        if hz is None:
            return self._freq
        self._freq = hz

    def duty(self, duty=None):
        if duty is None:
            return self._duty // 64
        self.init(duty=duty)

    def duty_u16(self, duty=None):
        if duty is None:
            return self._duty
        self.init(duty_u16=duty)

    def deinit(self):
        self._pin.value(0)


class WDT:
    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError(f"WDT({id}) doesn't exist")
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        _bench.send("wdt", timeout)

    def feed(self):
        _bench.send("feed")


class RTC:
    def __init__(self, id=0):
        pass

    def datetime(self, when=None):
        if when is None:
            us = time._now_us()
            y, mo, d, h, mi, s, weekday, _ = time.gmtime(us // 1000000)
            return (y, mo, d, weekday, h, mi, s, us % 1000000)
        y, mo, d, _, h, mi, s, us = when
        time._set_us(time.mktime((y, mo, d, h, mi, s, 0, 0)) * 1000000 + us)

    def init(self, when):
        self.datetime(when)

    def memory(self, data=None):
        if data is None:
            return binascii.unhexlify(_bench.state["rtc"])
        if len(data) > 2048:
            raise ValueError("buffer too long")
        _bench.state["rtc"] = binascii.hexlify(data).decode()
        _bench.send("rtc", _bench.state["rtc"])


def reset():
    _bench.die("reset")


def soft_reset():
    raise SystemExit


def reset_cause():
    return _bench.state["cause"]


def unique_id():
    return binascii.unhexlify(_bench.state["mac"])


def freq(hz=None):
    if hz is None:
        return 240000000


def idle():
    _bench.wait_us(1000)


def lightsleep(ms=0):
    _bench.wait_us(ms * 1000)


def disable_irq():
    return 0


def enable_irq(state=0):
    pass
