"""Every step of a hub's life, its power cut at every program, erase and NVS commit; prints the map."""

import gc
import os

from fake_board import Board, Time, virtual
from fake_host import HUB, KEY
from power import WAYS, Cut, CutNvs, Flash, Power, Watched

from kanhu_hub import app as app_module
from kanhu_hub import bulk, records, store, wiring
from kanhu_hub.app import App
from kanhu_hub.inputs.encrypted import Counters
from kanhu_hub.pairing import Pairing
from kanhu_protocol import cbor
from kanhu_protocol import kinds as k

FOLDER = ""
DATA = "/flash/data"
UTC_MS = 1790000000000
ADDRESS = b"\xa4\xc1\x38\x01\x02\x03"
TABLE = [[5, 1, ADDRESS, 3600]]
CONFIG = {"mains": 5, "heartbeat": 300, "buttons": [[1, 4]], "pirs": []}
RECOVERY_EVERY = 16  # one in so many recoveries is cut too
RECOVERY_AT = 7  # operations of such a recovery that are tried, spread over it


class Life:
    """A hub over its boots, and what a bystander knows of it."""

    def __init__(self):
        self.power = Power()
        self.flash = Flash(self.power)
        self.nvs = CutNvs(self.power, {})
        for module in (store, bulk):
            module.os = Watched(self.power)
            module.open = module.os.open
        self.nvs.values = {"hub_id": HUB.encode(), "key": KEY, "generation": 1, "config": cbor.dumps(CONFIG)}
        self.sealed = {}  # name: every bytes ever sealed for it
        self.ever = self.reused = 0  # seals made in all, and those of a name that had one
        self.kept = {}  # name: (class, bytes) that flash was said to have and no host has stored
        self.hosted = {}  # name: presses in an event that a host has stored
        self.heard = self.tried = 0  # presses
        self.promised = {}  # what was said to be safe: its value
        self.offered = {}  # what may be there too, because it was being written

    def snapshot(self):
        known = self.sealed, self.kept, self.hosted, self.promised, self.offered
        return (
            bytes(self.flash.data),
            dict(self.nvs.values),
            [dict(one) for one in known],
            (self.heard, self.tried),
        )

    def restore(self, snapshot):
        data, values, known, (self.heard, self.tried) = snapshot
        self.flash.data[:] = data
        self.nvs.values = dict(values)
        self.sealed, self.kept, self.hosted, self.promised, self.offered = [dict(one) for one in known]

    def begin(self):
        """Power comes back."""
        self.power.clear()
        self.flash.mount()

    def end(self):
        self.app = None
        if self.power.dead:
            gc.collect()  # whatever file the cut left open closes now, on flash that takes nothing more
        self.flash.umount()

    def boot(self):
        time = Time()
        virtual(time)
        self.time = time
        board = Board(self.nvs, time)
        ticks = board.ticks_ms

        def ticks_ms():
            self.power.check()
            return ticks()

        board.ticks_ms = ticks_ms
        self.app = app = App(board, DATA, lambda *args: [])
        outbox, add = app.outbox, app.outbox.add

        def kept(cls, boot, seq, sealed):
            self.power.check()
            name = boot, seq
            self.ever += 1
            self.reused += name in self.sealed
            self.sealed[name] = sealed
            saved = add(cls, boot, seq, sealed)
            self.power.check()
            if saved:
                self.kept[name] = cls, sealed
            return saved

        outbox.add = kept
        outbox._limit = 3072
        outbox.bulk._max = 768
        app.courier.ready = lambda: True
        wiring.start(app, app_module.log, lambda *names: None)

    # What happens to a hub.

    def press(self, kind=k.CALL, device=1):
        self.tried += 1
        promised, opened = self.promised.get("alarm"), None
        if kind == k.CALL and promised is not None:  # a press opens an alarm where none is open
            opened = (self.offered.get("alarm", promised) if k.OPEN in promised else promised)[:]
            if k.OPEN not in opened:
                opened.append(k.OPEN)
            self.offered["alarm"] = opened
        saved = self.app.emit(kind, {k.DEVICE: device})
        self.power.check()
        self.heard += saved
        if opened and k.OPEN not in promised:
            self.promised["alarm"] = opened

    def say(self, kind, **fields):
        self.app.emit(kind, {getattr(k, name): value for name, value in fields.items()})

    def sent(self):
        for held in self.app.outbox.urgent:
            held.due[1] = (0, 1)

    def pass_ms(self, ms):
        self.time.ms += ms

    def stored(self):
        """A host has everything that the outbox holds."""
        app = self.app
        rows = []
        for _, boot, seq, sealed in list(app.outbox.events(lambda boot, seq: True)):
            rows.append([boot, seq])
            self.hosted[(boot, seq)] = self._presses(sealed)
            if app.recorder.read(sealed)[k.KIND] == k.PAIRED:
                self.hosted["paired"] = 0
            self.kept.pop((boot, seq), None)
        for cls in (2, 3, 4, 5):
            app.outbox.take(cls, 1000, 1 << 20)
        app.outbox.stored([], rows)

    def promise(self, what, value, act):
        """act() makes `what` have a value; from when it says so, it must stay."""
        self.offered = {what: value}
        good = act()
        self.power.check()
        if good is not False:
            self.promised[what] = value

    def _presses(self, sealed):
        event = self.app.recorder.read(sealed)
        return event.get(k.COUNT, 1) if event[k.KIND] in (k.CALL, k.SMOKE) else 0

    # What a bystander sees after it.

    def state(self):
        """Everything that can be read, by file."""
        found = {}
        for folder in ("/", "/urgent/", "/bulk/"):
            try:
                names = os.listdir(DATA + folder)
            except OSError:
                continue
            for name in names:
                path = DATA + folder + name
                if os.stat(path)[0] & 0x8000 and not name.endswith(".tmp"):
                    with open(path, "rb") as file:
                        found[path] = file.read()
        found["NVS"] = sorted((key, value) for key, value in self.nvs.values.items())
        return found

    def unreadable(self):
        """Files in which anything cannot be read; littlefs itself not mounting would raise."""
        bad = 0
        for path, raw in self.state().items():
            if "/bulk/" in path:
                reached = 0
                for pos, record in records.salvage(memoryview(raw), len(raw)):
                    bad += pos != reached
                    reached = record[4]
                bad += reached != len(raw)
            elif path != "NVS":
                bad += store.load(path) is None
        app = self.app
        return bad + app.outbox.corrupt + app.outbox.bulk.corrupt

    def lost(self):
        """Presses that were called heard and are not there any more; presses from nowhere count too."""
        presses = dict(self.hosted)
        for held in self.app.outbox.urgent:
            presses[held.name] = self._presses(self.app.outbox.sealed(held))
        total = sum(presses.values()) + sum(sum(one.extra.values()) for one in self.app.alarms.alarms)
        return max(0, self.heard - total) + max(0, total - self.tried)

    def forgotten(self):
        """Events of every class that flash was said to have, and promises, that are not kept."""
        app = self.app
        found = {(boot, seq): sealed for _, boot, seq, sealed in app.outbox.events(lambda boot, seq: True)}
        bad = []
        for name, (cls, sealed) in self.kept.items():
            # P5 is given up when storage is short: the host sees the gap, and asks.
            if found.get(name) != sealed and (cls < 5 or name in found):
                bad.append(name)
        have = {
            "table": [app.devices.version, app.devices.entries],
            "floor": app.clock._floor,
            "mains": app.faults.mains,
            "config": app.config.heartbeat,
            "alarm": [alarm.state for alarm in app.alarms.alarms if alarm.kind == k.CALL],
            "counters": Counters(DATA + "/devices.heard", TABLE).rows.get(ADDRESS),
        }
        if "reset" in self.promised:
            read = [app.recorder.read(sealed) for sealed in found.values()]
            have["reset"] = max(event[k.RESET] for event in read if event[k.KIND] == k.BOOT)
        for what, value in self.promised.items():
            if have[what] != value and have[what] != self.offered.get(what, value):
                bad.append(what)
        if app.devices.version and "paired" not in self.hosted:
            said = [app.recorder.read(sealed)[k.KIND] for sealed in found.values()]
            if k.PAIRED not in said:
                bad.append("paired")  # the table is in force, and nobody was told
        return len(bad)


