"""The slots of the program: /a and /b, which updates write in turn, and /safe, which nobody does.

NVS i32 `slot`, read and written by boot.py too, which no update replaces: these bits stay as they are.
0-1 permanent slot (0 and 1: a, 2 b, 3 safe), 2-3 slot on trial (0 none), 4-7 why the trial failed (DETAIL
of update.failed), 8-11 which slots kept failing (bit 8 + slot), 12-19 points of starts that were not believed
yet (0: this one is), 20 safe_mode was said."""

import sys

SAFE = 3
FOLDERS = ("", "/a", "/b", "/safe")
REQUESTED = 9  # names.RESETS


def running():
    """The slot whose folder boot.py put first."""
    return FOLDERS.index(sys.path[0]) if sys.path[0] in FOLDERS[1:] else 1


class Slots:
    """What NVS says of them; save() puts it back."""

    def __init__(self, nvs):
        self._nvs = nvs
        self._was = value = nvs.i32("slot", 0)
        self.good = value & 3 or 1
        self.trial = value >> 2 & 3
        self.why = value >> 4 & 15
        self.bad = value >> 8 & 15
        self.starts = value >> 12 & 255
        self.told = value >> 20 & 1

    def save(self):
        """Commit all at once, where anything is new; OSError."""
        value = self.good | self.trial << 2 | self.why << 4 | self.bad << 8 | self.starts << 12
        value |= self.told << 20
        if value != self._was:
            self._nvs.set_i32("slot", value)
            self._was = value

    def free(self):
        """The slot that an update writes: never the one that runs, nor safe."""
        return 2 if running() == 1 else 1


def number(version):
    """X.Y.Z as one number that rises with it; 0: it is no release's."""
    parts = version.split(".")
    value = 0
    for part in parts:
        if not part.isdigit() or len(part) > 4 or int(part) > 1023:
            return 0
        value = value << 10 | int(part)
    return value if len(parts) == 3 else 0


def start_trial(app, slot):
    """Restart into a slot that holds a whole release; OSError when NVS does not take it."""
    state = Slots(app.board.nvs)
    state.trial, state.why, state.starts = slot, 0, 0
    state.bad &= ~(1 << slot)
    state.save()
    restart(app)


def restart(app):
    """Restart because the hub wants to."""
    try:
        app.board.nvs.set_i32("reset", REQUESTED)
    except OSError:
        pass
    app.board.reset()
