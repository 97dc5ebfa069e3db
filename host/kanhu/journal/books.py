"""The ledger kept in memory: per hub and boot what was announced, stored, lost and delivered.

Changed only after the commit that makes the change true, always in the loop's thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .ranges import Ranges, Span, settled_upto
from .times import Anchor


@dataclass(frozen=True, slots=True)
class Ledger:
    """announced = stored + lost + awaited; stored = delivered + queued."""

    announced: int = 0
    stored: int = 0
    lost: int = 0
    awaited: int = 0
    delivered: int = 0
    queued: int = 0


class Boot:
    """One boot of one hub."""

    __slots__ = ("anchors", "announced", "delivered", "lost", "started_ms", "stored")

    def __init__(self) -> None:
        self.stored = Ranges()
        self.delivered = Ranges()
        self.lost = Ranges()  # as claimed; what arrived all the same counts as stored
        self.announced = 0  # seqs known to have been given out
        self.started_ms: int | None = None  # when its boot event was received
        self.anchors: list[Anchor] = []


class Hub:
    """All boots of one hub, with running totals."""

    __slots__ = ("announced", "boots", "delivered", "gaps", "highest", "lost", "stored")

    def __init__(self) -> None:
        self.boots: dict[int, Boot] = {}
        self.gaps: set[int] = set()  # boots of which something is missing; settled ones leave when looked at
        self.highest = 0  # the newest boot an authentic event came from
        self.announced = self.stored = self.lost = self.delivered = 0

    def boot(self, number: int) -> Boot:
        """The boot, made when it is new."""
        found = self.boots.get(number)
        if found is None:
            found = self.boots[number] = Boot()
        return found

    def heard(self, number: int) -> None:
        """An authentic event came from this boot."""
        if number > self.highest:
            self.highest = number

    def announce(self, number: int, count: int) -> None:
        """At least count seqs of the boot have been given out."""
        boot = self.boot(number)
        if count > boot.announced:
            self.gaps.add(number)
            self.announced += count - boot.announced
            boot.announced = count

    def store(self, number: int, seq: int) -> None:
        """An event is on disk."""
        boot = self.boots.get(number)
        if boot is None:
            boot = self.boots[number] = Boot()
        if number > self.highest:
            self.highest = number
        if boot.stored.add(seq):
            self.stored += 1
            if boot.lost and seq in boot.lost:
                self.lost -= 1
            if seq >= boot.announced:
                if seq > boot.announced:
                    self.gaps.add(number)
                self.announced += seq + 1 - boot.announced
                boot.announced = seq + 1

    def store_spans(self, number: int, spans: Ranges) -> None:
        """What was on disk when the journal was opened."""
        boot = self.boot(number)
        for first, last in spans:
            self.stored += boot.stored.add_span(first, last)
        self.announce(number, boot.stored.last() + 1)

    def lose(self, number: int, first: int, last: int) -> None:
        """The hub has said it no longer holds first..last."""
        boot = self.boot(number)
        for gap in list(boot.lost.gaps(first, last)):
            for missing_first, missing_last in boot.stored.gaps(*gap):
                self.lost += missing_last - missing_first + 1
        boot.lost.add_span(first, last)
        self.announce(number, last + 1)

    def unstore(self, number: int, seqs: Sequence[int]) -> None:
        """Undelivered events have been erased; what they count as is said by lose()."""
        self.boot(number).stored.remove_all(seqs)
        self.stored -= len(seqs)

    def deliver(self, number: int, seq: int) -> bool:
        """The platform has acknowledged an event; False when it had before."""
        if not self.boot(number).delivered.add(seq):
            return False
        self.delivered += 1
        return True

    def stored_upto(self, number: int) -> int:
        """Every seq up to this one is stored or known lost; -1 when seq 0 is neither."""
        boot = self.boots.get(number)
        return -1 if boot is None else settled_upto(boot.stored, boot.lost)

    def missing(self) -> Iterator[tuple[int, int, int]]:
        """(boot, first, last) of what was announced and is neither stored nor lost, oldest first."""
        for number in sorted(self.gaps):
            boot = self.boots[number]
            if settled_upto(boot.stored, boot.lost) >= boot.announced - 1:
                self.gaps.discard(number)
            else:
                for gap in boot.stored.gaps(0, boot.announced - 1):
                    for first, last in boot.lost.gaps(*gap):
                        yield number, first, last

    def ledger(self) -> Ledger:
        """The hub's sums."""
        return Ledger(
            announced=self.announced,
            stored=self.stored,
            lost=self.lost,
            awaited=self.announced - self.stored - self.lost,
            delivered=self.delivered,
            queued=self.stored - self.delivered,
        )


def total(hubs: Iterator[Hub]) -> Ledger:
    """Sum over hubs."""
    announced = stored = lost = delivered = 0
    for hub in hubs:
        announced += hub.announced
        stored += hub.stored
        lost += hub.lost
        delivered += hub.delivered
    return Ledger(announced, stored, lost, announced - stored - lost, delivered, stored - delivered)


__all__ = ["Boot", "Hub", "Ledger", "Span", "total"]
