"""What operators do over the desk's API (kanhu.web.api)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kanhu.care import Alarm, AlarmError
from kanhu.errors import KanhuError
from kanhu.journal import JournalUnavailable
from kanhu.registry import RegistryError
from kanhu.registry.notes import one_line
from kanhu.registry.operators import LANGUAGES, Operator
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .handling import ApiError, Handler, alarm_of, body_of, person_of, text_of
from .regions import covers

if TYPE_CHECKING:
    from .desk import Desk

MODES = {name: number for number, name in names.MODES.items()}


def act(what: str) -> Handler:
    """What a person does with an alarm."""

    async def handler(desk: Desk, request: Request, operator: Operator) -> Response:
        body = await body_of(request)
        alarm = alarm_of(desk, request, operator)
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
                accepted_by_name=desk.rows.operator_name(by),
            ) from None  # fmt: skip
        mine = changed.accepted_by == operator.id
        return JSONResponse({"alarm": desk.rows.alarm(changed, operator.region) | {"mine": mine}})

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
        return await alarms.close(name, operator.id, text_of(body, "reason"))
    if what == "correct":
        return await alarms.correct(name, operator.id, text_of(body, "reason"))
    to = desk.operators.get(text_of(body, "to"))
    if (
        to is None
        or to.disabled
        or to.role == "viewer"
        or not covers(to.region, desk.rows.region_of(alarm.hub))
    ):
        raise ApiError(400, "nobody", "nobody of that name can take alarms of this home")
    return await alarms.hand_over(name, operator.id, to.id)


async def note(desk: Desk, request: Request, operator: Operator) -> Response:
    """What whoever helps at the home has to know, written by who has its alarm in hand."""
    text = (await body_of(request)).get("text")
    if not isinstance(text, str):
        raise ApiError(400, "missing", "text must be text")
    try:
        text = one_line(text)
    except RegistryError as error:
        raise ApiError(400, "note", str(error)) from None
    alarm, _ = person_of(desk, request, operator)
    _must_hold(alarm, operator)
    if alarm.accepted_by is None and operator.role != "supervisor":
        raise ApiError(409, "state", f"alarm {alarm} is with nobody yet: accept it first", accepted_by=None)
    await desk.audit.record(operator.id, "note" if text else "note_removed", alarm.hub, str(alarm))
    _, home = person_of(desk, request, operator)  # it may have ended meanwhile
    kept = desk.notes.put(home.id, text, operator.id)
    return JSONResponse({"note": kept and kept._asdict()})


async def mode(desk: Desk, request: Request, operator: Operator) -> Response:
    """Home, away, hospital, visitor, sleep: until a moment, or as long as the mode goes."""
    body = await body_of(request)
    home_id: str = request.path_params["home"]
    wanted = MODES.get(text_of(body, "mode"))
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
    wanted = text_of(await body_of(request), "language")
    if wanted not in LANGUAGES:
        raise ApiError(400, "language", f"language must be one of {', '.join(LANGUAGES)}")
    desk.operators.set_language(operator.id, wanted)
    return JSONResponse({"language": wanted})
