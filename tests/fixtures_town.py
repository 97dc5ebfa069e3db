"""Whole towns for tests/e2e and tests/town: real broker, real daemon process, real firmware, real disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from helpers_browser import chromium
from kanhu.sim.city import City
from kanhu.sim.town import Town


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: while it runs, its own event loop does, and no other can."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def make_town(tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """make_town(**Town options): not yet started, ended with the test."""
    towns: list[Town] = []

    def make(**options: object) -> Town:
        town = Town(tmp_path / f"town{len(towns)}", **options)  # type: ignore[arg-type]
        town.__enter__()
        towns.append(town)
        return town

    yield make
    for town in towns:
        town.__exit__(None, None, None)


@pytest.fixture
def town(make_town: Callable[..., Town]) -> Town:
    """A running town without homes."""
    town = make_town()
    town.start()
    return town


@pytest.fixture
def make_city(tmp_path: Path) -> Iterator[Callable[..., City]]:
    """make_city(town, auto_accept=False): the platform's side, connected."""
    cities: list[City] = []

    def make(town: Town, auto_accept: bool = False) -> City:
        city = City(town.platform_url, tmp_path / f"city{len(cities)}.db")
        city.auto_accept = auto_accept
        city.start()
        cities.append(city)
        assert city.up.wait(15)
        assert city.error is None, city.error
        return city

    yield make
    for city in cities:
        city.stop()


@pytest.fixture
def city(town: Town, make_city: Callable[..., City]) -> City:
    """A platform on the town whose operator waits to be told."""
    return make_city(town)
