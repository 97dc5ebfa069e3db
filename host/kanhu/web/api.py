"""The desk's JSON API. Not logged in: 401. What lies outside an operator's region is not there: 404.

An error is {"error": one sentence, "code": a word for programs}. Times are UTC in ms. An alarm's name is
"{hub}/{boot}-{seq}", and stands so in the URL. Texts for people come as {"en", "zh"}.

GET  /desk/api/state -> {"now_ms", "me": {"id", "name", "role", "region", "language"},
    "alarms": [{"name", "kind", "state", "class", "level", "region", "home", "raised_ms", "age_s", "presses",
        "delivered", "accepted_by", "accepted_by_name", "accepted_ms", "dispatched_ms", "on_scene_ms",
        "closed_ms", "closed_by", "reason", "rule", "explanation", "ask_until_ms", "incident", "mine"}, ..],
    "alarms_more", "incidents": [{"id", "kind", "region", "opened_ms", "closed_ms", "members"}, ..],
    "faults": {"open", "overdue"}, "homes": {"well", "attention", "cannot_tell"},
    "figures": {"today", "answered_60", "answered_180", "median_s"},
    "districts": [{"region", "alarms", "unanswered", "oldest_s", "well", "attention", "cannot_tell"}, ..]}
    Alarms: unanswered first, life before welfare, the oldest before the newer; then those in somebody's
    hands, then those where the elder is being asked (state "pre_alarm"), then at most 20 closed in the last
    12 hours. Homes, faults and members outside the region count nowhere. A viewer is told no home and no
    explanation, and "may_act" is false.
GET  /desk/api/events -> text/event-stream: `state` (as above) at once and when anything has changed, five in
    a second at most; `ping` {"now_ms"} after 10 s without one. It ends with the log-in. 429: too many.
POST /desk/api/alarms/{name}/accept | dispatch | on_scene | hand_over {"to"} | close {"reason"}
    | correct {"reason"} -> 200 {"alarm": as in state}; 409 {"error", "code", "accepted_by"} when it is
    another's, or in a state that does not allow it. Only a supervisor acts on an alarm that another has
    accepted; correct is a supervisor's.
GET  /desk/api/alarms/{name}/person -> {"alarm", "home", "name", "address", "phones", "time_zone",
    "sensors": [{"device", "role", "room", "name", "pressed"}, ..],
    "last_movement": {"at_ms", "room", "en", "zh"} | null,
    "condition": {"state", "reasons": [{"words", "since_ms"}, ..]},
    "proof": {"at_ms", "span_ms", "ok", "en", "zh"} | null,
    "history": [{"at_ms", "what", "operator", "reason"}, ..]}
    409 "not_open" once it is closed, or while the elder is only being asked. Into the audit first.
GET  /desk/api/operators -> [{"id", "name", "role"}, ..] who can take an alarm, for hand_over
GET  /desk/api/incidents/{id}?after= -> {"id", "members": [{"id", "hub", "region", "device", "kind",
    "opened_ms", "closed_ms", "owner", "due_ms"}, ..], "next"}; next: `after` of the next page, or null
GET  /desk/api/homes?region=&after= -> {"homes": [{"home", "region", "condition"}, ..], "next"}
POST /desk/api/homes/{home}/mode {"mode": a name of names.MODES, "until_ms"?} -> {"home", "mode"}
POST /desk/api/language {"language"} -> {"language"}
GET  /desk/api/audit?before= -> {"rows": [{"id", "at_ms", "operator", "what", "hub", "detail"}, ..],
    "broken": [ids]}, for a supervisor of everything ("" as region)
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kanhu.care import Alarm, AlarmError
from kanhu.errors import KanhuError
from kanhu.journal import JournalUnavailable
from kanhu.registry import RegistryError
from kanhu.registry.operators import LANGUAGES, Operator
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from . import tallies
from .person import plain_condition
from .regions import covers

if TYPE_CHECKING:
    from .desk import Desk

PAGE = 200  # members or homes in one answer
MODES = {name: number for number, name in names.MODES.items()}


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, code: str, text: str, **more: Any) -> None:
        self.status, self.body = status, {"error": text, "code": code, **more}


Handler = Callable[["Desk", Request, Operator], Awaitable[Response]]


def answering(desk: Desk, handler: Handler, *roles: str) -> Callable[[Request], Awaitable[Response]]:
    """A route's endpoint: logged in, in one of these roles (none given: any), errors as JSON."""

    async def answer(request: Request) -> Response:
        try:
            operator = desk.sessions.who(request)
            if operator is None:
                raise ApiError(401, "log_in", "log in first")
            if roles and operator.role not in roles:
                raise ApiError(403, "role", f"not for a {operator.role}")
            return await handler(desk, request, operator)
        except ApiError as error:
            return JSONResponse(error.body, error.status)
        except (JournalUnavailable, RegistryError) as error:
            return JSONResponse({"error": str(error), "code": "not_saved"}, 503)

    return answer


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request; ApiError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "not_json", "send application/json")
    try:
        found = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        raise ApiError(400, "not_json", "that is no JSON") from None
    if not isinstance(found, dict):
        raise ApiError(400, "not_json", "send a JSON object")
    return found


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ApiError(400, "missing", f"{key} must be text")
    return value.strip()


