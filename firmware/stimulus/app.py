"""The stimulus as it runs: requests in, answers and events out, all lines let go when the host is silent."""

import asyncio
import gc
import json
import sys
import time

from stimulus import fields, lines, tree
from stimulus.console import LINE_MAX, Console
from stimulus.edges import Edges
from stimulus.fields import Wrong
from stimulus.monitors import Monitors
from stimulus.outputs import Outputs
from stimulus.pins import Pins
from stimulus.radio import Radio

PROTOCOL = 1
VERSION = "1.0.0"
DEAD_S = 60  # without a request while a line is held: the host is gone, and everything is let go
DEAD_MAX_S = 3600
ROUND_MS = 250
WATCHDOG_MS = 20000
RESTING_MS = 3600000  # the watchdog at the REPL: it cannot be stopped
WAITING_MAX = 16  # requests at work at once
NAME_MAX = 40  # characters of a foreign name that are said back
NUMBER_MAX = 1 << 30


class App:
    """Rooms register their commands here: register(name, async function of the request, names of fields).

    What a function returns is the answer's "ok"; Wrong becomes its "error". holders: (held, rest) functions
    of rooms that hold something on the air or on a line; rest() is called when the host is gone."""

    def __init__(self, board):
        self.board = board
        self.console = Console()
        self.commands = {}
        self.holders = []
        self.counts = {"requests": 0, "bad": 0, "failed": 0, "dead": 0}
        self.edges = Edges(board, lines.LINES, self.emit)
        self.outputs = Outputs(board, lines.LINES)
        self._tree = tree.digest()
        self._heard_ms = board.ticks_ms()
        self._dead_s = DEAD_S
        self._waiting = 0
        Pins(self, self.outputs, self.edges)  # the rooms, each with its commands
        radio = Radio(self)
        Monitors(self, radio)
        self.register("hello", self.hello)
        self.register("ping", self.ping)
        self.register("status", self.status)
        self.register("deadman", self.deadman, ("seconds",))
        self.register("reboot", self.reboot)

    def register(self, name, function, names=()):
        """A command and the fields that its request may have."""
        self.commands[name] = (function, names)

    def emit(self, name, value):
        """One event, as a line of its own."""
        self.console.write({name: value})

    # Requests

    async def serve(self):
        """Read requests for ever; each is answered on its own, so that a long press holds up nobody."""
        while True:
            line = await self.console.line()
            if line is None:
                self._refuse(None, "a request has at most %d bytes" % LINE_MAX)
            elif self._waiting >= WAITING_MAX:
                self._refuse(None, "%d requests are at work; wait for their answers" % WAITING_MAX)
            else:
                self._waiting += 1
                asyncio.create_task(self._answer(line))  # noqa: RUF006  MicroPython's loop holds it

    def _refuse(self, number, why):
        self.counts["bad"] += 1
        self.console.write({"n": number, "error": why})

    async def _answer(self, line):
        number = None
        try:
            request = _parse(line)
            if "n" in request:
                number = fields.integer(request, "n", None, 0, NUMBER_MAX)
            function = self._find(request)
            self._heard_ms = self.board.ticks_ms()
            self.counts["requests"] += 1
            answer = {"n": number, "ok": await function(request)}
            self.console.write(answer)
        except Wrong as error:
            self._refuse(number, error.args[0])
        except Exception as error:
            sys.print_exception(error)
            self.counts["failed"] += 1
            self.console.write({"n": number, "error": "the stimulus failed: %r" % error})
        finally:
            self._waiting -= 1

    def _find(self, request):
        name = request.get("do")
        if not isinstance(name, str) or name not in self.commands:
            known = ", ".join(sorted(self.commands))
            raise Wrong("no command %s: there is %s" % (repr(name)[:NAME_MAX], known))
        function, names = self.commands[name]
        for key in request:
            if key not in ("n", "do") and key not in names:
                there = ", ".join(names) or "none"
                raise Wrong("%s has no field %s: there is %s" % (name, repr(key)[:NAME_MAX], there))
        return function

    # Commands of the board itself

    async def hello(self, request=None):
        """Who this is and what runs on it."""
        return {
            "stimulus": PROTOCOL,
            "version": VERSION,
            "tree": self._tree,
            "mac": self.board.mac(),
            "cause": self.board.cause(),
            "ticks_us": self.board.ticks_us(),
        }

    async def ping(self, request):
        """Its clock."""
        return self.board.ticks_us()

    async def status(self, request):
        """What it counted, how its lines stand, and its heap."""
        levels = {name: line.level for name, line in self.outputs.lines.items()}
        levels.update(self.edges.levels())
        e = self.edges
        return {
            "counts": self.counts,
            "edges": {"seen": e.seen, "lost": e.lost, "missed": e.missed},
            "levels": levels,
            "deadman": self._dead_s,
            "heap": gc.mem_free(),
        }

    async def deadman(self, request):
        """Seconds without a request after which all is let go."""
        self._dead_s = fields.integer(request, "seconds", None, 1, DEAD_MAX_S)

    async def reboot(self, request):
        """Restart after the answer."""
        asyncio.create_task(self._restart())  # noqa: RUF006  MicroPython's loop holds it

    async def _restart(self):
        await asyncio.sleep_ms(100)
        self.rest()
        self.board.reset()

    # Nobody may be left with a button pressed or a hub without supply

    def rest(self):
        """Let go of everything that is held."""
        for _, rest in self.holders:
            rest()

    async def guard(self):
        """Feed the watchdog, and let go when the host has been silent for too long."""
        while True:
            await asyncio.sleep_ms(ROUND_MS)
            self.board.feed()
            silent_ms = self.board.ticks_diff(self.board.ticks_ms(), self._heard_ms)
            if silent_ms > self._dead_s * 1000:
                # Said anew for each thing held: ticks come round after 12 days.
                self._heard_ms = self.board.ticks_ms()
                if any(held() for held, _ in self.holders):
                    self.counts["dead"] += 1
                    self.rest()
                    self.emit("dead_man", self._dead_s)

    async def run(self):
        """For ever."""
        self.board.watchdog(WATCHDOG_MS)
        self.console.write(await self.hello())
        asyncio.create_task(self.edges.run())  # noqa: RUF006  MicroPython's loop holds it
        asyncio.create_task(self.guard())  # noqa: RUF006  MicroPython's loop holds it
        await self.serve()


def _parse(line):
    try:
        request = json.loads(line)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise Wrong('a request is a JSON object on one line, such as {"n":1,"do":"ping"}')
    return request


def main():
    """Serve on this board; Ctrl-C lets go of all lines and leaves the REPL."""
    from stimulus.board import Board

    board = Board()
    app = App(board)
    try:
        asyncio.run(app.run())
    except KeyboardInterrupt:
        print("stimulus: all lines are let go; Ctrl-D starts it again")
    except Exception as error:
        sys.print_exception(error)
        app.rest()
        time.sleep(3)
        board.reset()
    finally:
        app.rest()
        board.watchdog(RESTING_MS)
        asyncio.new_event_loop()
