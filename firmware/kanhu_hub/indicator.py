"""What the elder sees and hears. One character is 100 ms, '#' is on; a pattern repeats until the next."""

STEP_MS = 100

# name: (lamp, buzzer, English, Chinese). While an alarm waits, the lamp's light grows with each receipt.
# The buzzer is silent at rest.
PATTERNS = {
    "well": ("#...................", "....................", "all well", "一切正常"),
    "cannot_tell": ("#.#.................", "....................", "nobody upstream answers", "后台无应答"),
    "fault": ("#.#.#...............", "....................", "the hub needs service", "设备需要维护"),
    "heard": ("#####...............", "#...................", "your call is saved in this hub", "呼叫已记录"),
    "stored": ("##########..........", "#.#.................", "your call is saved at the host", "呼叫已保存"),
    "delivered": ("###############.....", "#.#.#...............", "the centre has your call", "呼叫已送达中心"),
    "not_saved": ("##..##..##..........", "##..##..............", "sent, but not saved", "已发送，未能保存"),
    "unanswered": ("#.#.#.#.#.#.#.#.#.#.", "#####.....#####.....", "nobody has answered yet", "尚无人应答"),
    "accepted": ("####################", "##..................", "a person has your call", "已有人受理"),
}


class Indicator:
    """lamp and buzzer have value(0 or 1); choose() names the pattern to show now."""

    def __init__(self, lamp, buzzer, choose, clock, log):
        self._lamp = lamp
        self._buzzer = buzzer
        self._choose = choose
        self._clock = clock
        self._log = log
        self._step = 0
        self._until_ms = 0  # end of the step shown now
        self._levels = None
        self.name = None

    def look(self):
        """Something happened: a change is logged and shown at once."""
        if self._choose() != self.name:
            self.step()

    def step(self):
        """Show the next 100 ms."""
        name = self._choose()
        if name != self.name:
            self.name = name
            self._step = 0
            self._log("lamp " + name)
        self._until_ms = self._clock.now_ms() + STEP_MS
        lamp, buzzer = PATTERNS[name][:2]
        step = self._step
        self._step += 1
        levels = (lamp[step % len(lamp)] == "#", buzzer[step % len(buzzer)] == "#")
        if levels != self._levels:
            self._levels = levels
            self._lamp.value(int(levels[0]))
            self._buzzer.value(int(levels[1]))

    async def run(self, beat):
        """Step for ever; beat() after each."""
        while True:
            wait_ms = self._until_ms - self._clock.now_ms()
            if wait_ms > 0:  # look() may have begun a step meanwhile: it lasts as long as every other
                await self._clock.sleep_ms(wait_ms)
                continue
            self.step()
            beat()
