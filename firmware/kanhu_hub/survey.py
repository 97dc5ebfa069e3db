"""How well each paired BLE sensor is heard. Imported when a host asks for it, dropped when it is over.

It stands where pairing does: one of the two at a time. PAIR ends it, and a press is a call all along."""

from array import array

from micropython import const

from kanhu_hub.app import drop
from kanhu_protocol import kinds as k

NO_RADIO, BUSY = 6, 9  # DETAIL of command.refused

_KEPT = const(32)  # newest gaps and levels of each sensor: 28 of them cost 4 kB
_SAME_MS = const(10)  # what is read in one go says nothing of its spacing
_PAUSE = const(8)  # usual gaps: a longer one is between two bursts of copies
_NO_RSSI = const(127)
_GAP_MAX = const(0xFFFF)


def command(app, fields):
    """Do SURVEY_FOR: 0, or DETAIL of command.refused."""
    ms = fields[k.SURVEY_MS]
    standing = app.pairing
    if standing and not hasattr(standing, "span_ms"):  # pairing; not by class: this module may be loaded anew
        return BUSY
    if not app.radio:
        return NO_RADIO
    if standing:
        standing.close(0)
    if ms:
        Survey(app, ms)
    return 0


class Survey:
    """Counts for ms from now, then says one survey event of each sensor in the table."""

    def __init__(self, app, ms):
        self._app = app
        self._of = {}  # address: [count, weakest, strongest, heard ms, gaps, levels]
        self._since_ms = app.clock.now_ms()
        self._ms = ms
        app.pairing = app.radio.pairing = self

    def heard(self, address, rssi, data, sensor):
        """An advertisement, sensor being its sender where the table has it. Never raises."""
        try:
            if sensor:
                self._count(address, rssi)
        except MemoryError:
            pass  # the next advertisement may be a press

    def _count(self, address, rssi):
        now = self._app.clock.now_ms()
        row = self._of.get(address)
        if not row:
            row = self._of[address] = [0, _NO_RSSI, -128, now, array("H"), bytearray()]
        elif now - row[3] >= _SAME_MS:
            row[4].append(min(now - row[3], _GAP_MAX))
            row[4] = row[4][-_KEPT:]
        row[0] += 1
        row[3] = now
        if rssi != _NO_RSSI:
            row[1] = min(row[1], rssi)
            row[2] = max(row[2], rssi)
            row[5].append(rssi & 255)
            row[5] = row[5][-_KEPT:]

    def span_ms(self):
        """How long it has listened."""
        return self._app.clock.now_ms() - self._since_ms

    def tick(self):
        """Call a few times a second."""
        if self.span_ms() >= self._ms:
            self.close(0)

    def close(self, detail):
        """Say what was heard until now."""
        app = self._app
        app.pairing = app.radio.pairing = None
        span_ms = self.span_ms()
        for entry in app.devices.all():
            if len(entry[2]) != 6:
                continue
            fields = {k.DEVICE: entry[0], k.SPAN_MS: span_ms}
            row = self._of.get(entry[2])
            if row:
                count, weakest, strongest, _, gaps, levels = row
                levels = sorted([level - 256 if level > 127 else level for level in levels])
                median = levels[len(levels) // 2] if levels else _NO_RSSI
                fields[k.LEVELS_DBM] = [weakest, median, strongest if levels else _NO_RSSI]
                fields[k.COUNT] = count if count > 1 else None
                sensor = app.radio.sensors.get(entry[2])
                fields[k.BATTERY] = sensor.battery if sensor else None
                share = _share(sorted(gaps))
                if share:
                    fields[k.INTERVAL_MS] = max(1, span_ms * share[0] // (count * share[1]))
            app.recorder.record(k.SURVEY, fields)
        drop("kanhu_hub.survey")

    def open(self, ms, device):
        """PAIR: it takes this one's place."""
        self.close(0)
        from kanhu_hub.pairing import Pairing

        Pairing(self._app).open(ms, device)

    def lamp(self):
        """As without it."""
        return None

    def emitted(self, kind, fields):
        """No event is another one because of it."""
        return kind

    def met(self, sensor, address):
        """A sensor has come into the table."""


def _share(gaps):
    # (heard, due) of a sensor's messages, from sorted gaps; None: too few. Where some are lost, most gaps are
    # still usual ones, or twice those: a fifth from below stands safely among the usual.
    if not gaps:
        return None
    usual = gaps[len(gaps) // 5]
    near = [gap for gap in gaps if usual <= 2 * gap <= 3 * usual]
    usual = sum(near) // len(near)
    due = [(gap + usual // 2) // usual for gap in gaps if gap < _PAUSE * usual]
    return len(due), sum([max(1, times) for times in due])
