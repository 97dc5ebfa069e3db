"""A hub that does not run: what its console says, and when the watchdog starts it again."""

from kanhu_hub.board import IDLE_MS, RESTING_MS


def begin(board, log, why):
    """why: what is missing, in a tuple; empty after Ctrl-C, which leaves the REPL."""
    board.watchdog(IDLE_MS if why else RESTING_MS)
    if why:
        log(why[0])
        return
    log("stopped; the watchdog starts the hub again in %d s, Ctrl-D does now" % (RESTING_MS // 1000))
    log("to stay longer: import machine; machine.WDT(timeout=%d)" % IDLE_MS)
