from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers_family import Place, running
from kanhu.registry import operators


@pytest.fixture
def cheap_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt at its least cost: what is tested is who gets in."""
    monkeypatch.setattr(operators, "BCRYPT_COST", 4)


@pytest.fixture
async def place(tmp_path: Path, cheap_pins: None) -> AsyncIterator[Place]:
    """A families' page that is served."""
    async with running(tmp_path) as found:
        yield found
