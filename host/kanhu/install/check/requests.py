"""What a daemon does when `kanhu check` asks it (kanhu.requests)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kanhu.errors import DataError
from kanhu.journal import Journal
from kanhu.pairing.walks import Walk, Walks
from kanhu.registry import Registry
from kanhu.registry.acceptances import Acceptances
from kanhu_protocol import kinds as k

from . import record
from .surveys import Survey, Surveys

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def handler(surveys: Surveys, walks: Walks, registry: Registry, journal: Journal) -> Handler:
    """Carries out requests `check.*`; KanhuError says why not."""

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        do, hub = str(request.get("do", "")), str(request.get("hub", ""))
        if do == "check.survey":
            return _survey(await surveys.begin(hub, int(request["seconds"])))
        if do == "check.surveyed":
            return _survey(surveys.of(hub))
        if do == "check.walk":
            home = registry.hub(hub).home
            return _walk(walks.begin(home, hub, int(request["seconds"]) * 1000))
        if do == "check.walked":
            walk = walks.of(registry.hub(hub).home)
            if walk is None or walk.hub != hub:
                raise DataError(f"hub {hub}: no walk is under way; begin again")
            return _walk(walk)
        if do == "check.accept":
            try:
                signature = bytes.fromhex(str(request["signature"]))
            except ValueError:
                raise record.RecordError("the signature is not hexadecimal") from None
            return await _accept(record.Signed(str(request["record"]).encode(), signature), registry, journal)
        raise DataError("the daemon does not know this request: is it of another version?")

    return handle


async def _accept(found: record.Signed, registry: Registry, journal: Journal) -> dict[str, Any]:
    fields = found.fields()
    record.of_key(found)
    made = Acceptances(registry).add(fields["hub"], found.data, found.signature, journal.clock())
    about = {
        k.SUBJECT: made.hub, k.OPERATOR: fields["by"]["id"],
        k.VERDICT: record.VERDICTS[fields["verdict"]], k.RECORD: made.digest,
    }  # fmt: skip
    await journal.host_event(k.INSTALLATION_ACCEPTED, about)  # of the same record twice: it has one digest
    return {"hub": made.hub, "digest": made.digest}


def _survey(survey: Survey) -> dict[str, Any]:
    return {
        "state": survey.state, "why": survey.why, "busy": survey.busy, "seconds": survey.seconds,
        "heard": [
            {
                "device": device, "count": _count(fields), "span_ms": fields.get(k.SPAN_MS, 0),
                "interval_ms": fields.get(k.INTERVAL_MS), "levels_dbm": fields.get(k.LEVELS_DBM),
            }
            for device, fields in sorted(survey.heard.items())
        ],
    }  # fmt: skip


def _count(fields: dict[int, Any]) -> int:
    # Absent is one, and none where no level was heard either.
    return int(fields.get(k.COUNT, 1)) if k.LEVELS_DBM in fields else 0


def _walk(walk: Walk) -> dict[str, Any]:
    seen = [
        {"hub": hub, "device": device, "count": count, "at_ms": at_ms}
        for (hub, device), (count, at_ms) in sorted(walk.seen.items())
    ]
    return {"begun_ms": walk.begun_ms, "ends_ms": walk.ends_ms, "seen": seen}
