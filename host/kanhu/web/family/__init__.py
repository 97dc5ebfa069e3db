"""The families' page (`/f/...`): see kanhu.web.family.family."""

from __future__ import annotations

from .family import Family

__all__ = ["Family"]
