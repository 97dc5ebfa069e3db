"""Technical faults of the hub itself, each said once and paired with its restoral."""

from micropython import const

from kanhu_protocol import kinds as k

_MAINS_MS = const(5000)  # debounce of the mains input
_NEVER_SET_MS = const(600000)  # no clock for this long after a start is a fault
_LOOK_MS = const(5000)  # counting free flash blocks takes a while
NEVER_SET = 1  # DETAIL of clock.fault
OUTBOX_FULL, FLASH_FAILED = 1, 2  # DETAIL of storage.full
# Faults that call for somebody to come: they show on the lamp. The others are said upstream only.
_SHOWN = (k.LINE_FAULT, k.CONTACT_STUCK, k.STORAGE_FULL, k.BATTERY_LOW, k.SENSOR_SILENT)


class Faults:
    """emit(kind, fields); mains_pin.value() is 1 while mains is there, None without one; nvs."""

    def __init__(self, emit, outbox, clock, mains_pin, nvs):
        self._emit = emit
        self._outbox = outbox
        self._clock = clock
        self._pin = mains_pin
        self._standing = set()  # (fault kind, device)
        self._changed_ms = None
        self._clock_fault = None  # not looked at yet
        self._storage_fault = None
        self._look_ms = 0
        self._nvs = nvs
        said = nvs.blob("faults") or b""
        # Said before this start and not known to be over: who finds out says so.
        self._before = {(said[n], said[n + 1]) for n in range(0, len(said) - 1, 2)}
        self._kept = self._before | set()
        # As last said, over restarts: whatever is otherwise now is said.
        self.mains = not mains_pin or bool(nvs.i32("mains", 1))

    def seen(self, kind, fields):
        """An event is to be said: False for the end of a fault that does not stand. keep() after it."""
        if not k.MAINS_LOST <= kind < k.EVENTS_LOST:
            return True
        fault = kind & ~1
        fault = fault, fields.get(k.DETAIL if fault == k.LINK_LOST else k.DEVICE) or 0
        stands = fault in self._standing or fault in self._before or kind == k.MAINS_BACK
        self._before.discard(fault)
        if kind & 1:
            self._standing.discard(fault)
            return stands
        self._standing.add(fault)
        self.keep()  # first: its end may be said for nothing, and must not be forgotten
        return True

    def keep(self):
        """What stands, over restarts."""
        now = self._standing | self._before
        if now != self._kept:
            try:
                self._nvs.set_blob("faults", bytes([n for fault in now for n in fault]))
                self._kept = now
            except OSError:
                pass

    def standing(self):
        """Whether a fault stands for which somebody must come."""
        return any(kind in _SHOWN for kind, _ in self._standing)

    def link_lost(self, number):
        """The courier has missed a link for 30 s."""
        self._emit(k.LINK_LOST, {k.DETAIL: number})

    def link_back(self, number, span_ms):
        """And has it again."""
        self._emit(k.LINK_BACK, {k.DETAIL: number, k.SPAN_MS: span_ms})

    def tick(self):
        """Look at mains, clock and storage."""
        now = self._clock.now_ms()
        if self._pin:
            if bool(self._pin.value()) == self.mains:
                self._changed_ms = None
            elif self._changed_ms is None:
                self._changed_ms = now
            elif now - self._changed_ms >= _MAINS_MS:
                self.mains = not self.mains
                self._changed_ms = None
                self._emit(k.MAINS_BACK if self.mains else k.MAINS_LOST, {k.POWER: [self.mains, None]})
                try:
                    self._nvs.set_i32("mains", int(self.mains))
                except OSError:
                    pass  # it is said once more after a restart
        fault = self._clock.fault
        if not fault and self._clock.source is None and now > _NEVER_SET_MS:
            fault = NEVER_SET
        if fault != self._clock_fault and (fault or self._clock.source is not None):
            self._emit(k.CLOCK_FAULT if fault else k.CLOCK_OK, {k.DETAIL: fault or None})
            self._clock_fault = fault
        outbox = self._outbox
        if outbox.full and now >= self._look_ms:
            self._look_ms = now + _LOOK_MS
            outbox.relieved()
        fault = FLASH_FAILED if outbox.failing else OUTBOX_FULL if outbox.full else 0
        if fault != self._storage_fault:
            self._storage_fault = fault
            self._emit(k.STORAGE_FULL if fault else k.STORAGE_OK, {k.DETAIL: fault or None})
