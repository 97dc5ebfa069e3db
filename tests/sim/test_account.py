"""The account of a run: what was pressed against what arrived, and how long it took."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kanhu.sim.tally import Tally, arrivals, percentiles
from kanhu.sim.watch import follow

HUB = "k3v9m2x7qa"


@dataclass
class Call:
    id: str
    data: dict[str, Any] = field(default_factory=dict)
    name: str = "call"
    event_class: str = "p1"
    hub: str = HUB
    source: str = f"/kanhu/hubs/{HUB}"


def test_a_missing_and_a_doubled_press_are_both_told() -> None:
    tally = Tally()
    assert tally.add(Call("1-1", {"device": 1}))
    assert tally.add(Call("1-2", {"device": 2, "count": 3}))
    assert tally.compare([(HUB, 1), (HUB, 2), (HUB, 2), (HUB, 2)]) == (0, 0)
    assert tally.compare([(HUB, 1), (HUB, 1), (HUB, 2)]) == (1, 2)


def test_a_press_that_proves_a_button_has_arrived_too() -> None:
    tally = Tally()
    tally.add(Call("1-1", {"device": 1}, "test.press", "p4"))
    tally.add(Call("1-2", {"device": 1}))
    assert tally.compare([(HUB, 1), (HUB, 1)]) == (0, 0)
    assert tally.compare([(HUB, 1)]) == (0, 1)
    assert tally.calls == {(HUB, 1): 1}


def test_an_identity_handed_out_twice_is_a_duplicate_even_if_the_counts_agree() -> None:
    tally = Tally()
    tally.add(Call("1-1", {"device": 1}))
    assert not tally.add(Call("1-1", {"device": 1}))
    assert tally.compare([(HUB, 1)]) == (0, 1)


def test_arrivals_follow_the_order_of_identities_and_counts() -> None:
    late = Call("1-3", {"device": 1, "count": 2})
    first = Call("1-1", {"device": 1})
    presses = [(10.0, (HUB, 1)), (11.0, (HUB, 1)), (12.0, (HUB, 1)), (13.0, (HUB, 2))]
    assert arrivals(presses, [(20.0, late), (21.0, first)]) == [11.0, 9.0, 8.0]


def test_nearest_rank() -> None:
    assert percentiles([]) == {"p50_ms": None, "p99_ms": None, "n": 0}
    assert percentiles([0.3, 0.1, 0.2]) == {"p50_ms": 200.0, "p99_ms": 300.0, "n": 3}


def test_the_lamp_is_followed_press_by_press_and_nothing_is_guessed() -> None:
    lamp = [(1.1, "heard"), (1.2, "stored"), (1.4, "accepted"), (5.1, "heard"), (9.0, "delivered")]
    one, two = follow([1.0, 5.0], lamp)
    assert one.after("delivered") is None
    assert round(one.after("accepted") or 0, 3) == 0.4
    assert two.stages == {"heard": 5.1, "delivered": 9.0}
