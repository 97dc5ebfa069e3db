"""The daily test call, through every receipt of machines. Loaded while one is under way, then dropped.

NVS `proof`: minutes since 1970 of the last that came through; negative after one that did not."""

from binascii import crc32

from micropython import const

from kanhu_hub.alarm import Alarm
from kanhu_protocol import kinds as k

NOT_STORED, NOT_DELIVERED = 1, 2  # DETAIL of path.fault

_WITHIN_MS = const(60000)
_LOOK_MS = const(200)
_AGAIN_MS = const(3600000)  # after one that did not come through
_NEVER_MS = 1 << 50  # where none is daily: a release on trial asks for one


def step(app):
    """Do what is due; when the next step is, in ms since boot."""
    alarms = app.alarms
    now = app.clock.now_ms()
    first, app.unproven = app.unproven, False
    test = alarms.proofs[0] if alarms.proofs else None
    if test and test.state == k.OPEN:
        if test.receipt == 3:
            return _proven(app, test, now)
        if now - test.since_ms < _WITHIN_MS:
            return now + _LOOK_MS
        test.state = k.CLOSED
        return _failed(app, NOT_DELIVERED if test.receipt == 2 else NOT_STORED, now)
    if first and _known(app, now):
        return _next(app, now)
    # One at a time in the outbox, and none that could not leave: calls need the room.
    if (test and alarms.unstored(test.name)) or not app.courier.ready() or app.outbox.crowded():
        return _failed(app, NOT_STORED, now)
    name, _ = app.recorder.record(k.TEST_CALL, {k.FLAGS: k.TEST})
    test = Alarm(k.TEST_CALL, name, 0)
    test.since_ms = now
    alarms.proofs = [test]
    return now + _LOOK_MS


def _known(app, now):
    utc_ms = app.clock.utc_ms(now)
    last = app.board.nvs.i32("proof", 0)
    return last > 0 and utc_ms is not None and 0 <= utc_ms // 60000 - last < app.config.proof // 60


def _next(app, now):
    # Each hub has its own time of day, while it knows the time.
    every_ms = app.config.proof * 1000 or _NEVER_MS
    utc_ms = app.clock.utc_ms(now)
    if utc_ms is None:
        return now + every_ms
    return now + every_ms - (utc_ms - crc32(app.config.hub_id.encode()) * 1000) % every_ms


def _proven(app, test, now):
    span_ms = min(now, app.downlink.heard_ms) - test.since_ms
    app.recorder.record(k.PATH_PROVEN, {k.SPAN_MS: span_ms})
    if app.board.nvs.i32("proof", 0) < 0:
        app.recorder.record(k.PATH_OK, {})
    _note(app, (app.clock.utc_ms(now) or 0) // 60000)
    app.alarms.proofs = []
    app.proven = True  # trial.py waits for it
    return _next(app, now)


def _failed(app, detail, now):
    if app.board.nvs.i32("proof", 0) >= 0:
        app.recorder.record(k.PATH_FAULT, {k.DETAIL: detail})
        _note(app, -detail)
    return now + min(_AGAIN_MS, app.config.proof * 1000 or _AGAIN_MS)


def _note(app, value):
    try:
        app.board.nvs.set_i32("proof", value)
    except OSError:
        pass  # said once more then
