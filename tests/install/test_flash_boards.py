"""Boards in the registry: a board keeps its hub, and a key counts only once its board was seen to run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kanhu.registry import Registry, RegistryError
from kanhu.registry.boards import Allocation, Boards

MAC = "240ac4000001"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry.open(tmp_path)


def allocate(registry: Registry, mac: str = MAC, home: str | None = None) -> Allocation:
    return Boards(registry).allocate(mac, "esp32", "esp32", "0001", "d" * 64, "0.1.0", home)


def test_a_new_board_is_a_new_hub_that_nobody_believes_yet(registry: Registry) -> None:
    given = allocate(registry)
    assert given.new
    assert (given.generation, given.floor) == (1, 0)
    assert registry.keys(given.hub) == {}
    assert not registry.knows(given.hub)
    home = registry.home_of(given.hub)
    assert home is not None
    assert (home.region, home.name) == (None, "")
    row = Boards(registry).of(MAC)
    assert row is not None
    assert (row.state, row.hub, row.generation) == ("allocated", given.hub, 1)
    Boards(registry).written(MAC)
    assert registry.keys(given.hub) == {}
    Boards(registry).trusted(given)
    assert registry.keys(given.hub) == {1: given.key}
    assert Boards(registry).of_hub(given.hub) == Boards(registry).of(MAC)


def test_the_same_board_is_the_same_hub_with_another_key(registry: Registry) -> None:
    first = allocate(registry)
    Boards(registry).trusted(first)
    second = allocate(registry)
    assert (second.hub, second.commission, second.new) == (first.hub, first.commission, False)
    assert (second.generation, second.floor) == (2, 10_000)
    assert second.key != first.key
    assert registry.keys(first.hub) == {1: first.key}
    Boards(registry).trusted(second)
    assert registry.keys(first.hub) == {1: first.key, 2: second.key}
    assert allocate(registry, "240ac4000002").hub != first.hub


def test_what_was_broken_off_is_never_believed(registry: Registry, tmp_path: Path) -> None:
    first = allocate(registry)
    Boards(registry).written(MAC)
    registry.close()  # the computer loses power here, and nobody cleans up

    after = Registry.open(tmp_path)
    assert after.keys(first.hub) == {}
    Boards(after).aborted(MAC)
    second = allocate(after)
    assert (second.hub, second.generation) == (first.hub, 2)
    with pytest.raises(RegistryError, match="somebody else has flashed it"):
        Boards(after).trusted(first)
    Boards(after).trusted(second)
    Boards(after).aborted(MAC)  # too late: it runs
    row = Boards(after).of(MAC)
    assert row is not None
    assert row.state == "trusted"
    assert after.keys(first.hub) == {2: second.key}
    assert after.retire_keys(first.hub) == []


def test_hubs_may_go_into_a_home_that_is_there(registry: Registry) -> None:
    home = registry.add_home(region="cn/42")
    given = allocate(registry, home=home)
    assert registry.hub(given.hub).home == home
    with pytest.raises(RegistryError, match="not known"):
        allocate(registry, "240ac4000002", "0000000000")
    assert Boards(registry).of("240ac4000002") is None


def test_the_board_of_a_revoked_hub_becomes_another(registry: Registry) -> None:
    first = allocate(registry)
    Boards(registry).trusted(first)
    registry.revoke_hub(first.hub)
    second = allocate(registry)
    assert second.new
    assert second.hub != first.hub
    assert second.commission != first.commission
    assert registry.keys(first.hub) == {}


def test_a_forgotten_home_takes_its_boards_with_it(registry: Registry) -> None:
    first = allocate(registry)
    Boards(registry).trusted(first)
    registry.forget_home(registry.hub(first.hub).home, discard=True)
    assert Boards(registry).all() == []
    assert allocate(registry).hub != first.hub
