"""What all answers of the desk's API have in common: who asks, what for, and errors as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kanhu.care import Alarm
from kanhu.journal import JournalUnavailable
from kanhu.registry import Home, RegistryError
from kanhu.registry.operators import Operator
from kanhu_protocol import kinds as k

from .regions import covers

if TYPE_CHECKING:
    from .desk import Desk


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


def text_of(body: dict[str, Any], key: str) -> str:
    """Text of a request's body, which must not be empty; ApiError."""
    value = body.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ApiError(400, "missing", f"{key} must be text")
    return value.strip()


def number_of(request: Request, key: str, default: int) -> int:
    """A number of a request's query; ApiError."""
    text = request.query_params.get(key, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise ApiError(400, "number", f"{key} must be a number")
    return int(text)


def alarm_of(desk: Desk, request: Request, operator: Operator) -> Alarm:
    """The alarm that the URL names, of the operator's own region; ApiError."""
    hub, boot, seq = (request.path_params[key] for key in ("hub", "boot", "seq"))
    alarm = desk.alarms.get((hub, boot, seq))
    if alarm is None or not covers(operator.region, desk.rows.region_of(alarm.hub)):
        raise ApiError(404, "unknown", "no such alarm here")
    return alarm


def person_of(desk: Desk, request: Request, operator: Operator) -> tuple[Alarm, Home]:
    """The alarm that the URL names and its home, while somebody may be told of a person; ApiError."""
    alarm = alarm_of(desk, request, operator)
    home = desk.registry.home_of(alarm.hub)
    if home is None:
        raise ApiError(404, "unknown", "the hub is in no home of this registry")
    if alarm.state in (k.CLOSED, k.PRE):
        raise ApiError(409, "not_open", "persons are shown only while an alarm is open")
    return alarm, home
