"""What has to be looked at again and again, as long as the journal can be written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from structlog.typing import FilteringBoundLogger

from kanhu.journal import Journal, JournalUnavailable


async def tick_every(
    seconds: float,
    journal: Journal,
    tick: Callable[[], Awaitable[None]],
    log: FilteringBoundLogger,
    failed: str,
) -> None:
    """Call tick until cancelled, but not while the journal is broken; a failed tick is logged."""
    while True:
        await asyncio.sleep(seconds)
        if journal.healthy:
            try:
                await tick()
            except JournalUnavailable as error:
                log.error(failed, error=str(error))
