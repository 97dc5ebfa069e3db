"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_S = 1.0


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel until all have ended: one that overlooks a cancellation must not keep the rest from stopping."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
