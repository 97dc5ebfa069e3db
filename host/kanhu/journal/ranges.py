"""A set of sequence numbers kept as sorted, disjoint, non-touching spans."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]


class Ranges:
    """Set of integers >= 0 as spans [first, last], both ends included."""

    __slots__ = ("_firsts", "_lasts", "count")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.count = 0
        for first, last in spans:
            self.add_span(first, last)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __iter__(self) -> Iterator[Span]:
        return zip(self._firsts, self._lasts, strict=True)

    def __len__(self) -> int:
        """Number of spans, not of members (see count)."""
        return len(self._firsts)

    def __contains__(self, value: int) -> bool:
        index = bisect_right(self._firsts, value) - 1
        return index >= 0 and value <= self._lasts[index]

    def add(self, value: int) -> bool:
        """Add one number; False when it was there already."""
        lasts = self._lasts
        if lasts and value == lasts[-1] + 1:  # the next of a boot: nearly always
            lasts[-1] = value
            self.count += 1
            return True
        return self.add_span(value, value) > 0

    def add_span(self, first: int, last: int) -> int:
        """Add first..last; returns how many of them are new."""
        firsts, lasts = self._firsts, self._lasts
        left = bisect_right(firsts, first) - 1
        if left < 0 or lasts[left] < first - 1:
            left += 1
        right = left
        new_first, new_last, held = first, last, 0
        while right < len(firsts) and firsts[right] <= last + 1:
            new_first = min(new_first, firsts[right])
            new_last = max(new_last, lasts[right])
            held += lasts[right] - firsts[right] + 1
            right += 1
        firsts[left:right] = [new_first]
        lasts[left:right] = [new_last]
        added = new_last - new_first + 1 - held
        self.count += added
        return added

    def remove_all(self, values: Iterable[int]) -> None:
        """Take out the given numbers (each at most once)."""
        left = self.minus(Ranges(_spans_of(sorted(values))))
        self._firsts, self._lasts, self.count = left._firsts, left._lasts, left.count

    def end_of_span(self, value: int) -> int:
        """Last number of the span that holds value; value - 1 when none does."""
        index = bisect_right(self._firsts, value) - 1
        if index >= 0 and value <= self._lasts[index]:
            return self._lasts[index]
        return value - 1

    def minus(self, other: Ranges) -> Ranges:
        """Members that other does not hold."""
        left = Ranges()
        for first, last in self:
            for gap in other.gaps(first, last):
                left.add_span(*gap)
        return left

    def gaps(self, first: int, last: int) -> Iterator[Span]:
        """Spans of first..last that are not in the set."""
        position = first
        index = max(0, bisect_right(self._firsts, first) - 1)
        while position <= last and index < len(self._firsts):
            if self._firsts[index] > position:
                yield position, min(last, self._firsts[index] - 1)
            position = max(position, self._lasts[index] + 1)
            index += 1
        if position <= last:
            yield position, last

    def last(self) -> int:
        """Highest member; -1 when empty."""
        return self._lasts[-1] if self._lasts else -1


def _spans_of(ordered: Iterable[int]) -> Iterator[Span]:
    first = last = None
    for value in ordered:
        if last is not None and value == last + 1:
            last = value
            continue
        if first is not None and last is not None:
            yield first, last
        first = last = value
    if first is not None and last is not None:
        yield first, last


def settled_upto(held: Ranges, lost: Ranges) -> int:
    """Highest number such that it and all below it are held or lost; -1 when 0 is neither."""
    upto = held.end_of_span(0)
    if lost:
        while True:
            further = held.end_of_span(lost.end_of_span(upto + 1) + 1)
            if further == upto:
                break
            upto = further
    return upto
