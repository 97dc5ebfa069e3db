"""The families' page under schemathesis: no request makes it fail, or tell of another home."""

from __future__ import annotations

import asyncio
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import requests
from schemathesis import Case
from starlette.routing import Route

from helpers_family import Place, key_of
from helpers_family_lived import furnish
from helpers_schemathesis import describe, send_all
from kanhu_protocol import kinds as k

EXAMPLES = 6
KEY = "the key of whoever asks"
HEARD = bytes.fromhex("A4C138770009")
# What the other home has, and nobody is ever told.
THEIRS, STREET, SENSOR = "赵铁柱", "7-8-9", "赵家按钮"


class Forms(HTMLParser):
    """The links of a page, and its forms: action -> name of a field -> the values it offers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: dict[str, dict[str, set[str]]] = {}
        self._fields: dict[str, set[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.add(found.get("href", ""))
        elif tag == "form":
            self._fields = self.forms.setdefault(found["action"], {})
        elif tag in ("input", "button", "select") and found.get("name"):
            self._fields.setdefault(found["name"], set()).update(filter(None, [found.get("value", "")]))


async def forms_of(client: httpx2.AsyncClient, place: Place) -> dict[str, dict[str, set[str]]]:
    """All forms of all pages that links lead to."""
    found: dict[str, dict[str, set[str]]] = {}
    waiting, seen = [place.path(), place.path("add", place.hub)], set()
    while waiting:
        path = waiting.pop()
        where = urlsplit(path).path  # other days of a page have the same forms
        if where in seen or not path.startswith(place.path()):
            continue
        seen.add(where)
        page = Forms((await client.get(path)).text)
        waiting += page.links
        for action, fields in page.forms.items():
            for name, values in fields.items():
                found.setdefault(urlsplit(action).path, {}).setdefault(name, set()).update(values)
    return found


def body(fields: dict[str, set[str]]) -> dict[str, Any]:
    """What a form may bring: what it offers, or any text."""
    properties = {
        name: {"anyOf": [{"enum": sorted(values)}, {"type": "string"}]} if values else {"type": "string"}
        for name, values in fields.items()
    }
    return {"type": "object", "properties": {**properties, "key": {"enum": [KEY]}}, "required": ["key"]}


@pytest.mark.timeout(300)
async def test_no_request_makes_it_fail_or_tell_of_another_home(place: Place, tmp_path: Path) -> None:
    await furnish(place)
    theirs = place.registry.add_home("cn/42/01", name=THEIRS, address=STREET)
    other = place.add_hub(theirs)
    place.registry.add_sensor(other, "call", "A4:C1:38:77:00:0B", SENSOR, "bedroom")
    place.families.claim(theirs, "975310")
    dead = place.families.label(place.hub)
    place.token = place.families.renew(place.hub)
    tokens = {"mine": place.token, "theirs": place.families.label(other), "dead": dead}

    # The hub listens, and has heard something.
    family = await place.let_in()
    await place.post(family, place.path("add"), {"hub": place.hub})
    await place.confirm()
    await place.say(k.SENSOR_HEARD, {k.ADDRESS: HEARD, k.ROLE: 1, k.RSSI: -60, k.FLAGS: k.UNVERIFIED})

    routes = [
        one
        for one in place.family.routes()
        if isinstance(one, Route) and not one.path.endswith("/live") and "{rest" not in one.path  # never end
    ]
    forms = await forms_of(family, place)
    bodies: dict[str, Any] = {}
    for route in routes:
        fields: dict[str, set[str]] = {}
        for action, more in forms.items():
            if route.path_regex.match(action):
                for name, values in more.items():
                    fields.setdefault(name, set()).update(values)
        bodies[route.path_format] = body(fields)
    assert sum(1 for one in bodies.values() if len(one["properties"]) > 1) >= 8
    text = {"type": "string"}
    readings = {
        "what": {"enum": ["blood_pressure", "pulse", "temperature", "xx"]}, "on": text, "person": text,
        "span": {"enum": ["day", "week", "month", "year"]},
    }  # fmt: skip
    # What ends the visits of all phones comes last.
    routes.sort(key=lambda one: one.path_format.endswith(("/settings", "/leave")))
    description = describe(
        routes,
        {
            "token": {"enum": [*tokens.values()]},
            "hub": {"enum": [place.hub, other]},
            "index": {"type": "integer", "minimum": 0, "maximum": 10},
            "address": {"enum": [HEARD.hex(), "A4C13877000B", "00" * 6]},
        },
        bodies,
        "application/x-www-form-urlencoded",
        {
            "/f/{token}/readings": readings,
            "/f/{token}/log": {"before": text},
            "/f/{token}": {"language": {"enum": ["zh", "en", "xx"]}, "said": text, "why": text, "wait": text},
            "/f/{token}/modes": {"kind": text},
        },
    )
    phone = place.phone()
    keys = {
        "family": key_of((await family.get(place.path("modes"))).text),
        "phone": key_of((await phone.get(place.path())).text),
        "nobody": "",
    }
    cookies = {"family": dict(family.cookies), "phone": dict(phone.cookies), "nobody": {}}
    came: dict[str, Counter[int]] = {}

    def dress(who: str, asked: dict[str, Any]) -> None:
        asked["cookies"] = {**(asked.get("cookies") or {}), **cookies[who]}
        data = asked.get("data")
        if isinstance(data, dict) and data.get("key") == KEY:
            asked["data"] = {**data, "key": keys[who]}

    def look(who: str, case: Case, answer: requests.Response) -> None:
        request = f"{who}: {case.as_curl_command()}"
        assert answer.status_code < 500, f"{request}: {answer.status_code} {answer.text}"
        for secret in (THEIRS, STREET, SENSOR, theirs):
            assert secret not in answer.text, f"{request}: {answer.text}"
        inside = answer.status_code == 200 and "<nav" in answer.text
        assert not inside or (who == "family" and tokens["mine"] in case.formatted_path), request

    came = await asyncio.to_thread(send_all, description, place.url, list(keys), dress, look, EXAMPLES)
    assert came["family"][200] > 20, came
    assert came["family"][303] > 8, came