def _number(request: Request, key: str, default: int) -> int:
    text = request.query_params.get(key, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ApiError(400, "number", f"{key} must be a number")
    return int(text)


# Looking


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
    """Members of an incident in one's own region, paged."""
    number: int = request.path_params["id"]
    hubs = {hub: region for hub, region in desk.board.regions().items() if covers(operator.region, region)}
    after = _number(request, "after", 0)
    try:
        found = await asyncio.to_thread(tallies.members, desk.journal.path, number, after, PAGE + 1, hubs)
    except sqlite3.Error as error:
        raise ApiError(503, "not_readable", f"the journal cannot be read: {error}") from None
    if not found and not after:
        raise ApiError(404, "unknown", "no such incident here")
    more = len(found) > PAGE
    return JSONResponse(
        {"id": number, "members": found[:PAGE], "next": found[PAGE - 1]["id"] if more else None}
    )


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
            "region": home.region,
            "condition": plain_condition(desk.sources.condition(home.id)),
        }
        for home in page
    ]
    return JSONResponse({"homes": rows, "next": page[-1].id if len(seen) > PAGE else None})


async def person(desk: Desk, request: Request, operator: Operator) -> Response:
    """Who it is about; in the audit before it is shown."""
    alarm = _alarm(desk, request, operator)
    home = desk.registry.home_of(alarm.hub)
    if home is None:
        raise ApiError(404, "unknown", "the hub is in no home of this registry")
    if alarm.state in (k.CLOSED, k.PRE):
        raise ApiError(409, "not_open", "persons are shown only while an alarm is open")
    await desk.audit.record(operator.id, "person", alarm.hub, str(alarm))
    alarm = _alarm(desk, request, operator)
    if alarm.state == k.CLOSED:
        raise ApiError(409, "not_open", "persons are shown only while an alarm is open")
    return JSONResponse(desk.persons.about(alarm, home))


async def audit(desk: Desk, request: Request, operator: Operator) -> Response:
    """Who saw or did what; looking at it is a row, too."""
    if operator.region:
        raise ApiError(403, "region", "the audit is of all regions")
    before = _number(request, "before", 1 << 62)
    await desk.audit.record(operator.id, "audit")
    verdict = await desk.audit.verify()
    return JSONResponse({"rows": desk.audit.page(before), "broken": list(verdict.broken)})


# Acting


def _alarm(desk: Desk, request: Request, operator: Operator) -> Alarm:
    hub, boot, seq = (request.path_params[key] for key in ("hub", "boot", "seq"))
    alarm = desk.alarms.get((hub, boot, seq))
    if alarm is None or not covers(operator.region, desk.board.region_of(alarm.hub)):
        raise ApiError(404, "unknown", "no such alarm here")
    return alarm


