"""What a host may ask of the lines."""

import asyncio

from stimulus import fields
from stimulus.fields import Wrong

MS_MAX = 3600000


class Pins:
    """Commands over outputs and edges; answers are ticks_us at the change."""

    def __init__(self, app, outputs, edges):
        self._outputs, self._edges = outputs, edges
        app.register("press", self.press, ("line", "ms", "bounce"))
        app.register("set", self.set, ("line", "level"))
        app.register("pulse", self.pulse, ("line", "ms"))
        app.register("stick", self.stick, ("line", "on", "bounce"))
        app.register("rest", self.rest)
        app.register("edges", self.edges)
        app.holders.append((outputs.held, outputs.rest))

    def _line(self, request, contact=False):
        name = fields.choice(request, "line", self._outputs.lines)
        if contact and self._outputs.lines[name].kind != "open drain":
            raise Wrong("line: %s is no contact; use set or pulse" % name)
        return name, self._outputs.lines[name]

    async def press(self, request):
        """Close a contact for ms; answered when it is open again."""
        name, line = self._line(request, contact=True)
        ms = fields.integer(request, "ms", 150, 1, MS_MAX)
        move = self._outputs.bounce if fields.flag(request, "bounce", False) else self._outputs.set
        when = move(name, line.acts)
        turn = line.turn
        await asyncio.sleep_ms(ms)
        if line.turn != turn:
            raise Wrong("line: another request took %s before its %d ms were over" % (name, ms))
        move(name, line.rest)
        return when

    async def set(self, request):
        """A level, or null: released."""
        name, _ = self._line(request)
        if "level" not in request:
            raise Wrong("level: 0, 1 or null")
        level = request["level"]
        if level is not None:
            level = fields.integer(request, "level", None, 0, 1)
        if level == 1 and self._outputs.lines[name].kind != "push-pull":
            level = None  # what an open drain does with a 1
        return self._outputs.set(name, level)

    async def pulse(self, request):
        """The level that is not rest for ms; answered when it begins."""
        name, line = self._line(request)
        ms = fields.integer(request, "ms", None, 1, MS_MAX)
        when = self._outputs.set(name, line.acts)
        asyncio.create_task(self._end(name, line, line.turn, ms))  # noqa: RUF006  MicroPython's loop holds it
        return when

    async def _end(self, name, line, turn, ms):
        await asyncio.sleep_ms(ms)
        if line.turn == turn:
            self._outputs.set(name, line.rest)

    async def stick(self, request):
        """Hold a line away from rest, or let it go back."""
        name, line = self._line(request)
        level = line.acts if fields.flag(request, "on", None) else line.rest
        if fields.flag(request, "bounce", False):
            self._line(request, contact=True)
            return self._outputs.bounce(name, level)
        return self._outputs.set(name, level)

    async def rest(self, request):
        """All lines at rest."""
        self._outputs.rest()

    async def edges(self, request):
        """How the lines that are read stand, and how many changes there were."""
        e = self._edges
        return {"levels": e.levels(), "seen": e.seen, "lost": e.lost, "missed": e.missed}
