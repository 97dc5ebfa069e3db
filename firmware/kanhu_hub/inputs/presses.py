"""Which button events of a BTHome caller are presses: one press is one, however often it is advertised."""

from micropython import const

# bthome-ble's filter (parser.py): a packet id is the same packet for 4 s. Here counted from the last copy:
# a caller that repeats one press for longer than that still means one press.
_SAME_ID_MS = const(4000)
_SAME_PAYLOAD_MS = const(2500)  # ours, for callers without packet id: longer than their copies are apart
_KEPT = const(4)  # packets remembered, should a sender interleave its copies
# A hold is sent again and again under new packet ids while the finger stays, then its end is sent as release,
# long press or (Shelly BLU Wall Switch 4) as press, under the next id.
_HOLD_MS = const(4000)
_END_MS = const(2500)
_LONG_END_MS = const(10_000)  # Shelly BLU buttons go over to pairing after 10 s, so no hold is longer
_RELEASE_MS = const(60_000)  # ours: a release later than this is not the end of that hold

_LONG = const(4)  # 4, 5, 6: long, long double, long triple
_HOLD = const(0x80)
_HOLD_RELEASE = const(0x81)
_OLD_HOLD = const(0xFE)  # Shelly BLU firmware before 1.0.20


class Presses:
    """Of one caller."""

    def __init__(self):
        self._recent = []  # [packet id or None, codes, ticks of the last copy]
        self._holds = {}  # button number: [packet id or None, ticks of the last copy]

    def count(self, packet_id, codes, now, clock):
        """New presses in one advertisement: codes are its button events in order, one per button (bytes)."""
        self.forget(now, clock)
        if not any(codes):
            if packet_id is None:
                self._recent.clear()  # the button is up: the next press is a new one, however soon
            return 0
        for seen in self._recent:
            if seen[0] == packet_id and seen[1] == codes:
                seen[2] = now
                for button, code in enumerate(codes):
                    if button in self._holds and code in (_HOLD, _OLD_HOLD):
                        self._holds[button][1] = now
                return 0
        if len(self._recent) >= _KEPT:
            self._recent.pop(0)
        self._recent.append([packet_id, codes, now])
        presses = 0
        for button, code in enumerate(codes):
            if code and not self._held(button, code, packet_id, now, clock):
                presses += 1
        return presses

    def _held(self, button, code, packet_id, now, clock):
        # Whether this is a hold that was counted when it began, or the end of one.
        hold = self._holds.get(button)
        if code in (_HOLD, _OLD_HOLD):
            self._holds[button] = [packet_id, now]
            return hold is not None and clock.ticks_diff(now, hold[1]) <= _HOLD_MS
        if hold is None:
            return False  # a release alone is a press too: its beginning was not heard
        del self._holds[button]
        if code == _HOLD_RELEASE:
            return True
        following = packet_id is None or hold[0] is None or packet_id == (hold[0] + 1) & 0xFF
        within = _LONG_END_MS if code >= _LONG else _END_MS
        return following and clock.ticks_diff(now, hold[1]) <= within

    def forget(self, now, clock):
        """Drops what is too old to matter; to be called every few seconds, before ticks wrap."""
        self._recent = [
            seen
            for seen in self._recent
            if clock.ticks_diff(now, seen[2]) <= (_SAME_PAYLOAD_MS if seen[0] is None else _SAME_ID_MS)
        ]
        for button in list(self._holds):
            if clock.ticks_diff(now, self._holds[button][1]) > _RELEASE_MS:
                del self._holds[button]
