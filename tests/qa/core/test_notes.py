"""What becomes of a test's calls is counted though the test itself does not ask."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kanhu.qa.host import Stored
from kanhu.qa.model import Calls
from kanhu.qa.notes import Account
from kanhu.qa.record import Recorder

HUB = "hub0000001"


@pytest.fixture
def host() -> Any:
    """A journal and a city: rows [n, Stored], and events by id."""
    rows: list[tuple[int, Stored]] = []
    city = SimpleNamespace(lock=threading.Lock(), log=[], tally=SimpleNamespace(repeats=0))
    return SimpleNamespace(
        rows=rows,
        city=city,
        newest=lambda hub: max((n for n, _ in rows), default=0),
        stored=lambda hub, kind, after: [one for n, one in rows if n > after and one.kind == kind],
        store=lambda seq, kind=1: rows.append((len(rows) + 1, Stored(4, seq, kind, 1, True))),
        arrive=lambda seq: city.log.append((0.0, SimpleNamespace(hub=HUB, id=f"4-{seq}"))),
    )


@pytest.fixture
def recorder() -> Recorder:
    found = Recorder.start("sim")
    found.begin("one")
    return found


def counted(recorder: Recorder) -> Calls | None:
    test = recorder.finish()
    assert test is not None
    return test.calls


def test_calls_of_the_test_are_counted_and_no_others(host: Any, recorder: Recorder) -> None:
    host.store(1)
    host.arrive(1)  # before the test
    account = Account(host, HUB)
    host.store(2)
    host.store(3, kind=30)  # no call
    host.arrive(2)
    assert account.close(recorder) == []
    assert counted(recorder) == Calls(pressed=1, arrived=1)


def test_a_stored_call_that_never_arrived_is_named(host: Any, recorder: Recorder) -> None:
    account = Account(host, HUB)
    host.store(2)
    host.store(5)
    host.arrive(5)
    host.city.tally.repeats += 1
    assert account.close(recorder) == ["4-2"]
    assert counted(recorder) == Calls(pressed=2, arrived=1, lost=1, doubled=1)


def test_who_counts_presses_is_not_corrected(host: Any, recorder: Recorder) -> None:
    account = Account(host, HUB)
    host.store(2)
    recorder.calls(pressed=3, arrived=3)
    assert account.close(recorder) == ["4-2"]
    assert counted(recorder) == Calls(pressed=3, arrived=3)


def test_without_calls_nothing_is_counted(host: Any, recorder: Recorder) -> None:
    assert Account(host, HUB).close(recorder) == []
    assert counted(recorder) is None
