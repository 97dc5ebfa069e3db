from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fixtures_desk_pages import browser, sit, stage
from helpers_desk import Place, running
from kanhu.registry import operators

__all__ = ["browser", "cheap_passwords", "place", "sit", "stage"]


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """bcrypt at its least cost: what is tested is who gets in."""
    monkeypatch.setattr(operators, "BCRYPT_COST", 4)
    operators._nobody.cache_clear()


@pytest.fixture
async def place(tmp_path: Path, cheap_passwords: None) -> AsyncIterator[Place]:
    """A desk that serves."""
    async with running(tmp_path) as found:
        yield found
