"""The hub's memory: every event is kept until a host says that it has stored it."""

from errno import ENOENT

from micropython import const

from kanhu_hub import store
from kanhu_hub.bulk import SEGMENT, Bulk
from kanhu_hub.records import MAX_RECORD

LIMIT = 262144  # bytes of bulk events
_RESERVE = const(65536)  # bytes of flash left free for urgent events and the small files
_URGENT_MAX = const(64)  # P1 events; when full, further presses are counted in their alarm
_UNSAVED_MAX = const(16)  # events that flash did not take; when full, the oldest of the lowest class goes
_BOOTS_MAX = const(16)  # boots whose receipts are remembered


class Held:
    """An event on its way: `sealed` is None while its file holds it; due: {link number: (when, tries)}."""

    def __init__(self, cls, name, sealed=None, segment=None):
        self.cls = cls
        self.name = name  # (boot, seq)
        self.sealed = sealed
        self.segment = segment
        self.due = {}


class Outbox:
    """Urgent lane: one file per P1 event. Bulk lane: segments. Unsaved: RAM only, bounded."""

    def __init__(self, folder="/data", limit=LIMIT, segment_bytes=SEGMENT):
        store.make(folder)
        self._folder = folder
        self._limit = limit
        self.bulk = Bulk(folder + "/bulk", segment_bytes)
        self.urgent = []  # P1, oldest first
        self.unsaved = []  # P2 to P5 that only RAM holds
        self.flight = []  # P2 to P5 handed to a link and not yet stored
        self.first = None  # the boot event: until a host knows the boot, its receipts are for the last one
        self.first_due = True  # it is not stored yet
        self._upto = {}  # boot: highest seq up to which a host has everything
        self.drops = [0] * 5  # by class, since boot
        self.corrupt = 0  # urgent files that could not be read
        self.thinned = []  # (boot, seq) given up and not yet reported
        self.full = False
        self.failing = False  # the last write to flash failed
        self.last = self.bulk.last  # highest identity ever persisted
        raw = store.read(folder + "/boot")
        if raw and len(raw) == 8:
            self.last = max(self.last, (int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:], "big")))
        for name in store.names(folder + "/urgent"):
            held = Held(1, (int(name[:8], 16), int(name[8:] or "0", 16)))
            self.urgent.append(held)
            self.sealed(held)
            if held in self.urgent:
                self.last = max(self.last, held.name)

    def _path(self, held):
        return self._folder + "/urgent/%08x%08x" % held.name

    def crowded(self):
        """Whether the urgent lane takes nothing but first events of alarms."""
        return len(self.urgent) >= _URGENT_MAX

    def add(self, cls, boot, seq, sealed):
        """Keep one event; True when flash has it, False when only RAM has."""
        saved = self._persist(cls, boot, seq, sealed)
        self.failing = not saved
        return saved

    def _persist(self, cls, boot, seq, sealed):
        try:
            if cls == 1:
                held = Held(1, (boot, seq))
                self._write(held, sealed)
                self.urgent.append(held)
            else:
                self.bulk.append(cls, boot, seq, sealed)
        except OSError:
            return False
        self.last = max(self.last, (boot, seq))
        return True

    def _write(self, held, sealed):
        path = self._path(held)
        try:
            store.replace(path, sealed)
        except OSError:
            if store.read(path) != sealed:
                raise

    def keep_unsaved(self, cls, boot, seq, sealed):
        """Keep in RAM an event that flash did not take."""
        if cls == 1:
            self.urgent.append(Held(1, (boot, seq), sealed))
            return
        if len(self.unsaved) >= _UNSAVED_MAX:
            worst = max(self.unsaved, key=lambda held: held.cls)
            self.unsaved.remove(worst)
            self.drops[worst.cls - 1] += 1
        self.unsaved.append(Held(cls, (boot, seq), sealed))

    def sealed(self, held):
        """The bytes of an urgent event; None when flash cannot read it now, or has lost it: then it goes."""
        if held.sealed:
            return held.sealed
        path = self._path(held)
        try:
            found = store.load(path) or store.load(path)
            if found:
                return found
        except OSError as error:
            if error.args[0] != ENOENT:
                return None  # another time
        store.remove(path)
        # A new list: somebody may be going through the old one.
        self.urgent = [other for other in self.urgent if other is not held]
        self.corrupt += 1
        return None

    def make_room(self, cls):
        """Whether one more event of a bulk class fits; gives up less important ones, oldest first, for it."""
        if self.bulk.fits(MAX_RECORD) and self.bulk.bytes + MAX_RECORD <= self._limit:
            return True
        try:
            victim = 5
            while victim >= cls and self._crowded():
                lost = self.bulk.thin(victim, self._in_flight, self.is_stored)
                self.full = True
                for name in lost:
                    self.drops[victim - 1] += 1
                    self.thinned.append(name)
                if not lost:
                    victim -= 1
            if self._crowded():
                self.full = True
                return False
        except OSError:
            pass  # the append to come tells whether flash works
        return True

    def _crowded(self):
        return self.bulk.bytes + MAX_RECORD > self._limit or store.free(self._folder) < _RESERVE

    def relieved(self):
        """Whether the bulk lane was full and now has a quarter of its room again."""
        if self.full and self.bulk.bytes * 4 < self._limit * 3 and store.free(self._folder) > _RESERVE:
            self.full = False
            return True
        return False

    def _in_flight(self, boot, seq):
        return any(held.name == (boot, seq) for held in self.flight)

    def is_stored(self, boot, seq):
        """Whether a host has said, cumulatively, that it has this one."""
        return seq <= self._upto.get(boot, -1)

    def take(self, cls, count, room):
        """Move the next events of a bulk class into `flight`; returns them."""
        taken = []
        for held in self.unsaved[:]:
            if held.cls == cls and count and len(held.sealed) <= room:
                self.unsaved.remove(held)
                taken.append(held)
                room -= len(held.sealed)
                count -= 1
        for boot, seq, sealed, segment in self.bulk.take(cls, count, room, self.is_stored):
            held = Held(cls, (boot, seq), sealed, segment)
            if self.first and held.name == self.first.name:
                if not self.first_due:
                    self.bulk.done(segment)
                    continue
                held.due = self.first.due
                self.flight.append(held)
            else:
                taken.append(held)
        self.flight += taken
        return taken

    def park(self, held):
        """No host stores this one: its place in the window is for others until rewind()."""
        self.flight.remove(held)
        self.bulk.parked = True

    def rewind(self):
        """Whether some event was parked: then all that is not stored is taken again, from the oldest on."""
        if not self.bulk.parked:
            return False
        self.flight = [held for held in self.flight if not held.segment]
        self.bulk.rewind()
        return True

    def stored(self, upto, single):
        """A host has everything up to (boot, seq) pairs, and single ones: forget them."""
        for boot, seq in upto:
            if seq > self._upto.get(boot, -1):
                self._upto[boot] = seq
        while len(self._upto) > _BOOTS_MAX:
            del self._upto[min(self._upto)]
        names = set()
        for row in single:
            for seq in row[1:]:
                names.add((row[0], seq))
        if self.first and (self.first.name in names or self.is_stored(*self.first.name)):
            self.first_due = False
        for lane in (self.urgent, self.flight, self.unsaved):
            for held in lane[:]:
                if held.name in names or self.is_stored(*held.name):
                    lane.remove(held)
                    self._forget(held)

    def _forget(self, held):
        if held.segment:
            self.bulk.done(held.segment)
        elif held.sealed is None:
            boot, seq = held.name
            if held.name == self.last and held.name > self.bulk.last:
                # The next boot must find what the last persisted identity was.
                try:
                    raw = boot.to_bytes(4, "big") + seq.to_bytes(4, "big")
                    store.replace(self._folder + "/boot", raw)
                except OSError:
                    self.failing = True
                    return
            store.remove(self._path(held))

    def counts(self):
        """[urgent, bulk] events not yet stored."""
        return [len(self.urgent), self.bulk.pending + len(self.unsaved)]

    def events(self, wanted):
        """(class, boot, seq, sealed) of all events wanted(boot, seq); OSError: some cannot be read."""
        for lane in (self.urgent, self.unsaved, self.flight):
            for held in lane[:]:
                if wanted(*held.name) and not held.segment:
                    sealed = self.sealed(held) if held.cls == 1 else held.sealed
                    if not sealed and held in lane:
                        raise OSError
                    if sealed:
                        yield (held.cls,) + held.name + (sealed,)
        yield from self.bulk.events(wanted)
