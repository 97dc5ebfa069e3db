"""An alarm's life at the hub: it opens with its first event and is said again until a person accepts it."""

from micropython import const

from kanhu_hub import store
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

KINDS = (k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE)

# EN 50134-7 leaves the repetition to the system; these are contracts.md section 7's.
_AGAIN_MS = const(10000)
_SLOW_AFTER_MS = const(300000)
_SLOW_AGAIN_MS = const(60000)
_SHOWN_MS = const(2000)  # a press shows its receipt this long even when nobody can be reached
_CUT_OFF_MS = const(10000)  # without any link for this long nobody can have answered
_MAX = const(16)  # alarms kept; when more, the oldest a person has answered is let go, else the newest
_MAX_BYTES = const(16384)  # of the file: each alarm may count presses of all devices

RECEIPTS = ("not_saved", "heard", "stored", "delivered")


class Alarm:
    """kind, name = (boot, seq) of its first event, and what is left to say of it."""

    def __init__(self, kind, name, device, state=k.OPEN):
        self.kind = kind
        self.name = name
        self.device = device
        self.state = state
        self.attempts = 0
        self.extra = {}  # device: presses not yet in an event
        self.repeat = None  # name of its last further press
        self.said = None  # name of its last call.unanswered
        self.receipt = 1  # index into RECEIPTS
        self.since_ms = 0
        self.due_ms = 0
        self.overdue = True


