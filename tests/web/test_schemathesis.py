"""The desk's API under schemathesis: no request makes it fail, or tell of other regions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests
from schemathesis import Case

from helpers_desk import Place
from helpers_schemathesis import describe, send_all
from kanhu_protocol import names

EXAMPLES = 6


@pytest.mark.timeout(300)
async def test_no_request_makes_it_fail_or_tell_of_another_region(place: Place) -> None:
    mine, hub = place.add_home("cn/42/01", "Wang Xiulan", address="3-2-1")
    theirs, other = place.add_home("cn/42/02", "Zhao Tiezhu", address="7-8-9")
    alarms = [await place.call(one) for one in (hub, other)]
    operators = [
        place.desk.operators.add(name, name.title(), role, "cn/42/01", "en", "a long enough one")
        for name, role in (("lina", "supervisor"), ("zhang", "viewer"))
    ]
    word = {"type": "string"}
    reason = {"type": "object", "properties": {"reason": word}, "required": ["reason"]}
    alarm = "/desk/api/alarms/{hub}/{boot}-{seq}"
    bodies: dict[str, Any] = {
        **{f"{alarm}/{what}": reason for what in ("close", "correct")},
        f"{alarm}/hand_over": {"type": "object", "properties": {"to": {"enum": ["lina", "zhang", "nobody"]}}},
        f"{alarm}/note": {"type": "object", "properties": {"text": word}},
        "/desk/api/homes/{home}/mode": {
            "type": "object",
            "properties": {"mode": {"enum": [*names.MODES.values()]}, "until_ms": {"type": "integer"}},
        },
        "/desk/api/language": {"type": "object", "properties": {"language": {"enum": ["en", "zh", "xx"]}}},
    }
    description = describe(
        [one for one in place.desk.routes() if getattr(one, "path", "") != "/desk/api/events"],  # never ends
        {
            "hub": {"enum": [hub, other]},
            "boot": {"enum": [one.boot for one in alarms]},
            "seq": {"enum": [one.seq for one in alarms]},
            "home": {"enum": [mine, theirs]},
            "id": {"type": "integer", "minimum": 0},
        },
        bodies,
        "application/json",
        {
            "/desk/api/homes": {"region": {"enum": ["cn/42/01", "cn/42/02", ""]}, "after": word},
            "/desk/api/audit": {"before": {"type": "integer"}},
            "/desk/api/incidents/{id}": {"after": {"type": "integer"}, "standing": {"type": "integer"}},
        },
    )

    cookies = {who.id: {place.desk.sessions.cookie: place.cookie(who)} for who in operators} | {"nobody": {}}

    def dress(who: str, asked: dict[str, Any]) -> None:
        asked["cookies"] = {**(asked.get("cookies") or {}), **cookies[who]}

    def look(who: str, case: Case, answer: requests.Response) -> None:
        request = f"{who}: {case.as_curl_command()}"
        assert answer.status_code < 500, f"{request}: {answer.status_code} {answer.text}"
        for secret in ("Zhao Tiezhu", "7-8-9", "cn/42/02", theirs):
            assert secret in request or secret not in answer.text, f"{request}: {answer.text}"

    came = await asyncio.to_thread(send_all, description, place.url, list(cookies), dress, look, EXAMPLES)
    assert came["lina"][200] > 12  # much of it is understood
    assert came["zhang"][403]
    assert came["nobody"][401]
