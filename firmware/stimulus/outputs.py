"""Lines on which the stimulus acts: each at a level or released, and how it rests."""

BOUNCE_US = (0, 400, 900, 1700, 2100, 3600, 4000)  # moments at which a cheap contact changes
LATEST_US = 20000  # a bounce later than this would be a press of its own: it is left out


class Output:
    """level: 0, 1 or None (released); turn changes with each request, so that an older one lets it be."""

    def __init__(self, driver, kind, rest):
        self._driver = driver
        self.kind = kind
        self.rest = rest
        self.level = rest
        self.turn = 0
        self.floats = False  # the hub is without supply: nothing may feed it through its pins

    def show(self):
        """Have the pin be what it is to be."""
        self._driver.drive(None if self.floats and self.kind == "push-pull" else self.level)

    @property
    def acts(self):
        """The level that is not rest."""
        return 1 if self.rest == 0 else 0


class Outputs:
    """All of them, by name."""

    def __init__(self, board, table):
        self._board = board
        self.lines = {}
        for name, row in table.items():
            if row[1] != "input":
                self.lines[name] = Output(board.driver(row[0], row[1]), row[1], row[2])
        self.rest()

    def set(self, name, level):
        """Have a line be at this level from now on; ticks_us of the change."""
        line = self.lines[name]
        line.turn += 1
        line.level = level
        if line.kind == "load switch":
            return self._switch(line)
        line.show()
        return self._board.ticks_us()

    def _switch(self, switch):
        off = switch.level == 0
        for line in self.lines.values():
            if line is not switch and line.floats != off:
                line.floats = off
                line.show()  # before the supply is back, and before it is gone
        switch.show()
        return self._board.ticks_us()

    def bounce(self, name, level):
        """As set(), by a contact that bounces for 4 ms; ticks_us of the first change."""
        line = self.lines[name]
        before = line.level
        begin = self._board.ticks_us()
        for count, moment in enumerate(BOUNCE_US):
            wait = moment - self._board.ticks_diff(self._board.ticks_us(), begin)
            if wait > 0:
                self._board.sleep_us(wait)
            elif -wait > LATEST_US:
                break
            now = self.set(name, before if count & 1 else level)
            if not count:
                begin = now
        if line.level != level:
            self.set(name, level)
        return begin

    def held(self):
        """Whether any line is not at rest."""
        return any(line.level != line.rest for line in self.lines.values())

    def rest(self):
        """Every line as nobody touched it; the hub has its supply."""
        for name, line in self.lines.items():
            if line.kind != "load switch":
                self.set(name, line.rest)
        for name, line in self.lines.items():
            if line.kind == "load switch":
                self.set(name, line.rest)
