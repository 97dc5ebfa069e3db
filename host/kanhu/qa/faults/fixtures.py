"""The `fault` fixture; kanhu.qa.plugin makes it known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kanhu.qa.hub import Hub
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Rig

from .faults import Faults


@pytest.fixture
def fault(bench: Rig, hub: Hub, recorder: Recorder, pytestconfig: pytest.Config) -> Iterator[Faults]:
    """What can go wrong (kanhu.qa.faults.faults.Faults); whatever a test leaves behind is lifted after it."""
    made = Faults(bench, recorder, pytestconfig.getoption("--seed") or 0)
    yield made
    if troubles := made.close():
        pytest.fail("; ".join(troubles), pytrace=False)
