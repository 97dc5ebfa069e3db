"""From a fact to an event: identity, time, seal and flash in one step, so that no seq is wasted."""

from kanhu_hub.outbox import Held
from kanhu_protocol import events, seal
from kanhu_protocol import kinds as k


class Recorder:
    """record() is the only place where this boot's seqs are given out."""

    def __init__(self, aead, generation, hub_id, boot, clock, outbox):
        self._aead = aead
        self._generation = generation
        self._hub_id = hub_id
        self._clock = clock
        self._outbox = outbox
        self.boot = boot
        self.seq = 0  # of the next event
        self.on_new = None  # called with the class of each event kept

    def record(self, kind, fields):
        """Keep one event: ((boot, seq), whether flash has it); (None, False) when the outbox refused it."""
        cls = k.class_of(kind)
        outbox = self._outbox
        if cls > 1 and not outbox.make_room(cls):
            outbox.drops[cls - 1] += 1
            return None, False
        up_ms = self._clock.now_ms()
        fields = dict(fields)
        if k.UTC_MS not in fields:
            utc_ms = self._clock.utc_ms(up_ms)
            if utc_ms is not None:
                fields[k.UTC_MS] = utc_ms
                fields[k.CLOCK] = self._clock.source
        seq = self.seq
        plain = events.encode(kind, up_ms, fields)
        sealed = seal.seal(self._aead, self._generation, self._hub_id, seal.UP, self.boot, seq, 0, plain)
        self.seq = seq + 1  # from here on it is spent, whatever happens: it must never name two events
        saved = outbox.add(cls, self.boot, seq, sealed)
        if not saved:
            # The same bytes: a nonce never seals two plaintexts. The lamp and storage.full tell.
            outbox.keep_unsaved(cls, self.boot, seq, sealed)
        if kind == k.BOOT:
            outbox.first = Held(cls, (self.boot, seq), sealed)
        if self.on_new:
            self.on_new(cls)
        return (self.boot, seq), saved

    def read(self, sealed):
        """The map of one of the hub's own events; None when another key sealed it."""
        try:
            return events.decode(seal.parse(sealed).open(self._aead, self._hub_id, seal.UP))
        except ValueError:
            return None
