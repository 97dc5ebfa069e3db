"""The uplink's window: bounded for all but P1, published again when overdue, never forgets."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from kanhu.uplink.window import RETRY_MAX_S, Window


class Item(NamedTuple):
    identity: tuple[str, int, int]
    n: int
    cls: int


def event(n: int, cls: int = 5) -> Item:
    return Item(("k3v9m2x7qa", 1, n), n, cls)


def test_room_counts_all_but_p1() -> None:
    window = Window(2, 10)
    for n in range(5):
        window.put(event(n, 1), 0.0)
    assert window.room == 2
    window.put(event(5), 0.0)
    window.put(event(5), 0.0)
    assert window.room == 1
    assert window.done(event(5).identity)
    assert not window.done(event(5).identity)
    assert window.room == 2


def test_overdue_is_published_again_p1_first_and_waits_double() -> None:
    window = Window(10, 10)
    window.put(event(1, 5), 0.0)
    window.put(event(2, 1), 0.0)
    assert window.overdue(9.9) == []
    assert [out.n for out in window.overdue(10.0)] == [2, 1]
    assert window.overdue(29.0) == []
    assert [out.n for out in window.overdue(30.0)] == [2, 1]
    window.done(event(2, 1).identity)
    assert [out.n for out in window.overdue(1e6)] == [1]
    assert window.next_due() == 1e6 + 80


@given(st.lists(st.tuples(st.sampled_from(["put", "done", "tick"]), st.integers(0, 5)), max_size=60))
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
        else:
            now += n
            window.overdue(now)
    assert len(window) == len(waiting)
    assert {out.n for out in window.overdue(now + RETRY_MAX_S)} == waiting
    assert {out.n for out in window.everything(now)} == waiting
