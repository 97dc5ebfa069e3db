from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kanhu.journal.ranges import Ranges, settled_upto

number = st.integers(0, 60)
spans = st.lists(st.tuples(number, number).map(sorted).map(tuple), max_size=12)


def members(ranges: Ranges) -> set[int]:
    return {value for first, last in ranges for value in range(first, last + 1)}


def as_set(pairs: list[tuple[int, int]]) -> set[int]:
    return {value for first, last in pairs for value in range(first, last + 1)}


def well_formed(ranges: Ranges) -> None:
    pairs = list(ranges)
    assert all(first <= last for first, last in pairs)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(pairs))
    assert ranges.count == len(members(ranges))


@given(spans)
def test_behaves_as_a_set(pairs: list[tuple[int, int]]) -> None:
    ranges, model = Ranges(), set()
    for first, last in pairs:
        assert ranges.add_span(first, last) == len(set(range(first, last + 1)) - model)
        model |= set(range(first, last + 1))
        well_formed(ranges)
    assert members(ranges) == model
    assert all((value in ranges) == (value in model) for value in range(-1, 63))
    assert ranges.last() == max(model, default=-1)


@given(st.lists(number, max_size=60))
def test_add_tells_what_is_new(values: list[int]) -> None:
    ranges, model = Ranges(), set()
    for value in values:
        assert ranges.add(value) == (value not in model)
        model.add(value)
        well_formed(ranges)
    assert members(ranges) == model


@given(spans, spans, number, number)
def test_gaps_minus_and_removal(
    left: list[tuple[int, int]], right: list[tuple[int, int]], first: int, last: int
) -> None:
    one, other = Ranges(left), Ranges(right)
    assert as_set(list(one.gaps(first, last))) == set(range(first, last + 1)) - as_set(left)
    assert members(one.minus(other)) == as_set(left) - as_set(right)
    one.remove_all(as_set(right))
    well_formed(one)
    assert members(one) == as_set(left) - as_set(right)


@given(spans, spans)
def test_settled_upto(held: list[tuple[int, int]], lost: list[tuple[int, int]]) -> None:
    settled = as_set(held) | as_set(lost)
    upto = settled_upto(Ranges(held), Ranges(lost))
    assert set(range(upto + 1)) <= settled
    assert upto + 1 not in settled
