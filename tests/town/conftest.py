"""Whole towns in which nothing is measured: these tests run beside others."""

from __future__ import annotations

from fixtures_town import browser, city, make_city, make_town, town

__all__ = ["browser", "city", "make_city", "make_town", "town"]
