from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers_stimulus import Two, two


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Both boards, of all tests of a module, the stimulus flashed over its port."""
    with two(tmp_path_factory.mktemp("two"), by_esptool=True) as both:
        yield both


@pytest.fixture
def boards(shared: Two) -> Iterator[Two]:
    """The same, as nobody touched them."""
    shared.stimulus.settle()
    yield shared
    shared.stimulus.settle()
