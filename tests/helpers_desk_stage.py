"""A stage for the desk's pages: the real templates and scripts over states that a test sets."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import uvicorn
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kanhu.web import words
from kanhu.web.guard import Guard

WEB = files("kanhu.web")


def now_ms() -> int:
    """The stage's clock."""
    return int(time.time() * 1000)


def alarm(name: str, age_s: float = 5, **more: Any) -> dict[str, Any]:
    """One alarm as the API has it."""
    return {
        "name": name, "kind": "call", "state": "open", "class": "p1", "level": 1, "region": "cn/42/01/06/03",
        "region_name": None, "home": "h7k2m9q4tw", "raised_ms": now_ms() - int(age_s * 1000),
        "age_s": int(age_s), "presses": 1, "delivered": True, "accepted_by": None,
        "accepted_by_name": None, "accepted_ms": None,
        "dispatched_ms": None, "on_scene_ms": None, "closed_ms": None, "closed_by": None, "reason": None,
        "rule": None, "explanation": None, "ask_until_ms": None, "incident": None, "mine": False, **more,
    }  # fmt: skip


PERSON = {
    "name": "王秀兰", "address": "湖北省武汉市武昌区中北路 12 号 3 栋 502",
    "phones": ["+86 27 8888 0000", "13800000000"],
    "note": {"text": "听力不好；钥匙在 501 李阿姨处", "by": "op2", "at_ms": now_ms() - 86_400_000},
    "sensors": [
        {"device": 1, "role": "call", "room": "卧室", "name": "床头按钮", "pressed": True},
        {"device": 2, "role": "motion", "room": "厨房", "name": ""},
    ],
    "last_movement": {"en": "kitchen, 3 min ago", "zh": "厨房，3 分钟前"},
    "condition": {
        "state": "attention",
        "reasons": [{"words": {"en": "an open call", "zh": "有未结呼叫"}, "since_ms": 0}],
    },
    "proof": {"en": "07:02, 0.8 s", "zh": "07:02，0.8 秒"},
    "history": [
        {"at_ms": now_ms() - 300_000, "what": "opened", "operator": None, "reason": None},
        {"at_ms": now_ms() - 240_000, "what": "escalated to 2", "operator": None, "reason": None},
        {"at_ms": now_ms() - 230_000, "what": "accepted", "operator": "op1", "reason": None},
    ],
}  # fmt: skip


MINE = {"accepted_by": "op1", "accepted_by_name": "Li Na", "mine": True}
OTHERS = {"accepted_by": "op2", "accepted_by_name": "Zhang Wei", "closed_by": "op2"}
P2 = {"class": "p2"}
WHY = {
    "en": "No movement since 21:40; usually up by 07:00; kitchen sensor heard 3 min ago.",
    "zh": "自 21:40 起无活动；平时 07:00 前起床；厨房传感器 3 分钟前有信号。",
}
CALL, SMOKE, RULE, ASKED, FALL, OTHER, OVER = (
    "aaaaaaaaaa/1-7", "bbbbbbbbbb/4-2", "cccccccccc/1790000000-12", "dddddddddd/2-9", "eeeeeeeeee/3-1",
    "ffffffffff/3-1", "gggggggggg/8-3",
)  # fmt: skip


STREET = {"en": "Zhongbei Road", "zh": "中北路街道"}
MANY = {"id": 4, "kind": "mains.lost", "region": "cn/42/01", "region_name": {"en": "Wuhan", "zh": "武汉市"}}


def members(count: int) -> list[dict[str, Any]]:
    """Of an incident; every fourth is not back."""
    return [
        {
            "id": 100 + n, "home": f"h{n:09}", "hub": f"b{n:09}", "region": "cn/42/01/06/05",
            "region_name": STREET, "device": 0, "kind": "mains.lost", "opened_ms": now_ms() - 120_000,
            "closed_ms": None if n % 4 == 0 else now_ms() - 30_000, "owner": None, "due_ms": now_ms(),
        }
        for n in range(count)
    ]  # fmt: skip


