"""The desk's JSON API. Not logged in: 401. What lies outside an operator's region is not there: 404.

An error is {"error": one sentence, "code": a word for programs}. Times are UTC in ms. An alarm's name is
"{hub}/{boot}-{seq}", and stands so in the URL. Texts for people come as {"en", "zh"}.

GET  /desk/api/state -> {"now_ms", "me": {"id", "name", "role", "region", "region_name", "language"},
    "alarms": [{"name", "kind", "state", "class", "level", "region", "region_name", "home", "raised_ms",
        "age_s", "presses", "delivered", "accepted_by", "accepted_by_name", "accepted_ms", "dispatched_ms",
        "on_scene_ms", "closed_ms", "closed_by", "reason", "rule", "explanation", "ask_until_ms", "incident",
        "mine"}, ..],
    "alarms_more", "incidents": [{"id", "kind", "region", "region_name", "opened_ms", "closed_ms", "members",
        "standing"}, ..],
    "faults": {"open", "overdue"}, "homes": {"well", "attention", "cannot_tell"},
    "figures": {"today", "answered_60", "answered_180", "median_s"},
    "districts": [{"region", "region_name", "alarms", "unanswered", "oldest_s", "well", "attention",
        "cannot_tell"}, ..]}
    Alarms: unanswered first, life before welfare, the oldest before the newer; then those in somebody's
    hands, then those where the elder is being asked (state "pre_alarm"), then at most 20 closed in the last
    12 hours. "incident" is {"id", "kind", "region", "region_name"} while the home is a member of one that is
    not over and its own fault stands, or else null. "members" are an incident's hubs, "standing" those that
    are not back. "region_name" is {"en", "zh"}, or null where nobody has named the region. Homes, faults
    and members outside the region count nowhere. A viewer is told no home and no explanation, and "may_act"
    is false.
GET  /desk/api/events -> text/event-stream: `state` (as above) at once and when anything has changed, five in
    a second at most; `ping` {"now_ms"} after 10 s without one. It ends with the log-in. 429: too many.
POST /desk/api/alarms/{name}/accept | dispatch | on_scene | hand_over {"to"} | close {"reason"}
    | correct {"reason"} -> 200 {"alarm": as in state}; 409 {"error", "code", "accepted_by"} when it is
    another's, or in a state that does not allow it. Only a supervisor acts on an alarm that another has
    accepted; correct is a supervisor's.
GET  /desk/api/alarms/{name}/person -> {"alarm", "home", "name", "address", "phones", "time_zone",
    "note": {"text", "by", "at_ms"} | null, "sensors": [{"device", "role", "room", "name", "pressed"}, ..],
    "last_movement": {"at_ms", "room", "en", "zh"} | null,
    "condition": {"state", "reasons": [{"words", "since_ms"}, ..]},
    "proof": {"at_ms", "span_ms", "ok", "en", "zh"} | null,
    "history": [{"at_ms", "what", "operator", "reason"}, ..]}
    409 "not_open" once it is closed, or while the elder is only being asked. Into the audit first.
GET  /desk/api/operators -> [{"id", "name", "role"}, ..] who can take an alarm, for hand_over
POST /desk/api/alarms/{name}/note {"text"} -> {"note": as with the person}: of who has the alarm in hand, or a
    supervisor, while it is open; an empty text takes the note away. Into the audit, without its words.
GET  /desk/api/incidents/{id}?after=&standing= -> {"id", "members": [{"id", "home", "hub", "region",
    "region_name", "device", "kind", "opened_ms", "closed_ms", "owner", "due_ms"}, ..], "next"}
    closed_ms: when it came back. standing=1: only those that are not. next: `after` of the next page, or
    null. Into the audit first.
GET  /desk/api/homes?region=&after= -> {"homes": [{"home", "region", "region_name", "condition"}, ..], "next"}
POST /desk/api/homes/{home}/mode {"mode": a name of names.MODES, "until_ms"?} -> {"home", "mode"}
POST /desk/api/language {"language"} -> {"language"}
GET  /desk/api/audit?before= -> {"rows": [{"id", "at_ms", "operator", "what", "hub", "detail"}, ..],
    "broken": [ids]}, for a supervisor of everything ("" as region)
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kanhu.registry.operators import Operator

from . import tallies
from .handling import ApiError, number_of, person_of
from .person import plain_condition
from .regions import covers

if TYPE_CHECKING:
    from .desk import Desk

PAGE = 200  # members or homes in one answer


async def state(desk: Desk, request: Request, operator: Operator) -> Response:
    """Everything there is to see now."""
    return Response(desk.board.state(operator), media_type="application/json")


async def events(desk: Desk, request: Request, operator: Operator) -> Response:
    """The same, and again whenever it has changed."""
    if not desk.streams.may(operator):
        raise ApiError(429, "too_many", "too many windows of the desk are open; close some")
    _, until = desk.sessions.look(request)
    return desk.streams.response(operator, until)


async def operators(desk: Desk, request: Request, operator: Operator) -> Response:
    """Who else can take an alarm: those whose region holds or lies in one's own."""
    found = [
        {"id": one.id, "name": one.name, "role": one.role}
        for one in desk.operators.list()
        if not one.disabled
        and one.role != "viewer"
        and (covers(one.region, operator.region) or covers(operator.region, one.region))
    ]
    return JSONResponse(found)


