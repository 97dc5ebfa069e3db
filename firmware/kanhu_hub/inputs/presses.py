"""Which button events of a BTHome caller are presses: one press is one, however often it is advertised."""

from micropython import const

# bthome-ble's filter (parser.py): a packet id is the same packet for 4 s. Here counted from the last copy:
# a caller that repeats one press for longer than that still means one press.
_SAME_ID_MS = const(4000)
_SAME_MS = const(2500)  # ours, for callers without packet id: longer than their copies are apart
_KEPT = const(4)  # packets remembered, should a caller interleave its copies
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

    def __init__(self, clock):
        self.clock = clock
        self._recent = []  # [packet id or None, codes, ticks of the last copy]
        self._holds = {}  # button: [packet id or None, None, ticks of the last copy]

    def count(self, packet_id, codes):
        """New presses in one advertisement; codes: its button events, one byte for each button."""
        self.forget()
        if not any(codes):
            if packet_id is None:
                self._recent = []  # the button is up: the next press is a new one, however soon
            return 0
        now = self.clock.ticks_ms()
        copy = False
        for seen in self._recent:
            if seen[:2] == [packet_id, codes]:
                seen[2] = now
                copy = True
        if not copy:
            self._recent = self._recent[1 - _KEPT :] + [[packet_id, codes, now]]
        presses = 0
        for button, code in enumerate(codes):
            hold = self._holds.get(button)
            if code in (_HOLD, _OLD_HOLD):
                known = hold is not None and self._age(hold) <= _HOLD_MS
                self._holds[button] = [packet_id, None, now]
            elif copy or not code:
                continue
            else:
                # A release without a hold is a press, too: its beginning was not heard.
                known = hold is not None and self._ends(hold, code, packet_id)
                self._holds.pop(button, None)
            if not copy and not known:
                presses += 1
        return presses

    def _age(self, seen):
        return self.clock.ticks_diff(self.clock.ticks_ms(), seen[2])

    def _ends(self, hold, code, packet_id):
        if code == _HOLD_RELEASE:
            return True
        if packet_id is not None and hold[0] is not None and packet_id != (hold[0] + 1) & 0xFF:
            return False
        return self._age(hold) <= (_LONG_END_MS if code >= _LONG else _END_MS)

    def forget(self):
        """Drops what is too old to matter; to be called every few seconds, before ticks wrap."""
        self._recent = [
            s for s in self._recent if self._age(s) <= (_SAME_ID_MS if s[0] is not None else _SAME_MS)
        ]
        for button in list(self._holds):
            if self._age(self._holds[button]) > _RELEASE_MS:
                del self._holds[button]
