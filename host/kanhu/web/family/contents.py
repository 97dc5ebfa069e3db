"""All pages below a hub's link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .adding import AddingPages
from .data import DataPages
from .entry import EntryPages
from .home import HomePages
from .log import LogPages
from .modes import ModePages
from .readings import ReadingsPages
from .sensors import SensorPages
from .testing import TestingPages

if TYPE_CHECKING:
    from .family import Family
    from .visit import Page


def pages(family: Family) -> list[Page]:
    """In no order; none hides another."""
    parts = (
        EntryPages,
        HomePages,
        ModePages,
        LogPages,
        SensorPages,
        AddingPages,
        TestingPages,
        ReadingsPages,
        DataPages,
    )
    return [page for part in parts for page in part(family).routes()]
