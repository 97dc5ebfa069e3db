"""The suite's options, markers and fixtures come from kanhu.qa.plugin (docs/qa.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rollouts import Rollouts

from kanhu.qa.rig import Rig

pytest_plugins = ["kanhu.qa.plugin"]


@pytest.fixture
def rollouts(bench: Rig, tmp_path: Path) -> Iterator[Rollouts]:
    """`kanhu update` at the daemon; whatever a test has begun is cancelled."""
    made = Rollouts(bench, tmp_path)
    yield made
    made.cancel()
