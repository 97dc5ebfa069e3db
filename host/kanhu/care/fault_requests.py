"""What a daemon does when `kanhu faults` asks it (kanhu.requests)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kanhu.errors import DataError

from .faults import Faults


def handler(faults: Faults) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """Carries out requests on these faults; KanhuError says why not."""

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        fault, by = int(request.get("fault", 0)), str(request.get("by", ""))
        if request.get("do") == "faults.assign":
            task = await faults.assign(fault, str(request["owner"]), request.get("due_ms"), by)
            return {"id": task.id, "owner": task.owner, "due_ms": task.due_ms}
        reason = str(request.get("reason", ""))
        if request.get("do") == "faults.close_fault":
            return {"id": (await faults.close(fault, by, reason)).id}
        if request.get("do") == "faults.close_incident":
            return {"id": (await faults.close_incident(fault, by, reason)).id}
        raise DataError("the daemon does not know this request: is it of another version?")

    return handle
