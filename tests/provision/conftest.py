"""Whole towns whose hubs are given their network."""

from __future__ import annotations

from fixtures_town import city, make_city, make_town, town

__all__ = ["city", "make_city", "make_town", "town"]
