"""What a start has to do with releases: prove the one on trial, tell how one ended, go on with one.
Imported at each start, dropped when there is nothing left to do."""

import asyncio
import sys

from micropython import const

from kanhu_hub import slots
from kanhu_hub.app import drop
from kanhu_protocol import kinds as k

NOT_PROVEN = 6  # DETAIL of update.failed

_PROVE_MS = const(1800000)  # with a link; a stretch without one counts a quarter
_LOOK_MS = const(2000)
_AGAIN_MS = const(90000)  # between two test calls: proof.py gives each 60 s


def places(nvs):
    """[running, permanent] slot for the boot event; None while both are a."""
    found = [slots.running(), slots.Slots(nvs).good]
    return None if found == [1, 1] else found


def begin(app):
    """Do at once what can be done; a task does the rest."""
    state = slots.Slots(app.board.nvs)
    now = slots.running()
    if state.trial and not state.why and now == state.trial:
        asyncio.create_task(_prove(app))  # noqa: RUF006  MicroPython's loop holds it
        return
    try:
        _settled(app, state, now)
    except Exception as error:  # the hub calls all the same
        sys.print_exception(error)
    drop("kanhu_hub.trial", "kanhu_hub.slots", "kanhu_hub.order")


def _settled(app, state, now):
    if now == slots.SAFE:
        app.recorder.record(k.SAFE_MODE, {k.FIRMWARE: app.firmware})
        state.told = 1
    elif state.told:
        app.recorder.record(k.SAFE_MODE_ENDED, {k.FIRMWARE: app.firmware})
        state.told = 0
    from kanhu_hub import order

    found = order.kept(app)
    if state.trial:  # boot.py, or that release itself, has found that it is none
        order.say(app, k.UPDATE_FAILED, found, detail=state.why or NOT_PROVEN)
        order.forget(app)
        state.bad |= 1 << state.trial
        state.trial = state.why = 0
    elif found and found.release == app.firmware:
        order.say(app, k.UPDATE_DONE, found)
        order.forget(app)
    elif found:
        from kanhu_hub import update

        update.resume(app, found)
    state.save()


async def _prove(app):
    # Whatever goes wrong here is the new release's: it must not stay in force for it.
    try:
        proven = await _proven(app)
        state = slots.Slots(app.board.nvs)
        if not proven:
            from kanhu_hub.order import quiet

            while not quiet(app):
                await app.clock.sleep_ms(_LOOK_MS)
            state.why = NOT_PROVEN
            state.bad |= 1 << state.trial
            state.starts = 0
            state.save()
            slots.restart(app)
        state.good = state.trial
        state.bad &= ~(1 << state.good)
        state.trial = state.starts = 0
        state.save()
        _settled(app, state, state.good)
    except Exception as error:
        sys.print_exception(error)
        app.board.reset()
    drop("kanhu_hub.trial", "kanhu_hub.slots", "kanhu_hub.order")


async def _proven(app):
    left_ms, before = _PROVE_MS, app.clock.now_ms()
    ask_ms = 0
    app.proven = False
    while left_ms > 0:
        await app.clock.sleep_ms(_LOOK_MS)
        if app.proven:
            return True
        now = app.clock.now_ms()
        if now >= ask_ms and app.courier.ready() and app.reached() and not app.alarms.proofs:
            ask_ms = now + _AGAIN_MS
            app.unproven = False  # one now, however short ago the last was
            app.proof_ms = 0
        left_ms -= (now - before) if app.courier.ready() else (now - before) // 4
        before = now
    return False
