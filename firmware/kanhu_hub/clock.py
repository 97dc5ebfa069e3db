"""Time as an argument: 64-bit ms since boot out of wrapping ticks, and UTC when somebody told it."""

from micropython import const

SNTP, HOST = 1, 2  # key CLOCK

_JUMP_MS = const(300000)  # a correction above this is reported
_TOLERANCE_MS = const(2000)  # host time nearer than this changes nothing: the message was under way
_FLOOR_EVERY_MS = const(3600000)  # NVS is written this often at most
WENT_BACK = 3  # DETAIL of clock.fault
JUMPED = 2


class Clock:
    """board: ticks_ms, ticks_diff, sleep_ms, set_rtc(utc_ms); nvs keeps the floor. Ask it daily."""

    def __init__(self, board, nvs):
        self._board = board
        self._nvs = nvs
        self.ticks_ms = board.ticks_ms
        self.ticks_diff = board.ticks_diff
        self.sleep_ms = board.sleep_ms
        self._last = board.ticks_ms()
        self._up_ms = 0
        self._offset = None  # UTC less up_ms
        self.source = None
        self.fault = 0  # DETAIL of the standing clock.fault, 0: none
        raw = nvs.blob("floor")
        self._floor = int.from_bytes(raw, "big") if raw and len(raw) == 8 else 0
        self._floor_at = 0

    def now_ms(self):
        """Milliseconds since boot, never wrapping."""
        ticks = self.ticks_ms()
        self._up_ms += self.ticks_diff(ticks, self._last)
        self._last = ticks
        return self._up_ms

    def utc_ms(self, up_ms):
        """UTC of a moment of this boot; None while unknown."""
        return None if self._offset is None else up_ms + self._offset

    def set(self, utc_ms, source):
        """Somebody's time: True when it changed the clock. Below the floor it is refused: see `fault`."""
        now = self.now_ms()
        if utc_ms < self._floor:
            self.fault = WENT_BACK
            return False
        was = self.utc_ms(now)
        if was is None:
            self.fault = 0
        else:
            step = utc_ms - was
            if abs(step) < _TOLERANCE_MS:
                self.fault = 0
                return False
            if abs(step) > _JUMP_MS:
                self.fault = JUMPED if step > 0 else WENT_BACK
                # Plain SNTP must not overrule what the host said under seal.
                if self.source == HOST and source == SNTP:
                    return False
            else:
                self.fault = 0
        self._offset = utc_ms - now
        self.source = source
        self._board.set_rtc(utc_ms)
        if source == HOST and utc_ms - self._floor > 24 * _FLOOR_EVERY_MS:
            self._raise_floor(utc_ms)
        return True

    def lend(self):
        """Put the board's clock, not ours, to the floor: True when there is one."""
        if self._floor:
            self._board.set_rtc(self._floor)
        return self._floor > 0

    def keep_floor(self, every_ms=_FLOOR_EVERY_MS):
        """Remember the time reached, so that it is never set back below it; call every few minutes."""
        now = self.now_ms()
        if self._offset is not None and not self.fault and now - self._floor_at >= every_ms:
            self._floor_at = now
            self._raise_floor(now + self._offset)

    def _raise_floor(self, utc_ms):
        if utc_ms > self._floor:
            self._floor = utc_ms
            try:
                self._nvs.set_blob("floor", utc_ms.to_bytes(8, "big"))
            except OSError:
                pass  # another time
