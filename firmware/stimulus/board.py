"""The one room of the stimulus that touches hardware: pins, radio, resets and watchdog of an ESP32."""

import time

import machine
from machine import Pin

CAUSES = (
    (machine.PWRON_RESET, "power_on"),
    (machine.HARD_RESET, "reset"),
    (machine.WDT_RESET, "watchdog"),
    (machine.DEEPSLEEP_RESET, "deep_sleep"),
    (machine.SOFT_RESET, "soft"),
)


class Contact:
    """An open drain: drive(0) pulls the line low; 1 or None lets go of it."""

    def __init__(self, number):
        self._pin = Pin(number, Pin.OPEN_DRAIN, value=1)

    def drive(self, level):
        self._pin.value(0 if level == 0 else 1)


class Driver:
    """Push-pull: drive(0 or 1); None lets go of the line."""

    def __init__(self, number):
        self._pin = Pin(number, Pin.IN, None)  # type: ignore[arg-type]

    def drive(self, level):
        if level is None:
            self._pin.init(Pin.IN, None)  # type: ignore[arg-type]
        else:
            self._pin.init(Pin.OUT, value=level)


class Probe:
    """An input with a pull-down: value(); edge(its pin) is called in an interrupt at each change."""

    def __init__(self, number, edge):
        self._pin = Pin(number, Pin.IN, Pin.PULL_DOWN)
        self.value = self._pin.value
        self._pin.irq(edge, Pin.IRQ_RISING | Pin.IRQ_FALLING)


class Board:
    """This board, for the rooms of the stimulus."""

    def __init__(self):
        self.ticks_us = time.ticks_us
        self.ticks_ms = time.ticks_ms
        self.ticks_diff = time.ticks_diff
        self.sleep_us = time.sleep_us
        self._watchdog = None

    def driver(self, number, kind):
        """What drives a line of that kind (lines.KINDS)."""
        return Driver(number) if kind == "push-pull" else Contact(number)

    def probe(self, number, edge):
        """What reads a line."""
        return Probe(number, edge)

    def radio(self):
        """bluetooth.BLE, of which there is one."""
        import bluetooth

        return bluetooth.BLE()

    def uuid(self, number):
        """bluetooth.UUID of 16 bits."""
        import bluetooth

        return bluetooth.UUID(number)

    def mac(self):
        """Its MAC address, 12 hexadecimal digits."""
        return "".join("%02x" % byte for byte in machine.unique_id())

    def cause(self):
        """Why it started, a word of CAUSES."""
        found = machine.reset_cause()
        for known, word in CAUSES:
            if found == known:
                return word
        return "unknown"

    def watchdog(self, timeout_ms):
        """Start the watchdog, or give it another time-out: an ESP32 never stops it."""
        self._watchdog = machine.WDT(timeout=timeout_ms)

    def feed(self):
        """Feed the watchdog."""
        if self._watchdog:
            self._watchdog.feed()

    def reset(self):
        """Restart the chip."""
        machine.reset()
