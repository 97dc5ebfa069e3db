"""Pre-alarms: the elder is asked first. Loaded while somebody is asked, then dropped.

Of each, in alarms.asks: [name, until ms, fields of the fall that follows, or None where the host decides]."""

from micropython import const

from kanhu_protocol import kinds as k

_MAX = const(16)
_GRACE_MS = const(15000)  # the host waits so long for a cancel that is under way (contracts, section 10)


def ask(app, name, ms):
    """The host asks for so long; False when too many are asked already."""
    alarms = app.alarms
    for row in alarms.asks:
        if row[0] == name and row[2]:
            return True  # the hub's own, and the fall stays its own to raise
    alarms.asks = [row for row in alarms.asks if row[0] != name]
    if len(alarms.asks) >= _MAX:
        return False
    alarms.asks.append([name, app.clock.now_ms() + ms + _GRACE_MS, None])
    return True


def fall(app, fields):
    """A sensor suspects a fall: True when flash has it."""
    alarms = app.alarms
    for alarm in alarms.alarms:
        if alarm.kind == k.FALL and alarm.state == k.OPEN:
            return alarms.raised(k.FALL, fields)
    for row in alarms.asks:
        if row[2]:
            row[2][k.COUNT] = row[2].get(k.COUNT, 1) + 1
            return True
    ms = app.config.fall_ask * 1000
    said = dict(fields)
    said[k.SPAN_MS] = ms
    said[k.DETAIL] = k.FALL
    name, saved = app.recorder.record(k.PRE_ALARM, said)
    if not saved:  # a power cut would forget that anybody was asked: at once, then
        return alarms.raised(k.FALL, fields, name)
    alarms.asks.append([name, app.clock.now_ms() + ms, fields])
    return True


def tick(app):
    """What nobody has cancelled is an alarm."""
    now = app.clock.now_ms()
    for row in app.alarms.asks[:]:
        if now >= row[1]:
            if row[2]:
                app.alarms.raised(k.FALL, row[2], row[0])
            app.alarms.asks.remove(row)


def cancel(app, log):
    """The cancel key: all is well, also where the host has raised a pre-alarm meanwhile."""
    alarms = app.alarms
    asked = [row[0] for row in alarms.asks] + [name for name, state in alarms.told if state == k.OPEN]
    log("cancel key, %d asked" % len(asked))
    for name in asked:
        # What could not be kept is not cancelled: the lamp goes on asking.
        if app.recorder.record(k.PRE_ALARM_CANCELLED, {k.ALARM: name})[0]:
            alarms.asks = [row for row in alarms.asks if row[0] != name]