async def incident(desk: Desk, request: Request, operator: Operator) -> Response:
    """Members of an incident in one's own region, paged; in the audit, because it names homes."""
    number: int = request.path_params["id"]
    after, standing = number_of(request, "after", 0), bool(number_of(request, "standing", 0))
    hubs = {hub for hub, region in desk.board.regions().items() if covers(operator.region, region)}
    try:
        found = await asyncio.to_thread(
            tallies.faults_of, desk.journal.path, number, after, PAGE + 1, hubs, standing
        )
    except sqlite3.Error as error:
        raise ApiError(503, "not_readable", f"the journal cannot be read: {error}") from None
    if not found and not after and not standing:
        raise ApiError(404, "unknown", "no such incident here")
    page = found[:PAGE]
    await desk.audit.record(operator.id, "incident", None, f"{number} {len(page)}")
    rows = []
    for one in page:
        home = desk.registry.home_of(one["hub"])
        if home is not None:  # not forgotten meanwhile
            rows.append({"home": home.id, **one, **desk.rows.place(home.region)})
    after_this = page[-1]["id"] if len(found) > PAGE else None
    return JSONResponse({"id": number, "members": rows, "next": after_this})


async def homes(desk: Desk, request: Request, operator: Operator) -> Response:
    """Conditions of homes, those in need first within a page by pseudonym."""
    region = request.query_params.get("region") or operator.region
    after = request.query_params.get("after", "")
    if not covers(operator.region, region or None):
        raise ApiError(404, "unknown", "no such region here")
    seen = [home for home in desk.registry.homes() if covers(region, home.region) and home.id > after]
    page = seen[:PAGE]
    await desk.audit.record(operator.id, "homes", None, f"{region} {len(page)}".strip())
    rows = [
        {
            "home": home.id,
            **desk.rows.place(home.region),
            "condition": plain_condition(desk.sources.condition(home.id)),
        }
        for home in page
    ]
    return JSONResponse({"homes": rows, "next": page[-1].id if len(seen) > PAGE else None})


async def person(desk: Desk, request: Request, operator: Operator) -> Response:
    """Who it is about; in the audit before it is shown."""
    alarm, _ = person_of(desk, request, operator)
    await desk.audit.record(operator.id, "person", alarm.hub, str(alarm))
    alarm, home = person_of(desk, request, operator)  # it may have ended meanwhile
    return JSONResponse(desk.persons.about(alarm, home))


async def audit(desk: Desk, request: Request, operator: Operator) -> Response:
    """Who saw or did what; looking at it is a row, too."""
    if operator.region:
        raise ApiError(403, "region", "the audit is of all regions")
    before = number_of(request, "before", 1 << 62)
    await desk.audit.record(operator.id, "audit")
    verdict = await desk.audit.verify()
    return JSONResponse({"rows": desk.audit.page(before), "broken": list(verdict.broken)})
