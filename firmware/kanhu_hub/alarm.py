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
_HOSTS = const(1 << 30)  # boots above are a daemon's: its alarms are shown and not kept over a restart
MAX_BYTES = 16384  # of the file: each alarm may count presses of all devices

RECEIPTS = ("not_saved", "heard", "stored", "delivered")


class Alarm:
    """kind, name = (boot, seq) of its first event, and what is left to say of it."""

    def __init__(self, kind, name, device, state=k.OPEN):
        self.kind = kind
        self.name = name
        self.first = None  # its first event, where a pre-alarm gave it the name
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
    """recall.py reads the file `path`; courier says ready() and cut_off_ms(), reached() if a host answers."""

    def __init__(self, path, recorder, outbox, clock, courier, reached):
        self.path = path
        self._recorder = recorder
        self._outbox = outbox
        self._clock = clock
        self._courier = courier
        self._reached = reached
        self.alarms = []
        self.told = []  # (name, state) of alarms of the host's, at most _MAX
        self.asks = []  # pre-alarms: asking.py
        self.proofs = []  # the test call under way: proof.py
        self.unsaved = False  # the file does not hold what RAM holds

    def save(self):
        """Write the file; whether it holds what RAM holds."""
        # A closed alarm stays while its event does, which would open it again after a restart.
        self.alarms = [a for a in self.alarms if a.state != k.CLOSED or self.unstored(a.name)]
        rows = [
            [a.kind, a.name[0], a.name[1], a.device, a.state, a.attempts, a.extra, a.repeat]
            for a in self.alarms
        ]
        try:
            store.replace(self.path, cbor.dumps(rows, MAX_BYTES))
            self.unsaved = False
        except (OSError, ValueError):
            self.unsaved = True
        return not self.unsaved

    def named(self, name):
        """The alarm of this name (boot, seq), or None."""
        for alarm in self.alarms:
            if alarm.name == name:
                return alarm
        return None

    def raised(self, kind, fields, asked=None):
        """A press (or smoke, ...): True when flash has it. asked: name of its pre-alarm."""
        for alarm in self.alarms:
            if alarm.kind == kind and alarm.state == k.OPEN:
                return self._again(alarm, fields)
        alarm = Alarm(kind, asked, fields.get(k.DEVICE, 0))
        if asked:
            # The file first: by the event alone recall.py takes it for one more of an alarm that is over.
            fields[k.ALARM] = asked
            self.add(alarm)
            self.save()
        alarm.first, saved = self._recorder.record(kind, fields)
        alarm.receipt = 1 if saved else 0
        alarm.overdue = False
        alarm.since_ms = self._clock.now_ms()
        alarm.due_ms = alarm.since_ms + _AGAIN_MS
        if not asked:
            alarm.name = alarm.first
            self.add(alarm)
            self.save()
        return saved

    def add(self, alarm):
        """Keep one more; the next save() writes it."""
        if len(self.alarms) >= _MAX:
            answered = [old for old in self.alarms if old.state != k.OPEN]
            self.alarms.remove(answered[0] if answered else self.alarms[-1])
        self.alarms.append(alarm)
        self.unsaved = True

    def _again(self, alarm, fields):
        device = fields.get(k.DEVICE, 0)
        if alarm.extra or self._waits(alarm.repeat) or self._outbox.crowded():
            alarm.extra[device] = alarm.extra.get(device, 0) + fields.get(k.COUNT, 1)
            return self.save()
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

    def unstored(self, name):
        """Whether a P1 event waits for a host to store it."""
        return any(held.name == name for held in self._outbox.urgent)

    def _flush(self, alarm):
        # The counted presses leave as events; the file is written after, and recall.py mends what a power cut
        # leaves between the two.
        for device, count in alarm.extra.items():
            fields = {k.DEVICE: device, k.COUNT: count, k.ALARM: alarm.name}
            alarm.repeat, _ = self._recorder.record(alarm.kind, fields)
        alarm.extra = {}

    def tick(self):
        """Say what is due; call a few times a second."""
        now = self._clock.now_ms()
        changed = self.unsaved
        for alarm in self.alarms:
            if alarm.extra and not self._waits(alarm.repeat) and not self._outbox.crowded():
                self._flush(alarm)
                changed = True
            if alarm.state != k.OPEN:
                changed = changed or (alarm.state == k.CLOSED and not self.unstored(alarm.name))
                continue
            if now - alarm.since_ms >= _AGAIN_MS:
                alarm.overdue = True
            # One call.unanswered is under way at most: the courier sends that one again itself.
            if now >= alarm.due_ms and self._courier.ready() and not self.unstored(alarm.said):
                alarm.attempts += 1
                fields = {k.ALARM: alarm.name, k.ATTEMPT: alarm.attempts, k.DEVICE: alarm.device}
                alarm.said, _ = self._recorder.record(k.CALL_UNANSWERED, fields)
                slow = now - alarm.since_ms >= _SLOW_AFTER_MS
                alarm.due_ms = now + (_SLOW_AGAIN_MS if slow else _AGAIN_MS)
                changed = True
        if changed:
            self.save()

    def receipt(self, level, upto, single):
        """A receipt came: level 2 stored, 3 delivered."""
        for alarm in self.alarms + self.proofs:
            boot, seq = alarm.first or alarm.name
            if any(row[0] == boot and seq <= row[1] for row in upto) or any(
                row[0] == boot and seq in row[1:] for row in single
            ):
                alarm.receipt = max(alarm.receipt, level)

    def person_says(self, name, state):
        """ALARM_IS: False when flash did not take it."""
        self.asks = [row for row in self.asks if row[0] != name]
        if name[0] > _HOSTS:
            self.told = [row for row in self.told if row[0] != name][1 - _MAX :]
            if state != k.CLOSED:
                self.told.append((name, state))
            return True
        alarm = self.named(name)
        if not alarm:
            if state == k.CLOSED and not self.unstored(name):
                return True
            alarm = Alarm(k.CALL, name, 0, k.CLOSED)  # the host remembers an alarm that this flash does not
            self.add(alarm)
        if alarm.state == state:
            return not self.unsaved or self.save()
        if state == k.OPEN:
            alarm.overdue = True
            alarm.since_ms = alarm.due_ms = self._clock.now_ms()
        else:
            self._flush(alarm)
        alarm.state = state
        return self.save()

    def shown(self):
        """Name of the lamp's pattern, None when no alarm is open or a person's, and nobody is asked."""
        now = self._clock.now_ms()
        newest = None
        states = [state for _, state in self.told]
        for alarm in self.alarms:
            states.append(alarm.state)
            if alarm.state == k.OPEN:
                newest = alarm
                if alarm.overdue:
                    return "unanswered"
        if newest:
            alone = self._courier.cut_off_ms() > _CUT_OFF_MS or not self._reached()
            if alone and now - newest.since_ms >= _SHOWN_MS:
                return "unanswered"
            return RECEIPTS[newest.receipt]
        if self.asks:
            return "asking"
        if k.OPEN in states:
            return "unanswered"
        if k.DISPATCHED in states or k.ON_SCENE in states:
            return "coming"
        return "accepted" if k.ACCEPTED in states else None