def all_sorts() -> list[dict[str, object]]:
    """One alarm of each sort, in the server's order."""
    return [
        alarm(CALL, 193, presses=3, level=2),
        alarm(SMOKE, 71, kind="smoke", region="cn/42/01/06/05", region_name=STREET, incident=MANY),
        alarm(RULE, 12, kind="inactivity", **P2, explanation=WHY, rule="inactivity/1"),
        alarm(FALL, 300, kind="fall", state="accepted", **MINE),
        alarm(OTHER, 900, state="on_scene", **OTHERS),
        alarm(ASKED, 40, kind="inactivity", state="pre_alarm", **P2, ask_until_ms=now_ms() + 400_000),
        alarm(OVER, 4000, state="closed", closed_ms=now_ms() - 60_000, reason="other: 水壶响", **OTHERS),
    ]


INCIDENT = {
    "id": 4, "kind": "mains.lost", "region": "cn/42/01", "opened_ms": now_ms() - 120_000, "closed_ms": None,
    "region_name": {"en": "Wuhan", "zh": "武汉市"}, "members": 19_873, "standing": 512,
}  # fmt: skip
NAMED = {  # not all of them
    2: ("Jiang'an", "江岸区"), 3: ("Jianghan", "江汉区"), 4: ("Qiaokou", "硚口区"),
    5: ("Hanyang", "汉阳区"), 6: ("Wuchang", "武昌区"), 7: ("Qingshan", "青山区"),
    11: ("Hongshan", "洪山区"), 12: ("Dongxihu", "东西湖区"), 13: ("Hannan", "汉南区"),
    14: ("Caidian", "蔡甸区"), 15: ("Jiangxia", "江夏区"), 16: ("Huangpi", "黄陂区"),
}  # fmt: skip
DISTRICTS = [
    {
        "region": f"cn/42/01/{n:02d}",
        "region_name": dict(zip(("en", "zh"), NAMED[n], strict=True)) if n in NAMED else None,
        "alarms": n % 3 + {6: 2, 9: 1}.get(n, 0),
        "unanswered": {6: 2, 9: 1}.get(n, 0), "oldest_s": {6: 193, 9: 12}.get(n),
        "well": 9, "attention": 1, "cannot_tell": n * 3 % 17,
    }
    for n in range(1, 17)
]  # fmt: skip


