"""What a daemon does when `kanhu update` asks it (kanhu.requests)."""

from __future__ import annotations

from typing import Any

from kanhu.errors import DataError
from kanhu.requests import Handler

from .updates import Updates
from .values import Rollout, Settings


def handler(updates: Updates) -> Handler:
    """Carries out requests `update.*`; KanhuError says why not."""

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        do, by = str(request.get("do", "")), str(request.get("by", ""))
        if do == "update.start":
            settings = Settings(
                soak_ms=int(request["soak_ms"]),
                at_once=int(request["at_once"]),
                pause_percent=float(request["pause_percent"]),
                pause_min=int(request["pause_min"]),
            )
            hubs = [str(hub) for hub in request["hubs"]]
            return await updates.start(str(request["release"]), hubs, settings, str(request["canary"]), by)
        if do == "update.pause":
            return _said(await updates.pause(by))
        if do == "update.resume":
            return _said(await updates.resume(by))
        if do == "update.cancel":
            return _said(await updates.cancel(by))
        raise DataError("the daemon does not know this request: is it of another version?")

    return handle


def _said(rollout: Rollout) -> dict[str, Any]:
    return {"rollout": rollout.id, "version": rollout.version, "state": rollout.state}