# The steps of a life: (name, what happens, whether the start itself is the step).


def _motion(life):
    for _ in range(3):
        life.say(k.MOTION, DEVICE=2)


def _fill(life):
    while not life.app.outbox.full:
        life.say(k.VITALS, DEVICE=3, VALUES=[[1, 5]])


def _nearly_full(life):
    """Before the next step, without a cut."""
    while life.app.outbox.bulk.bytes < life.app.outbox._limit - 640:
        life.say(k.VITALS, DEVICE=3, VALUES=[[1, 5]])


def _tested(life):
    """A test press of the hub's own button: no call, and none is open after it."""
    app = life.app
    button = app.buttons[1]
    Pairing(app).open(60000, 1)
    life.pass_ms(1000)
    button.pressed = button.due = True
    app.emit(k.CALL, {k.DEVICE: 1})
    life.power.check()
    button.pressed = button.due = False
    app.pairing.tick()
    life.power.check()
    said = [app.recorder.read(sealed)[k.KIND] for _, sealed in life.kept.values()]
    assert k.TEST_PRESS in said
    assert not app.alarms.alarms


def _counted(life):
    life.press()
    life.press()
    life.press(device=2)


def _leave(life):
    life.sent()
    life.app.alarms.tick()


def _unanswered(life):
    life.pass_ms(11000)
    life.app.alarms.tick()


