"""The suite's options, markers and fixtures come from kanhu.qa.plugin (docs/qa.md)."""

from __future__ import annotations

pytest_plugins = ["kanhu.qa.plugin"]
