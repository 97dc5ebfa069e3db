"""All pages below a hub's link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .entry import EntryPages
from .home import HomePages
from .log import LogPages
from .modes import ModePages

if TYPE_CHECKING:
    from .family import Family
    from .visit import Page


def pages(family: Family) -> list[Page]:
    """In no order; none hides another."""
    return [page for part in (EntryPages, HomePages, ModePages, LogPages) for page in part(family).routes()]
