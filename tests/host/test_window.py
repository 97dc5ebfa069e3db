"""The uplink's window: bounded, published again when overdue, never forgets."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.uplink import window as subject
from kanhu.uplink.window import RETRY_MAX_S, Window


class Item(NamedTuple):
    identity: tuple[str, int, int]
    n: int


def event(n: int) -> Item:
    return Item(("k3v9m2x7qa", 1, n), n)


def numbers(items: list[Item]) -> list[int]:
    return [item.n for item in items]


def test_room_counts_each_once() -> None:
    window = Window(2, 10)
    window.put(event(5), 0.0)
    window.put(event(5), 0.0)
    assert window.room == 1
    assert window.done(event(5).identity)
    assert not window.done(event(5).identity)
    assert window.room == 2


def test_overdue_is_published_again_and_waits_double() -> None:
    window = Window(10, 10)
    window.put(event(2), 0.0)
    window.put(event(1), 0.0)
    assert window.overdue(9.9, 9) == []
    assert numbers(window.overdue(10.0, 9)) == [1, 2]
    assert window.overdue(29.0, 9) == []
    assert numbers(window.overdue(30.0, 9)) == [1, 2]
    window.done(event(2).identity)
    assert numbers(window.overdue(1e6, 9)) == [1]
    assert window.next_due() == 1e6 + 80


def test_what_is_due_at_once_comes_by_rank_and_in_pages() -> None:
    """Evens come first here, the highest before the lower."""
    window = Window(10, 10, lambda item: -item.n if item.n % 2 == 0 else item.n)
    for n in (1, 2, 3, 4, 5, 6):
        window.put(event(n), 0.1 * n)
    window.overdue(15.0, 9)
    window.all_due(16.0)
    assert numbers(window.overdue(16.0, 4)) == [6, 4, 2, 1]
    assert numbers(window.overdue(16.0, 4)) == [3, 5]
    assert window.overdue(25.9, 4) == []
    assert len(window.overdue(26.0, 9)) == 6


def test_what_could_not_be_sent_is_due_soon_and_once() -> None:
    window = Window(10, 10)
    window.put(event(1), 0.0)
    window.put(event(2), 0.0)
    window.soon(event(2).identity, 0.5)
    window.soon(event(2).identity, 0.5)
    window.soon(event(9).identity, 0.5)
    assert window.overdue(0.4, 9) == []
    assert numbers(window.overdue(0.5, 9)) == [2]
    assert numbers(window.overdue(10.0, 9)) == [1]
    assert numbers(window.overdue(10.5, 9)) == [2]


def test_what_cannot_be_published_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "EXCUSED_MAX", 2)
    window = Window(3, 10)
    for n in (1, 2, 3):
        window.put(event(n), 0.0)
        window.excuse(event(n).identity)
        window.excuse(event(n).identity)
    assert window.room == 2, "two are excused, the third is one too many"
    window.excuse(event(1).identity, False)
    window.excuse(event(1).identity, False)
    assert window.room == 1
    for n in (1, 2, 3):
        assert window.done(event(n).identity)
    assert window.room == 3


@given(st.lists(st.tuples(st.sampled_from(["put", "done", "tick", "soon"]), st.integers(0, 5)), max_size=60))
def test_what_is_not_done_comes_again_within_the_longest_wait(steps: list[tuple[str, int]]) -> None:
    window: Window[Item] = Window(100, 10)
    waiting: set[int] = set()
    now = 0.0
    for what, n in steps:
        if what == "put":
            window.put(event(n), now)
            waiting.add(n)
        elif what == "done":
            assert (window.done(event(n).identity) is not None) == (n in waiting)
            waiting.discard(n)
        elif what == "soon":
            window.soon(event(n).identity, now + 0.25)
        else:
            now += n
            window.overdue(now, n)
    assert len(window) == len(waiting) == 100 - window.room
    assert sorted(numbers(window.overdue(now + RETRY_MAX_S, 99))) == sorted(waiting)
    window.all_due(now)
    assert sorted(numbers(window.overdue(now, 99))) == sorted(waiting)
