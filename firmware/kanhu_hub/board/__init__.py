"""The one room that touches hardware: ESP32 and ESP32-S3 under MicroPython."""

import asyncio
import random
import time

import machine

# machine.reset_cause() to names.RESETS; a brown-out comes as power on.
_CAUSES = (
    (machine.PWRON_RESET, 1),
    (machine.HARD_RESET, 2),
    (machine.WDT_RESET, 3),
    (machine.DEEPSLEEP_RESET, 4),
    (machine.SOFT_RESET, 5),
)


RESTING_MS = 30000  # watchdog while no hub runs: long enough to type the line that stretches it
IDLE_MS = 3600000  # the same for a board that cannot be a hub yet


def watchdog(timeout_ms):
    """Start the watchdog, or give it another time-out: an ESP32 never stops it, not even for a soft reset."""
    return machine.WDT(timeout=timeout_ms)


class InputPin:
    """value() 0 or 1; `flag` is a ThreadSafeFlag set by any edge."""

    def __init__(self, number, pull_up):
        pull = machine.Pin.PULL_UP if pull_up else machine.Pin.PULL_DOWN
        self._pin = machine.Pin(number, machine.Pin.IN, pull)
        self.value = self._pin.value
        self.flag = asyncio.ThreadSafeFlag()
        self._pin.irq(self._edge, machine.Pin.IRQ_FALLING | machine.Pin.IRQ_RISING)

    def _edge(self, pin):
        self.flag.set()


class Board:
    """Pins, ADC, radio, network, NVS, console, time and resets of this board."""

    rng = random

    def __init__(self):
        # Here, so that boot.py reaches the watchdog whatever is wrong with these.
        from kanhu_hub.board.nvs import Nvs
        from kanhu_hub.board.radio import Radio

        self.nvs = Nvs()
        self.radio = Radio()
        self._net = None
        self._console = None
        self._watchdog = None
        self.ticks_ms = time.ticks_ms
        self.ticks_diff = time.ticks_diff
        self.sleep_ms = asyncio.sleep_ms

    def input(self, number, pull_up):
        """An input pin by GPIO number."""
        return InputPin(number, pull_up)

    def output(self, number):
        """An output pin, off; value(0 or 1)."""
        return machine.Pin(number, machine.Pin.OUT, value=0)

    def adc(self, number):
        """An ADC over 0..3.1 V; read_uv()."""
        return machine.ADC(machine.Pin(number), atten=machine.ADC.ATTN_11DB)

    def network(self, config, log):
        """The way out that config asks for, connecting from the first call on; None: it asks for none."""
        if self._net is None:
            from kanhu_hub.board.networks import begin

            self._net = begin(config, log)
        return self._net

    async def sntp(self, host, port):
        """UTC in ms since 1970 from one SNTP answer; OSError."""
        from kanhu_hub.board.sntp import ask

        return await ask(host, port)

    def console(self):
        """The console, one object for all."""
        if self._console is None:
            from kanhu_hub.board.console import Console

            self._console = Console()
        return self._console

    def set_rtc(self, utc_ms):
        """Set the board's clock (TLS looks at it)."""
        # MicroPython's epoch on an ESP32 is 2000-01-01.
        year, month, day, hour, minute, second, weekday, _ = time.gmtime(utc_ms // 1000 - 946684800)
        machine.RTC().datetime((year, month, day, weekday, hour, minute, second, utc_ms % 1000 * 1000))

    def watchdog(self, timeout_ms):
        """As the function of that name; feed() feeds it."""
        self._watchdog = watchdog(timeout_ms)

    def feed(self):
        """Feed the watchdog."""
        if self._watchdog:
            self._watchdog.feed()

    def reset(self):
        """Restart the chip."""
        machine.reset()

    def reset_cause(self):
        """Why the chip started: a number of names.RESETS."""
        cause = machine.reset_cause()
        for known, number in _CAUSES:
            if cause == known:
                return number
        return 0