def act(what: str) -> Handler:
    """What a person does with an alarm."""

    async def handler(desk: Desk, request: Request, operator: Operator) -> Response:
        body = await body_of(request)
        alarm = _alarm(desk, request, operator)
        if what not in ("accept", "correct"):
            _must_hold(alarm, operator)
        try:
            changed = await _do(desk, what, alarm, operator, body)
        except AlarmError as error:
            now = desk.alarms.get(alarm.name) or alarm
            by = now.accepted_by
            taken = what == "accept" and by not in (None, operator.id)
            raise ApiError(
                409, "taken" if taken else "state", str(error), accepted_by=by,
                accepted_by_name=desk.board.name_of(by),
            ) from None  # fmt: skip
        mine = changed.accepted_by == operator.id
        return JSONResponse({"alarm": desk.board.row(changed) | {"mine": mine}})

    return handler


def _must_hold(alarm: Alarm, operator: Operator) -> None:
    if operator.role == "supervisor" or alarm.accepted_by in (None, operator.id):
        return
    raise ApiError(409, "taken", f"alarm {alarm} is with {alarm.accepted_by}", accepted_by=alarm.accepted_by)


async def _do(desk: Desk, what: str, alarm: Alarm, operator: Operator, body: dict[str, Any]) -> Alarm:
    alarms, name = desk.alarms, alarm.name
    if what == "accept":
        return await alarms.accept(name, operator.id)
    if what == "dispatch":
        return await alarms.dispatch(name, operator.id)
    if what == "on_scene":
        return await alarms.on_scene(name, operator.id)
    if what == "close":
        if alarm.accepted_by is None and alarm.state != k.CLOSED:
            raise ApiError(
                409, "state", f"alarm {alarm} is with nobody yet: accept it first", accepted_by=None
            )
        return await alarms.close(name, operator.id, _text(body, "reason"))
    if what == "correct":
        return await alarms.correct(name, operator.id, _text(body, "reason"))
    to = desk.operators.get(_text(body, "to"))
    if (
        to is None
        or to.disabled
        or to.role == "viewer"
        or not covers(to.region, desk.board.region_of(alarm.hub))
    ):
        raise ApiError(400, "nobody", "nobody of that name can take alarms of this home")
    return await alarms.hand_over(name, operator.id, to.id)


async def mode(desk: Desk, request: Request, operator: Operator) -> Response:
    """Home, away, hospital, visitor, sleep: until a moment, or as long as the mode goes."""
    body = await body_of(request)
    home_id: str = request.path_params["home"]
    wanted = MODES.get(_text(body, "mode"))
    if wanted is None:
        raise ApiError(400, "mode", f"mode must be one of {', '.join(MODES)}")
    until_ms = body.get("until_ms")
    if until_ms is not None and (type(until_ms) is not int or not 0 < until_ms < 1 << 53):
        raise ApiError(400, "number", "until_ms must be UTC in ms")
    found = next((home for home in desk.registry.homes() if home.id == home_id), None)
    if found is None or not covers(operator.region, found.region):
        raise ApiError(404, "unknown", "no such home here")
    hubs = [hub.id for hub in desk.registry.hubs(home_id) if hub.revoked_ms is None]
    if not hubs:
        raise ApiError(409, "state", "the home has no hub")
    await desk.audit.record(operator.id, "mode", hubs[0], f"{names.MODES[wanted]} {until_ms or ''}".strip())
    try:
        for hub in hubs:
            await desk.sources.set_mode(hub, wanted, until_ms, operator.id)
    except JournalUnavailable:
        raise
    except KanhuError as error:
        raise ApiError(400, "mode", str(error)) from None
    desk.board.changed()
    return JSONResponse({"home": home_id, "mode": names.MODES[wanted]})


async def language(desk: Desk, request: Request, operator: Operator) -> Response:
    """What an operator reads from now on."""
    wanted = _text(await body_of(request), "language")
    if wanted not in LANGUAGES:
        raise ApiError(400, "language", f"language must be one of {', '.join(LANGUAGES)}")
    desk.operators.set_language(operator.id, wanted)
    return JSONResponse({"language": wanted})
