"""Moments that follow each other closely, kept as the stretches they make. Every time is UTC in ms."""

from __future__ import annotations

from bisect import bisect_right


class Spans:
    """Moments in any order; two that are less than gap_ms apart belong to one stretch."""

    def __init__(self, gap_ms: int) -> None:
        self.gap_ms = gap_ms
        self._from: list[int] = []
        self._to: list[int] = []

    def add(self, at_ms: int) -> None:
        """A moment more."""
        if self._from and at_ms >= self._from[-1]:  # nearly always: it goes on with the newest
            newest = self._to[-1]
            if at_ms - newest >= self.gap_ms:
                self._from.append(at_ms)
                self._to.append(at_ms)
            elif at_ms > newest:
                self._to[-1] = at_ms
            return
        at = bisect_right(self._from, at_ms)
        if at and at_ms - self._to[at - 1] < self.gap_ms:
            at -= 1
            self._to[at] = max(self._to[at], at_ms)
        else:
            self._from.insert(at, at_ms)
            self._to.insert(at, at_ms)
        following = at + 1
        if following < len(self._from) and self._from[following] - self._to[at] < self.gap_ms:
            self._to[at] = self._to.pop(following)
            del self._from[following]

    def last(self, now_ms: int) -> tuple[int, int] | None:
        """(first, newest moment) of the newest stretch that has begun; one that goes on is cut at now."""
        at = bisect_right(self._from, now_ms)
        return (self._from[at - 1], min(self._to[at - 1], now_ms)) if at else None

    def forget_before(self, at_ms: int) -> None:
        """Let go stretches that were over; the newest of them stays."""
        over = max(0, bisect_right(self._to, at_ms) - 1)
        del self._from[:over], self._to[:over]