def _person(state):
    def act(life):
        calls = [alarm for alarm in life.app.alarms.alarms if alarm.kind == k.CALL]
        name = calls[-1].name
        told = [alarm.state for alarm in calls[:-1]] + [state]
        if state == k.CLOSED:
            told.pop()  # its event is stored
        life.promised["alarm"] = [alarm.state for alarm in calls]
        life.promise("alarm", told, lambda: life.app.alarms.person_says(name, state))
        life.app.recorder.record(k.COMMAND_DONE, {k.COMMAND: 1, k.ALARM: name, k.STATE: state})

    return act


def _fallen(life):
    """A suspected fall: asked about, not cancelled, an alarm."""
    life.say(k.FALL, DEVICE=6)
    life.pass_ms(21000)
    life.app._asking("tick")


def _cancelled(life):
    life.say(k.FALL, DEVICE=6)
    life.app.cancel(k.CALL, {})


def _table(life):
    life.promise("table", [7, TABLE], lambda: life.app.devices.replace(7, TABLE))


def _clock(life):
    life.promise("floor", UTC_MS, lambda: life.app.clock.set(UTC_MS, 2))


def _mains(life):
    pin = life.app.board.pins[5]
    pin.level = 0
    life.app.faults.tick()
    life.pass_ms(6000)
    life.promised["mains"] = True
    life.promise("mains", False, life.app.faults.tick)


def _config(life):
    settings = dict(CONFIG)
    settings["heartbeat"] = 60
    life.promised["config"] = 300
    life.promise("config", 60, lambda: life.nvs.set_blob("config", cbor.dumps(settings)))


def _reset(life):
    life.promise("reset", 6, lambda: life.app.supervisor._leave(6))  # a boot event will say so


def _counters(life):
    counters = Counters(DATA + "/devices.heard", TABLE)
    for number in range(3):
        row = (b"proof678", bytes([number]) * 8, number)
        life.press(device=5)  # an encrypted caller: its event first, then its counter
        life.promise("counters", row, lambda row=row: counters.put(ADDRESS, row, True))


def _start(life):
    life.boot()


def _start_without_nvs(life):
    life.nvs.refusing = True
    try:
        life.boot()
    except OSError:
        life.power.check()  # neither NVS nor, without power, flash takes the boot: the hub starts again
        raise
    finally:
        life.nvs.refusing = False


STEPS = (
    ("first start", _start, True),
    ("a test press", _tested, False),
    ("a press opens an alarm", Life.press, False),
    ("presses while it is open", _counted, False),
    ("start with counted presses", _start, True),
    ("counted presses leave", _leave, False),
    ("smoke beside it", lambda life: life.press(k.SMOKE, 4), False),
    ("a host stores everything", Life.stored, False),
    ("said again, unanswered", _unanswered, False),
    ("motion", _motion, False),
    ("", _nearly_full, False),
    ("the last room, then the oldest are thinned", _fill, False),
    ("start with a full outbox", _start, True),
    ("device table", _table, False),
    ("counters of an encrypted caller", _counters, False),
    ("a person accepts", _person(k.ACCEPTED), False),
    ("a host stores everything again", Life.stored, False),
    ("a press after that", lambda life: life.press() or life.stored(), False),
    ("a person closes", _person(k.CLOSED), False),
    ("a suspected fall is cancelled", _cancelled, False),
    ("a suspected fall becomes an alarm", _fallen, False),
    ("time from the host", _clock, False),
    ("mains lost", _mains, False),
    ("new settings", _config, False),
    ("a supervisor leaves its reason", _reset, False),
    ("start with that reason", _start, True),
    ("start while NVS takes nothing", _start_without_nvs, True),
)


