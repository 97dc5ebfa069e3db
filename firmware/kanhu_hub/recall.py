"""The alarms as the last power cut left them. Needed at the start only, then dropped."""

from kanhu_hub import store
from kanhu_hub.alarm import KINDS, MAX_BYTES, Alarm
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k


def load(alarms, recorder, outbox, clock):
    """Take up what was open; returns how many."""
    raw = store.read(alarms.path) or b"\x80"
    try:
        for kind, boot, seq, device, state, attempts, extra, repeat in cbor.loads(raw, MAX_BYTES):
            alarm = Alarm(kind, (boot, seq), device, state)
            alarm.attempts = attempts
            alarm.extra = extra
            alarm.repeat = tuple(repeat) if repeat else None
            alarms.alarms.append(alarm)
    except (ValueError, TypeError):
        alarms.unsaved = True  # the urgent events below tell what they can
    # Power may have gone between an event and the file: the events themselves tell what it lacks.
    for held in outbox.urgent:
        event = recorder.read(outbox.sealed(held) or b"")
        if not event:
            continue
        if event[k.KIND] in KINDS:
            _recall(alarms, held.name, event)
        elif event[k.KIND] == k.CALL_UNANSWERED:
            alarm = alarms.named(tuple(event.get(k.ALARM, ())))
            if alarm:
                alarm.said = held.name
    now = clock.now_ms()
    for alarm in alarms.alarms:
        alarm.since_ms = now
    if alarms.unsaved:
        alarms.save()
    return len(alarms.alarms)


def _recall(alarms, name, event):
    device = event.get(k.DEVICE, 0)
    alarm = alarms.named(tuple(event.get(k.ALARM, name)))
    if not alarm:
        if k.ALARM not in event:
            alarms.add(Alarm(event[k.KIND], name, device))
    elif name > (alarm.repeat or alarm.name):
        # While presses are counted no other event of their alarm is recorded: this one holds them.
        alarm.repeat = name
        left = alarm.extra.pop(device, 0) - event.get(k.COUNT, 1)
        if left > 0:
            alarm.extra[device] = left
        alarms.unsaved = True
