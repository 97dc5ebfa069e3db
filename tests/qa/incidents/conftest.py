"""Records that many tests look at, each made once."""

from __future__ import annotations

import pytest

from helpers_incidents import quick_record
from kanhu.qa.incidents.form import Incident


@pytest.fixture(scope="session")
def quick() -> Incident:
    """An incident of the accelerated world; nothing bad in it."""
    return quick_record()
