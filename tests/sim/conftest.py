from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kanhu.sim import Bench

PATTERNS = {
    "well": ("#" + "." * 29, ".", "well", "平安"),
    "heard": ("#.", "#.........", "heard", "已听到"),
    "unanswered": ("##..", "####......", "nobody has answered", "无人应答"),
    "accepted": ("#", ".", "a person has answered", "已有人接听"),
    "cannot_tell": ("#..#..............", ".", "cannot tell", "无法判断"),
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "bench") as bench:
        yield bench


def firmware(source: str, **modules: str) -> dict[str, bytes]:
    """Throw-away firmware: main.py and modules under /a."""
    files = {f"/a/{name}.py": textwrap.dedent(text).encode() for name, text in modules.items()}
    return {"/main.py": textwrap.dedent(source).encode(), **files}


@pytest.fixture(name="firmware")
def _firmware():  # type: ignore[no-untyped-def]
    return firmware


@pytest.fixture
def patterns() -> dict[str, tuple[str, str, str, str]]:
    return dict(PATTERNS)
