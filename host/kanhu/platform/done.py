"""Which events are done, as ranges of seq per (source, boot): exact, and small because seqs have no gaps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from kanhu.uplink.identity import Identity

Key = tuple[str, int]  # (source, boot)


@dataclass(frozen=True, slots=True)
class Change:
    """What add() did: ranges of key that begin at `removed` are gone, [first, last] is new."""

    key: Key
    removed: tuple[int, ...]
    first: int
    last: int


class DoneSet:
    """A set of identities. Beyond max_ranges the (source, boot) untouched for longest loses its lowest."""

    def __init__(self, max_ranges: int) -> None:
        self.max_ranges = max_ranges
        self.ranges = 0
        # In order of last touch. firsts and lasts rise together: [first, last] inclusive, never adjoining.
        self._boots: dict[Key, tuple[list[int], list[int]]] = {}

    def __contains__(self, identity: Identity) -> bool:
        spans = self._boots.get((identity.source, identity.boot))
        if spans is None:
            return False
        index = bisect_right(spans[0], identity.seq) - 1
        return index >= 0 and spans[1][index] >= identity.seq

    def __iter__(self) -> Iterator[tuple[Key, int, int]]:
        for key, (firsts, lasts) in self._boots.items():
            for first, last in zip(firsts, lasts, strict=True):
                yield key, first, last

    def load(self, key: Key, first: int, last: int) -> None:
        """Put a saved range back; ranges of one key come in rising order."""
        firsts, lasts = self._boots.pop(key, ([], []))
        firsts.append(first)
        lasts.append(last)
        self._boots[key] = (firsts, lasts)
        self.ranges += 1

    def add(self, identity: Identity) -> Change | None:
        """Returns the change to save, or None when it was in already."""
        if identity in self:
            return None
        key, seq = (identity.source, identity.boot), identity.seq
        firsts, lasts = self._boots.pop(key, ([], []))
        self._boots[key] = (firsts, lasts)
        index = bisect_right(firsts, seq)
        first = last = seq
        start = stop = index
        if index > 0 and lasts[index - 1] == seq - 1:
            start, first = index - 1, firsts[index - 1]
        if index < len(firsts) and firsts[index] == seq + 1:
            stop, last = index + 1, lasts[index]
        removed = tuple(firsts[start:stop])
        firsts[start:stop] = [first]
        lasts[start:stop] = [last]
        self.ranges += 1 - len(removed)
        return Change(key, removed, first, last)

    def evict(self) -> list[tuple[Key, int]]:
        """Forget down to max_ranges; returns the (key, first) of each range forgotten."""
        gone = []
        while self.ranges > self.max_ranges:
            key = next(iter(self._boots))
            firsts, lasts = self._boots[key]
            gone.append((key, firsts.pop(0)))
            lasts.pop(0)
            if not firsts:
                del self._boots[key]
            self.ranges -= 1
        return gone
