"""Owns all tasks: starts them again when they fail, and feeds the watchdog only while all make progress."""

import asyncio
import sys

from micropython import const

TASK_FAILED, TASK_STALLED, OUT_OF_MEMORY = 6, 7, 8  # names.RESETS

_FAILURES = const(5)  # crashes of one task within _FAILURES_MS: give up and reset
_FAILURES_MS = const(600000)
_BACKOFF_MS = const(1000)
_BACKOFF_MAX_MS = const(30000)
_LOOK_MS = const(1000)
WATCHDOG_MS = 60000


class Supervisor:
    """board: feed(), reset() and nvs, which keeps the cause for the next boot's event."""

    def __init__(self, board, clock, log):
        self._board = board
        self._clock = clock
        self._log = log
        self._tasks = []
        self._beats = {}  # task: (when it last made progress, deadline ms)
        self._stalled = None
        self.crashes = 0

    def add(self, name, run, deadline_ms, *args):
        """run(*args, beat) never returns and calls beat() within the deadline; 0: run(*args), unwatched."""
        self._tasks.append(asyncio.create_task(self._keep(name, run, deadline_ms, args)))

    async def _keep(self, name, run, deadline_ms, args):
        def beat():
            self._beats[name] = (self._clock.now_ms(), deadline_ms)

        if deadline_ms:
            args += (beat,)
        failures = []
        while True:
            if deadline_ms:
                beat()
            try:
                await run(*args)
                self._log(name + " ended")
            except asyncio.CancelledError:
                raise
            except MemoryError as error:
                self._give_up(name, error, OUT_OF_MEMORY)
            except Exception as error:
                sys.print_exception(error)
                self._log("task %s failed: %r" % (name, error))
            self.crashes += 1
            now = self._clock.now_ms()
            failures = [when for when in failures if now - when < _FAILURES_MS]
            failures.append(now)
            if len(failures) >= _FAILURES:
                self._give_up(name, None, TASK_FAILED)
            await self._clock.sleep_ms(min(_BACKOFF_MS << (len(failures) - 1), _BACKOFF_MAX_MS))

    def _give_up(self, name, error, cause):
        self._log("giving up on %s: %r" % (name, error))
        self._leave(cause)
        self._board.reset()

    def _leave(self, cause):
        try:
            self._board.nvs.set_i32("reset", cause)
        except OSError:
            pass

    async def run(self):
        """Watch for ever."""
        while True:
            now = self._clock.now_ms()
            late = [name for name, (when, deadline) in self._beats.items() if now - when > deadline]
            if not late:
                self._board.feed()
            name = late[0] if late else None
            if name != self._stalled:
                self._stalled = name
                if name:
                    self._log("task %s stalled" % name)
                self._leave(TASK_STALLED if name else 0)
            await self._clock.sleep_ms(_LOOK_MS)
