"""What the elder sees and hears. One character is 100 ms, '#' is on; each lasts 2 s and repeats."""

STEP_MS = 100
STEPS = 20  # of a pattern; where it is written shorter, it is off to its end

# name: (lamp, buzzer); kanhu_protocol/names.py has the words for each. While an alarm waits, the lamp's light
# grows with each receipt. The buzzer is silent at rest.
PATTERNS = {
    "well": ("#", ""),
    "cannot_tell": ("#.#", ""),
    "fault": ("#.#.#", ""),
    "heard": ("#####", "#"),
    "stored": ("##########", "#.#"),
    "delivered": ("###############", "#.#.#"),
    "not_saved": ("##..##..##", "##..##"),
    "unanswered": ("#.#.#.#.#.#.#.#.#.#", "#####.....#####"),
    "accepted": ("####################", "##"),
    "coming": ("########..########", "########"),
    "pairing": ("#####.....#####", ""),
    "proving": ("###.......###", "#.........#"),
    "asking": ("###..###..###..###", "##.##.##.##"),
}


class Indicator:
    """lamp and buzzer have value(0 or 1) or are None; choose() names the pattern to show now."""

    def __init__(self, lamp, buzzer, choose, clock, log):
        self._pins = (lamp, buzzer)
        self.choose = choose
        self._clock = clock
        self._log = log
        self._step = 0
        self._until_ms = 0  # end of the step shown now
        self._levels = None
        self.name = None

    def look(self):
        """Something happened: a change is logged and shown at once."""
        if self.choose() != self.name:
            self.step()

    def step(self):
        """Show the next 100 ms."""
        name = self.choose()
        if name != self.name:
            self.name = name
            self._step = 0
            self._log("lamp " + name)
        self._until_ms = self._clock.now_ms() + STEP_MS
        lamp, buzzer = PATTERNS[name]
        step = self._step
        self._step = (step + 1) % STEPS
        levels = (lamp[step : step + 1] == "#", buzzer[step : step + 1] == "#")
        if levels != self._levels:
            self._levels = levels
            for pin, level in zip(self._pins, levels):
                if pin:
                    pin.value(int(level))

    async def run(self, beat):
        """Step for ever; beat() after each."""
        while True:
            wait_ms = self._until_ms - self._clock.now_ms()
            if wait_ms > 0:  # look() may have begun a step meanwhile: it lasts as long as every other
                await self._clock.sleep_ms(wait_ms)
                continue
            self.step()
            beat()
