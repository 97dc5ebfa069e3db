"""Whole towns in which it matters how long somebody waits: these tests run one at a time."""

from __future__ import annotations

from fixtures_town import browser, city, make_city, make_town, town

__all__ = ["browser", "city", "make_city", "make_town", "town"]
