"""What a motion sensor's movements become: MOTION, batched MOTION_COUNT, STILL; for wires and radio alike."""

from micropython import const

from kanhu_protocol import kinds as k

# Ours: a new MOTION needs this much stillness, so that a person walking about is one MOTION and then counts.
NEW_MOTION_MS = const(60_000)
_BATCH_MS = const(60_000)  # ours: at most one count a minute, 1,440 events in the busiest day
_STILL_MS = const(600_000)  # ours: ten minutes, the pre-warning time of telecare inactivity alarms


class Movement:
    """One sensor's movements; each movement is in exactly one event, MOTION standing for one."""

    def __init__(self, device, emit):
        self.device = device
        self.emit = emit
        self.quiet_ms = NEW_MOTION_MS  # since motion was last evident: nothing is known before the start
        self._silent_ms = 0  # the same for STILL, which needs to have watched all that time
        self._count = 0
        self._batch_ms = 0
        self._still = False

    def passed(self, ms, active=False):
        """ms went by, during which the sensor said "motion" (active) or not."""
        # Summed up, because ticks say nothing beyond 2^29 ms.
        self.quiet_ms += ms
        self._silent_ms += ms
        self._batch_ms += ms
        if active:
            self.seen()
        if self._count and self._batch_ms >= _BATCH_MS:
            self._flush()
        if not self._still and self._silent_ms >= _STILL_MS:
            self.emit(k.STILL, {k.DEVICE: self.device, k.SPAN_MS: self._silent_ms})
            self._still = True

    def blind(self):
        """Until now nothing could be seen."""
        self.quiet_ms = NEW_MOTION_MS
        self._silent_ms = 0
        self._still = False

    def seen(self):
        """Motion goes on."""
        self.quiet_ms = self._silent_ms = 0
        self._still = False

    def began(self, fields):
        """A movement begins; fields go into the MOTION event, if it is one."""
        if self.quiet_ms >= NEW_MOTION_MS:
            fields[k.DEVICE] = self.device
            self.emit(k.MOTION, fields)
            self._batch_ms = 0
        else:
            self.count()
        self.seen()

    def count(self):
        """A movement that must not be called MOTION."""
        if not self._count and self._batch_ms > _BATCH_MS:
            self._batch_ms = 0
        self._count += 1

    def _flush(self):
        self.emit(k.MOTION_COUNT, {k.DEVICE: self.device, k.COUNT: self._count, k.SPAN_MS: self._batch_ms})
        # Emitted or queued in RAM, whatever emit answered; only an exception keeps the count here.
        self._count = self._batch_ms = 0
