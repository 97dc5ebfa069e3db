"""UTC from a time server, where one is configured."""

from micropython import const

from kanhu_hub.clock import SNTP
from kanhu_protocol import kinds as k

_OK_MS = const(3600000)
_AGAIN_MS = const(60000)
_OFFLINE_MS = const(1000)


async def keep(app, log, drop):
    """Ask the configured server once an hour, for ever."""
    net = app.board.network(app.config, log)
    while True:
        wait_ms = _AGAIN_MS
        if net.up():
            try:
                utc_ms = await app.board.sntp(*app.config.ntp)
                if app.clock.set(utc_ms, SNTP):
                    app.recorder.record(k.CLOCK_SET, {})
                if not app.clock.fault:  # else: refused, and perhaps only for now
                    wait_ms = _OK_MS
            except OSError as error:
                log("ntp: %r" % error)
            drop("kanhu_hub.board.sntp")
        else:
            wait_ms = _OFFLINE_MS
        await app.clock.sleep_ms(wait_ms)
