"""Whose turn is first, and what a share is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanhu.install import release
from kanhu.updates.picking import ranked, share
from kanhu.updates.values import UpdateError, is_at, number_of

REGIONS = st.dictionaries(
    st.text("0123456789", min_size=1, max_size=4),
    st.sampled_from(("cn/1", "cn/2", "cn/3", None)),
    max_size=40,
)


@given(REGIONS, st.integers(1, 40))
def test_the_first_ones_come_from_as_many_regions_as_there_are(
    regions: dict[str, str | None], count: int
) -> None:
    order = ranked(regions, "ab")
    assert sorted(order) == sorted(regions)
    assert order == ranked(dict(reversed(regions.items())), "ab")
    first = Counter(regions[hub] for hub in order[:count])
    whole = Counter(regions.values())
    for region in whole:
        for other in first:
            assert first[region] == whole[region] or first[region] >= first[other] - 1


def test_another_release_begins_elsewhere() -> None:
    regions = {f"hub{n}": "cn" for n in range(50)}
    assert len({ranked(regions, f"{n:x}")[0] for n in range(20)}) > 5


def test_a_share() -> None:
    assert [share(text, 200) for text in ("5%", "0.1%", "100%", "7", "900")] == [10, 1, 200, 7, 200]
    assert share("5%", 3) == 1
    for text in ("0%", "0", "-1", "101%", "some", "", "%", "nan%"):
        with pytest.raises(UpdateError, match="write 5%"):
            share(text, 10)


@given(st.text(max_size=14) | st.from_regex(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}(-rc1)?", fullmatch=True))
def test_versions_are_numbered_as_releases_are(text: str) -> None:
    try:
        expected = release.number(text)
    except release.ReleaseError:
        assert number_of(text) is None
    else:
        assert number_of(text) == expected
        assert is_at(text, expected)
        assert not is_at(text, expected + 1)
