"""A call desk over a journal and a registry of its own, on a real port, without a daemon around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
from starlette.responses import Response

from helpers_intake import Clock
from kanhu import config
from kanhu.care import Alarm, Alarms
from kanhu.care.condition import Condition, Reason
from kanhu.care.incidents import Incident
from kanhu.care.modes import Modes
from kanhu.care.proofs import Proof
from kanhu.care.rules.past import Device, Past
from kanhu.care.rules.values import Words
from kanhu.ending import end
from kanhu.journal import Journal
from kanhu.journal.commands import Commands
from kanhu.registry import Registry
from kanhu.registry.operators import Operator
from kanhu.web.audit import Audit
from kanhu.web.desk import Desk
from kanhu.web.site import Site
from kanhu.web.sources import Sources
from kanhu_protocol import kinds as k

PASSWORD = "a long enough one"
WORDS = Words("help is wanted", "需要帮助")


class Place:
    """A running desk: homes, operators and alarms to put into it, clients to look at it."""

    def __init__(self, data_dir: Path, clock: Clock, **settings: Any) -> None:
        self.clock = clock
        self.journal = Journal.open(data_dir, clock)
        self.registry = Registry.open(data_dir)
        self.commands = Commands(self.journal)
        self.alarms = Alarms(self.journal, self.commands)
        self.modes = Modes(self.journal)
        self.conditions: dict[str, Condition] = {}
        self.pasts: dict[str, Past] = {}
        self.proofs: dict[str, Proof] = {}
        self.incidents: list[Incident] = []
        web = {"port": 0, **{key: settings.pop(key) for key in [*settings] if key in config.Web.model_fields}}
        self.settings = config.Config.model_validate(
            {"data_dir": data_dir, "web": web, "desk": {"enabled": True, **settings}}
        )
        unknown = Condition("cannot_tell", (Reason(Words("nothing is known", "情况不明")),), 0)
        self.desk = Desk(
            self.settings.desk, self.settings.web, data_dir, self.journal, self.registry, self.alarms,
            Sources(
                lambda: dict(self.conditions), lambda home: self.conditions.get(home, unknown),
                self.pasts.get, self.proofs.get, self.modes.set, lambda: self.incidents,
            ),
            Audit(self.journal),
        )  # fmt: skip
        self.site = Site(self.settings.web, [self.desk])
        self.port = self.site.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.clients: list[httpx2.AsyncClient] = []

    def add_home(self, region: str | None, name: str = "", **more: Any) -> tuple[str, str]:
        """(home, hub) of a new household."""
        home = self.registry.add_home(region, name=name, **more)
        hub, _ = self.registry.add_hub(home)
        return home, hub

    def add_past(self, hub: str, moved_ms: int, room: str = "kitchen") -> None:
        """Somebody moved there."""
        past = self.pasts[hub] = Past(ZoneInfo("Asia/Shanghai"), [Device(2, "motion", room)])
        past.moved(2, moved_ms)

    async def call(self, hub: str, kind: int = k.CALL) -> Alarm:
        """An alarm that waits."""
        name = await self.alarms.raise_(hub, kind, None, WORDS, 1)
        alarm = self.alarms.get(name)
        assert alarm is not None
        return alarm

    def client(self, **more: Any) -> httpx2.AsyncClient:
        """A browser that is not logged in."""
        made = httpx2.AsyncClient(base_url=self.url, timeout=20, verify=False, **more)  # plain HTTP
        self.clients.append(made)
        return made

    def cookie(self, operator: Operator) -> str:
        """Of a new log-in, without the password's cost."""
        response = Response()
        self.desk.sessions.begin(response, operator)
        return SimpleCookie(response.headers["set-cookie"])[self.desk.sessions.cookie].value

    async def operator(
        self, name: str, region: str = "", role: str = "operator", log_in: bool = True
    ) -> httpx2.AsyncClient:
        """A new operator's browser."""
        self.desk.operators.add(name, name.title(), role, region, "en", PASSWORD)
        client = self.client()
        if log_in:
            assert (await log_in_as(client, name)).status_code == 303
        return client


async def log_in_as(client: httpx2.AsyncClient, name: str, password: str = PASSWORD) -> httpx2.Response:
    """As the form does it."""
    return await client.post("/desk/login", data={"operator": name, "password": password})


async def state_of(client: httpx2.AsyncClient) -> dict[str, Any]:
    """What /desk/api/state says."""
    answer = await client.get("/desk/api/state")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def act(client: httpx2.AsyncClient, alarm: Alarm, what: str, **body: Any) -> httpx2.Response:
    """An operator does something."""
    return await client.post(f"/desk/api/alarms/{alarm}/{what}", json=body)


async def events_of(answer: httpx2.Response) -> AsyncIterator[tuple[str, Any]]:
    """(event, data) of a stream."""
    event = ""
    async for line in answer.aiter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield event, json.loads(line.removeprefix("data: "))


@asynccontextmanager
async def running(data_dir: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Place]:
    """A desk that serves."""
    place = Place(data_dir, clock or Clock(), **settings)
    serving = asyncio.ensure_future(place.site.run())
    try:
        yield place
        if serving.done():
            serving.result()
    finally:
        for client in place.clients:
            await client.aclose()
        await end([serving])
        await place.journal.close()
        place.registry.close()