def test_every_cut():
    files, totals = run(STEPS)
    for file in sorted(files):
        print(f"file|{file}|{_bars(files[file])}|{sum(files[file]) * len(WAYS)}")
    print(f"total|{_bars(totals)}")


def test_a_careless_write_is_seen():
    def replace(path, data):
        with store.open(path, "wb") as file:
            file.write(data)
            file.flush()
            file.write(store.crc32(data).to_bytes(4, "little"))

    real, store.replace = store.replace, replace
    try:
        _, totals = run(STEPS[:4])
    finally:
        store.replace = real
    assert totals[4], totals
    assert totals[5], totals


def test_a_boot_counter_that_is_not_kept_is_seen():
    real, CutNvs.set_i32 = CutNvs.set_i32, lambda self, key, value: None
    try:
        _, totals = run(STEPS[:3])
    finally:
        CutNvs.set_i32 = real
    assert totals[3], totals


def run(steps):
    """Prints a row for each step; {file: operations}, [cuts, cuts of recoveries, seals, reused, wrong..]."""
    app_module.log = lambda text: None
    life = Life()
    life.flash.format()
    life.flash.umount()
    files = {}
    totals = [0] * 7
    number = 0
    for name, act, is_start in steps:
        base = life.snapshot()
        before, operations, after = _whole(life, act, is_start)
        if not name:
            continue
        number += 1
        later = life.snapshot()
        counts = [0] * 3
        for what, file in operations:
            column = ("program", "erase", "commit").index(what)
            counts[column] += 1
            files.setdefault(file, [0] * 3)[column] += 1
        outcomes = [0] * 6
        for left in range(len(operations)):
            for way in WAYS:
                life.restore(base)
                state = _cut(life, act, is_start, left, way)
                outcomes[0 if state == before else 1 if state == after else 2] += 1
                totals[0] += 1
                if totals[0] % RECOVERY_EVERY == 0:
                    torn = life.snapshot()
                    totals[1] += _cut_recoveries(life, torn, outcomes)
                    life.restore(torn)
                _recover(life, outcomes)
        cuts = len(operations) * len(WAYS)
        print(f"row|{number} {name}|{_bars(counts)}|{cuts}|{_bars(outcomes)}")
        for n in (0, 1, 2):
            totals[4 + n] += outcomes[3 + n]
        life.restore(later)
    totals[2:4] = life.ever, life.reused
    return files, totals


def _bars(numbers):
    return "|".join(map(str, numbers))


def _cut(life, act, is_start, left, way):
    """One step, cut; what a reader of the flash and NVS finds then."""
    life.begin()
    if not is_start:
        life.boot()
    life.power.operations = []
    life.power.left = left
    life.power.way = way
    try:
        act(life)
    except Cut:
        assert left >= 0
    assert life.power.dead
    life.end()
    life.begin()
    state = life.state()
    life.end()
    return state


def _recover(life, outcomes):
    """Start again twice, with a press and a movement between; whatever is wrong is counted."""
    for turn in range(2):
        life.begin()
        life.boot()
        outcomes[3] += life.unreadable()
        outcomes[4] += life.lost()
        outcomes[5] += life.forgotten()
        if not turn:
            life.press()
            life.say(k.MOTION, DEVICE=2)
        life.end()


def _cut_recoveries(life, torn, outcomes):
    """The start after a cut is cut as well; how many such cuts."""
    life.restore(torn)
    life.begin()
    life.boot()
    operations = len(life.power.operations)
    life.end()
    cuts = 0
    for left in range(0, operations, max(1, operations // RECOVERY_AT)):
        life.restore(torn)
        _cut(life, Life.boot, True, left, WAYS[left % 4])
        _recover(life, outcomes)
        cuts += 1
    return cuts


def _whole(life, act, is_start):
    """The step without a cut: the state before it, its operations, the state after it."""
    life.begin()
    if not is_start:
        life.boot()
    before = life.state()
    life.power.operations = []
    act(life)
    operations = life.power.operations
    after = life.state()
    life.end()
    return before, operations, after