class Alarms:
    """`path` is a file; `courier` says ready() and cut_off_ms(); `reached()` whether a host answers."""

    def __init__(self, path, recorder, outbox, clock, courier, reached):
        self._path = path
        self._recorder = recorder
        self._outbox = outbox
        self._clock = clock
        self._courier = courier
        self._reached = reached
        self._alarms = []
        self.unsaved = False  # the file does not hold what RAM holds

    def load(self):
        """Take up what was open at the last power cut; returns how many."""
        now = self._clock.now_ms()
        raw = store.read(self._path) or b"\x80"
        try:
            for kind, boot, seq, device, state, attempts, extra, repeat in cbor.loads(raw, _MAX_BYTES):
                alarm = Alarm(kind, (boot, seq), device, state)
                alarm.attempts = attempts
                alarm.extra = extra
                alarm.repeat = tuple(repeat) if repeat else None
                self._alarms.append(alarm)
        except (ValueError, TypeError):
            self.unsaved = True  # the urgent events below tell what they can
        # Power may have gone between an event and the file: the events themselves tell what it lacks.
        for held in self._outbox.urgent:
            event = self._recorder.read(self._outbox.sealed(held) or b"")
            if not event:
                continue
            if event[k.KIND] in KINDS:
                self._recall(held.name, event)
            elif event[k.KIND] == k.CALL_UNANSWERED:
                alarm = self._named(tuple(event.get(k.ALARM, ())))
                if alarm:
                    alarm.said = held.name
        for alarm in self._alarms:
            alarm.since_ms = now
        if self.unsaved:
            self._save()
        return len(self._alarms)

    def _recall(self, name, event):
        device = event.get(k.DEVICE, 0)
        alarm = self._named(tuple(event.get(k.ALARM, name)))
        if not alarm:
            if k.ALARM not in event:
                self._add(Alarm(event[k.KIND], name, device))
        elif name > (alarm.repeat or alarm.name):
            # While presses are counted no other event of their alarm is recorded: this one holds them.
            alarm.repeat = name
            left = alarm.extra.pop(device, 0) - event.get(k.COUNT, 1)
            if left > 0:
                alarm.extra[device] = left
            self.unsaved = True

    def _save(self):
        # A closed alarm stays while its event does, which would open it again after a restart.
        self._alarms = [a for a in self._alarms if a.state != k.CLOSED or self._unstored(a.name)]
        rows = [
            [a.kind, a.name[0], a.name[1], a.device, a.state, a.attempts, a.extra, a.repeat]
            for a in self._alarms
        ]
        try:
            store.replace(self._path, cbor.dumps(rows, _MAX_BYTES))
            self.unsaved = False
        except (OSError, ValueError):
            self.unsaved = True
        return not self.unsaved

    def _named(self, name):
        for alarm in self._alarms:
            if alarm.name == name:
                return alarm
        return None

    def raised(self, kind, fields):
        """A press (or smoke, ...): True when flash has it."""
        for alarm in self._alarms:
            if alarm.kind == kind and alarm.state == k.OPEN:
                return self._again(alarm, fields)
        name, saved = self._recorder.record(kind, fields)
        alarm = Alarm(kind, name, fields.get(k.DEVICE, 0))
        alarm.receipt = 1 if saved else 0
        alarm.overdue = False
        alarm.since_ms = self._clock.now_ms()
        alarm.due_ms = alarm.since_ms + _AGAIN_MS
        self._add(alarm)
        self._save()
        return saved

    def _add(self, alarm):
        if len(self._alarms) >= _MAX:
            answered = [old for old in self._alarms if old.state != k.OPEN]
            self._alarms.remove(answered[0] if answered else self._alarms[-1])
        self._alarms.append(alarm)
        self.unsaved = True

    def _again(self, alarm, fields):
        device = fields.get(k.DEVICE, 0)
        if alarm.extra or self._waits(alarm.repeat) or self._outbox.crowded():
            alarm.extra[device] = alarm.extra.get(device, 0) + fields.get(k.COUNT, 1)
            return self._save()
        fields = dict(fields)
        fields[k.ALARM] = alarm.name
        alarm.repeat, saved = self._recorder.record(alarm.kind, fields)
        return saved

    def _waits(self, name):
        # Whether an event has not been handed to any link yet.
        for held in self._outbox.urgent:
            if held.name == name:
                return not held.due
        return False

    def _unstored(self, name):
        return any(held.name == name for held in self._outbox.urgent)

    def _flush(self, alarm):
        # The counted presses leave as events; the file is written after, and _recall() mends what a power cut
        # leaves between the two.
        for device, count in alarm.extra.items():
            fields = {k.DEVICE: device, k.COUNT: count, k.ALARM: alarm.name}
            alarm.repeat, _ = self._recorder.record(alarm.kind, fields)
        alarm.extra = {}

    def tick(self):
        """Say what is due; call a few times a second."""
        now = self._clock.now_ms()
        changed = self.unsaved
        for alarm in self._alarms:
            if alarm.extra and not self._waits(alarm.repeat) and not self._outbox.crowded():
                self._flush(alarm)
                changed = True
            if alarm.state != k.OPEN:
                changed = changed or (alarm.state == k.CLOSED and not self._unstored(alarm.name))
                continue
            if now - alarm.since_ms >= _AGAIN_MS:
                alarm.overdue = True
            # One call.unanswered is under way at most: the courier sends that one again itself.
            if now >= alarm.due_ms and self._courier.ready() and not self._unstored(alarm.said):
                alarm.attempts += 1
                fields = {k.ALARM: alarm.name, k.ATTEMPT: alarm.attempts, k.DEVICE: alarm.device}
                alarm.said, _ = self._recorder.record(k.CALL_UNANSWERED, fields)
                slow = now - alarm.since_ms >= _SLOW_AFTER_MS
                alarm.due_ms = now + (_SLOW_AGAIN_MS if slow else _AGAIN_MS)
                changed = True
        if changed:
            self._save()

    def receipt(self, level, upto, single):
        """A receipt came: level 2 stored, 3 delivered."""
        for alarm in self._alarms:
            boot, seq = alarm.name
            if any(row[0] == boot and seq <= row[1] for row in upto) or any(
                row[0] == boot and seq in row[1:] for row in single
            ):
                alarm.receipt = max(alarm.receipt, level)

    def person_says(self, name, state):
        """ALARM_IS: False when flash did not take it."""
        alarm = self._named(name)
        if not alarm:
            if state == k.CLOSED and not self._unstored(name):
                return True
            alarm = Alarm(k.CALL, name, 0, k.CLOSED)  # the host remembers an alarm that this flash does not
            self._add(alarm)
        if alarm.state == state:
            return not self.unsaved or self._save()
        if state == k.OPEN:
            alarm.overdue = True
            alarm.since_ms = alarm.due_ms = self._clock.now_ms()
        else:
            self._flush(alarm)
        alarm.state = state
        return self._save()

    def shown(self):
        """Name of the lamp's pattern, None when no alarm is open or accepted."""
        now = self._clock.now_ms()
        newest = accepted = None
        for alarm in self._alarms:
            if alarm.state == k.ACCEPTED:
                accepted = "accepted"
            elif alarm.state == k.OPEN:
                newest = alarm
                if alarm.overdue:
                    return "unanswered"
        if newest:
            alone = self._courier.cut_off_ms() > _CUT_OFF_MS or not self._reached()
            if alone and now - newest.since_ms >= _SHOWN_MS:
                return "unanswered"
            return RECEIPTS[newest.receipt]
        return accepted