class Stage:
    """`with Stage() as stage`: stage.url serves; stage.show(...) sets what everybody sees."""

    def __init__(self) -> None:
        self.language: words.Language = "en"
        self.me = {
            "id": "op1",
            "name": "Li Na",
            "role": "operator",
            "region": "cn/42/01",
            "place": "cn/42/01",
            "language": "en",
        }
        self.state: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, dict[str, Any]]] = {}  # action -> (status, body)
        self.person: tuple[int, dict[str, Any]] = (200, PERSON)
        self.members: list[dict[str, Any]] = []  # of every incident
        self.page = 200  # of them in one answer
        self.asked: list[tuple[str, str, dict[str, Any]]] = []  # (alarm, action, body)
        self.silent = False  # the stream stays open and says nothing
        self.signed_in = True
        self.ping_every_s = 10.0
        self._version = 0
        self._templates = Environment(
            loader=FileSystemLoader(str(WEB / "templates")), autoescape=select_autoescape()
        )
        self.port = 0
        self._begin()
        self.url = f"http://127.0.0.1:{self.port}"
        self.show()

    def show(self, *alarms: dict[str, Any], **more: Any) -> None:
        """What the desk shows from now on."""
        self.state = {
            "alarms": list(alarms), "alarms_more": 0, "incidents": [], "faults": {"open": 3, "overdue": 1},
            "homes": {"well": 118, "attention": 4, "cannot_tell": 9},
            "figures": {"today": 23, "answered_60": 95.6, "answered_180": 100.0, "median_s": 17.4},
            "districts": [], **more,
        }  # fmt: skip
        self._version += 1

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def cut(self) -> None:
        """End every connection and listen no more."""
        self._server.should_exit = True
        self._thread.join(10)

    def back(self) -> None:
        """Listen again, on the same port."""
        self._begin()

    def _begin(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            Guard(self._app(), None), log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._server.serve([listening])), daemon=True
        )
        self._thread.start()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/desk", self._page("desk.html")),
                Route("/desk/wall", self._page("wall.html")),
                Route("/desk/login", self._page("login.html")),
                Route("/desk/api/state", self._state),
                Route("/desk/api/events", self._events),
                Route("/desk/api/language", self._language, methods=["POST"]),
                Route("/desk/api/operators", self._operators),
                Route("/desk/api/incidents/{id}", self._incident),
                Route("/desk/api/alarms/{hub}/{number}/note", self._note, methods=["POST"]),
                Route("/desk/api/homes/{home}/mode", self._mode, methods=["POST"]),
                Route("/desk/api/alarms/{hub}/{number}/person", self._person),
                Route("/desk/api/alarms/{hub}/{number}/{action}", self._act, methods=["POST"]),
                Mount("/desk/static", StaticFiles(directory=str(WEB / "static"))),
            ]
        )

    def _page(self, template: str) -> Any:
        async def answer(request: Request) -> Response:
            language = request.query_params.get("language", self.language)
            variables = words.page("zh" if language == "zh" else "en")
            variables |= {
                "me": self.me,
                "next": "/desk",
                "error": request.query_params.get("error", ""),
                "oidc": True,
            }
            return HTMLResponse(self._templates.get_template(template).render(variables))

        return answer

    def _whole(self) -> dict[str, Any]:
        return {"now_ms": now_ms(), "me": self.me, **self.state}

    async def _state(self, request: Request) -> Response:
        return JSONResponse(self._whole(), 200 if self.signed_in else 401)

    async def _events(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            said, at = -1, time.monotonic()
            server = self._server
            while not server.should_exit:
                if said != self._version and not self.silent:
                    said, at = self._version, time.monotonic()
                    yield f"event: state\ndata: {json.dumps(self._whole())}\n\n"
                elif time.monotonic() - at > self.ping_every_s and not self.silent:
                    at = time.monotonic()
                    yield f"event: ping\ndata: {json.dumps({'now_ms': now_ms()})}\n\n"
                await asyncio.sleep(0.02)

        if not self.signed_in:
            return JSONResponse({"error": "sign in", "code": "signed_out"}, 401)
        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _language(self, request: Request) -> Response:
        self.language = (await request.json())["language"]
        return JSONResponse({})

    async def _operators(self, request: Request) -> Response:
        return JSONResponse(
            [
                {"id": "op1", "name": "Li Na", "role": "operator"},
                {"id": "op2", "name": "Zhang Wei", "role": "operator"},
            ]
        )

    async def _incident(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append((request.path_params["id"], "members", asked))
        if status := self.answers.get("members"):
            return JSONResponse(status[1], status[0])
        found = [
            one
            for one in self.members
            if one["id"] > int(asked["after"]) and not (asked["standing"] == "1" and one["closed_ms"])
        ]
        page = found[: self.page]
        after = page[-1]["id"] if len(found) > len(page) else None
        return JSONResponse({"id": 4, "members": page, "next": after})

    async def _note(self, request: Request) -> Response:
        text = (await request.json())["text"]
        name = f"{request.path_params['hub']}/{request.path_params['number']}"
        self.asked.append((name, "note", {"text": text}))
        return JSONResponse({"note": {"text": text, "by": "op1", "at_ms": now_ms()} if text else None})

    async def _mode(self, request: Request) -> Response:
        self.asked.append((request.path_params["home"], "mode", await request.json()))
        return JSONResponse({})

    async def _person(self, request: Request) -> Response:
        name = f"{request.path_params['hub']}/{request.path_params['number']}"
        self.asked.append((name, "person", {}))
        return JSONResponse(self.person[1], self.person[0])

    async def _act(self, request: Request) -> Response:
        name = f"{request.path_params['hub']}/{request.path_params['number']}"
        action = request.path_params["action"]
        self.asked.append((name, action, await request.json()))
        status, body = self.answers.get(action, (200, {}))
        if status == 200:
            found = next(one for one in self.state["alarms"] if one["name"] == name)
            body = {"alarm": found | {"state": "accepted", "accepted_by": self.me["id"], "mine": True} | body}
        return JSONResponse(body, status)
