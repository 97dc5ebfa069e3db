"""Bulk lane on flash: P2 to P5 in append-only segments, so that one event costs one append."""

import os
from errno import ENOENT

from micropython import const

from kanhu_hub import store
from kanhu_hub.records import pack, salvage, unpack

SEGMENT = 4096  # bytes: one flash block of littlefs
_UNKNOWN = const(255)  # events in a segment that could not be read: more than fit
_MAX_THINNED = const(24)  # events in one thinning: their ranges fit one sealed event


class Segment:
    """One file of `total` events; `pending` counts those that no host is known to have stored."""

    def __init__(self, number):
        self.number = number
        self.size = 0
        self.pending = self.total = 0
        self.classes = 0  # bit c: holds an event of class c
        self.torn = False


class Bulk:
    """Segments, oldest first. The newest always stays: it tells the next boot the last identity."""

    def __init__(self, folder, segment_bytes=SEGMENT):
        self._folder = folder + "/"
        self._max = segment_bytes
        self._view = memoryview(bytearray(SEGMENT))
        self._loaded = None
        self._cursors = {}  # class: [segment number, position] of the next event not yet taken
        self.segments = []
        self.parked = False  # some taken event may be neither stored nor on its way
        self.corrupt = 0  # segments in which something could not be read
        self.bytes = 0
        self.last = (0, 0)  # highest identity on flash; boot 0: none
        for cls in (2, 3, 4, 5):
            self._cursors[cls] = [0, 0]
        self._next = 1
        for name in store.names(folder):
            segment = Segment(int(name, 16))
            self._next = segment.number + 1
            try:
                self._index(segment)
            except OSError as error:
                self.corrupt += 1
                if error.args[0] == ENOENT:
                    continue
                # Perhaps it can be read later: until then nothing of it is known, and it stays.
                segment.size = segment.size or SEGMENT
                segment.pending = segment.total = _UNKNOWN
                segment.classes = 0xFF
                segment.torn = True
                self.segments.append(segment)
                self.bytes += segment.size

    def _path(self, segment):
        return self._folder + "%08x" % segment.number

    def _index(self, segment):
        segment.size = os.stat(self._path(segment))[6]
        clean = segment.size <= SEGMENT
        segment.size = min(segment.size, SEGMENT)
        view = self._load(segment)
        reached = 0
        for pos, record in salvage(view, segment.size):
            clean = clean and pos == reached
            reached = record[4]
            self._count(segment, record[0], record[1], record[2])
        if not clean or reached != segment.size:
            self.corrupt += 1
            segment.torn = True  # never append behind a tear
        if not segment.pending:
            store.remove(self._path(segment))
            return
        self.segments.append(segment)
        self.bytes += segment.size

    def _load(self, segment):
        loaded = (segment.number, segment.size)
        if self._loaded != loaded:
            self._loaded = None
            with open(self._path(segment), "rb") as file:
                segment.size = min(segment.size, file.readinto(self._view))
            self._loaded = loaded
        return self._view

    def _count(self, segment, cls, boot, seq):
        segment.pending += 1
        segment.total += 1
        segment.classes |= 1 << cls
        self.last = max(self.last, (boot, seq))

    @property
    def pending(self):
        """Events not yet stored."""
        return sum([segment.pending for segment in self.segments])

    def fits(self, size):
        """Whether `size` more bytes go into the newest segment."""
        newest = self.segments[-1] if self.segments else None
        return newest and not newest.torn and newest.size + size <= self._max

    def append(self, cls, boot, seq, sealed):
        """Persist one event; OSError when the flash did not take it."""
        record = pack(cls, boot, seq, sealed)
        if self.fits(len(record)):
            segment = self.segments[-1]
        else:
            segment = Segment(self._next)
            self._next += 1
        path = self._path(segment)
        try:
            store.append(path, record)
        except OSError:
            # It counts as saved only if it can be read back; if not, the segment may have a torn end.
            if not self._holds(path, segment.size, record):
                segment.torn = True
                if not segment.size:
                    store.remove(path)
                raise
        if not segment.size:
            self.segments.append(segment)
            if len(self.segments) > 1:
                self._drop_if_done(self.segments[-2])
        segment.size += len(record)
        self.bytes += len(record)
        self._count(segment, cls, boot, seq)

    def _holds(self, path, pos, record):
        try:
            with open(path, "rb") as file:
                file.seek(pos)
                return file.read() == record
        except OSError:
            return False

    def take(self, cls, count, room, is_stored):
        """The next (boot, seq, sealed, segment) of a class not yet taken: at most count, room bytes."""
        taken = []
        doubt = True
        cursor = self._cursors[cls]
        for segment in self.segments[:]:
            if segment.number < cursor[0]:
                continue
            if segment.number > cursor[0]:
                cursor[0], cursor[1] = segment.number, 0
            if not segment.classes >> cls & 1:
                cursor[1] = segment.size
                continue
            while cursor[1] < segment.size:
                try:
                    record = unpack(self._load(segment), cursor[1], segment.size)
                except OSError:
                    self.parked = True  # another time
                    cursor[1] = segment.size
                    break
                if not record:
                    if doubt:  # it may have been the reading
                        self._loaded = None
                    else:
                        cursor[1] += 1
                    doubt = False
                    continue
                if record[0] == cls:
                    if is_stored(record[1], record[2]):
                        self.done(segment)
                    elif len(taken) >= count or len(record[3]) > room:
                        return taken
                    else:
                        taken.append((record[1], record[2], record[3], segment))
                        room -= len(record[3])
                cursor[1] = record[4]
        return taken

    def rewind(self):
        """Take everything again: what a host has stored is told by is_stored(), or by its answer."""
        self.parked = False
        for cursor in self._cursors.values():
            cursor[0] = 0
        for segment in self.segments:
            segment.pending = segment.total

    def done(self, segment):
        """One taken event of the segment is stored."""
        segment.pending -= 1
        self._drop_if_done(segment)

    def _drop_if_done(self, segment):
        if segment.pending <= 0 and segment is not self.segments[-1] and segment in self.segments:
            store.remove(self._path(segment))
            self.segments.remove(segment)
            self.bytes -= segment.size

    def events(self, wanted):
        """(class, boot, seq, sealed) of every event on flash that wanted(boot, seq), read anew; OSError."""
        self._loaded = None
        for segment in self.segments[:]:
            try:
                view = self._load(segment)
            except OSError as error:
                if error.args[0] == ENOENT:
                    continue
                raise
            for _, record in salvage(view, segment.size):
                if wanted(record[1], record[2]):
                    yield record[:4]
                    view = self._load(segment)  # the caller may have made us load another

    def thin(self, cls, in_flight, is_stored):
        """Rewrite the oldest segment without its events of a class; [(boot, seq)] given up; OSError."""
        for segment in self.segments[:-1]:
            if segment.classes >> cls & 1:
                try:
                    self._load(segment)
                except OSError:
                    continue
                lost = self._rewrite(segment, cls, in_flight, is_stored)
                if lost:
                    return lost
        return []

    def _rewrite(self, segment, thinned, in_flight, is_stored):
        kept, lost, ahead = [], [], {}
        size = classes = 0
        for pos, record in salvage(self._load(segment), segment.size):
            cls, boot, seq, _, after = record
            cursor = self._cursors[cls]
            taken = cursor[0] > segment.number or (cursor[0] == segment.number and pos < cursor[1])
            if not in_flight(boot, seq):
                if is_stored(boot, seq) or (taken and not self.parked):
                    continue
                if cls == thinned and len(lost) < _MAX_THINNED:
                    lost.append((boot, seq))
                    continue
            if not taken and cls not in ahead:
                ahead[cls] = size
            kept.append(bytes(self._view[pos:after]))
            size += after - pos
            classes |= 1 << cls
        path = self._path(segment)
        if kept:
            with open(path + ".tmp", "wb") as file:
                file.write(b"".join(kept))
            os.rename(path + ".tmp", path)
        else:
            os.remove(path)
            self.segments.remove(segment)
        self._loaded = None
        self.bytes += size - segment.size
        for cls, cursor in self._cursors.items():
            if cursor[0] == segment.number:
                cursor[1] = ahead.get(cls, size)
        segment.size, segment.classes, segment.torn = size, classes, False
        segment.pending = segment.total = len(kept)
        return lost
