"""After some minutes of life a start is believed: boot.py then counts from the beginning."""

from micropython import const

_LIVE_MS = const(300000)


async def wait(app, drop):
    """Until then, and commit it."""
    await app.clock.sleep_ms(_LIVE_MS)
    from kanhu_hub.slots import Slots

    state = Slots(app.board.nvs)
    if state.starts and not state.trial:
        state.starts = 0
        try:
            state.save()
        except OSError:
            pass  # a start that is counted once more
    del Slots
    drop("kanhu_hub.slots", "kanhu_hub.believed")
