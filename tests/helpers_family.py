"""The families' page over a journal, registry, watch and pairing, on a real port; only the hub is played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from helpers_intake import Clock, HubVoice
from kanhu import config
from kanhu.care import Alarms
from kanhu.care.modes import Modes
from kanhu.care.proofs import Proofs
from kanhu.care.rules import RULES
from kanhu.care.watch import Watch
from kanhu.counters import Counters
from kanhu.downlink import Command
from kanhu.ending import end
from kanhu.intake import Intake
from kanhu.journal import Journal
from kanhu.journal.commands import Commands
from kanhu.pairing import Pairing
from kanhu.registry import Registry
from kanhu.web.audit import Audit
from kanhu.web.family import Family
from kanhu.web.site import Site
from kanhu.web.sources import Sources
from kanhu_protocol import kinds as k

PIN = "246813"
SETTINGS = {"buttons": [[1, 4, None]], "pirs": [[2, 5]], "places": {"1": ["hall", ""], "2": ["kitchen", ""]}}


class Down:
    """What goes to hubs."""

    def __init__(self) -> None:
        self.said: list[Command] = []

    def command(self, hub_id: str, command: Command) -> None:
        self.said.append(command)

    def confirm(self, hub_id: str, number: int) -> Command | None:
        return None


class Place:
    """A running page of one home with one hub; phones look at it, voices of hubs speak to it."""

    def __init__(self, data_dir: Path, clock: Clock, **web: Any) -> None:
        self.clock, self.data_dir = clock, data_dir
        self.journal = Journal.open(data_dir, clock)
        self.registry = Registry.open(data_dir)
        self.commands = Commands(self.journal)
        self.alarms = Alarms(self.journal, self.commands)
        self.modes = Modes(self.journal)
        self.proofs = Proofs(self.journal, lambda hub: True)
        self.intake = Intake(self.journal, self.registry, self.alarms, self.commands, Counters())
        self.intake.notes += [self.proofs.note, self.modes.note]
        self.watch = Watch(
            self.journal, self.registry, self.alarms, self.modes, 900.0, 600_000, RULES, self.proofs.proof
        )
        self.journal.on_stored.append(lambda events: [self.watch.take(event) for event in events])
        self.down = Down()
        self.pairing = Pairing(self.registry, self.journal, self.commands, self.down)
        self.journal.on_stored.append(self.pairing.stored)
        self.journal.on_delivered.append(self.pairing.delivered)
        self.voices: dict[str, HubVoice] = {}
        self.home = self.registry.add_home("cn/42/01", name="王秀兰", address="3-2-1")
        self.hub = self.add_hub(self.home)
        self.settings = config.Config.model_validate(
            {"data_dir": data_dir, "web": {"port": 0, **web}, "family": {"enabled": True}}
        )
        sources = Sources(
            self.watch.conditions, self.watch.condition, self.watch.past, self.proofs.proof, self.modes.set,
            list,
        )  # fmt: skip
        self.family = Family(
            self.settings.web, data_dir, self.journal, self.registry, self.alarms, sources, self.pairing,
            Audit(self.journal),
        )  # fmt: skip
        self.families = self.family.families
        self.site = Site(self.settings.web, [self.family])
        self.url = f"http://127.0.0.1:{self.site.port}"
        self.token = self.families.label(self.hub)
        self.clients: list[httpx2.AsyncClient] = []
        self.client = self.phone()

    def add_hub(self, home: str, settings: dict[str, Any] | None = None) -> str:
        """A further hub, which has begun to speak."""
        hub, key = self.registry.add_hub(home)
        self.registry.set_settings(hub, settings or SETTINGS)
        self.voices[hub] = HubVoice(hub, key)
        return hub

    async def say(self, kind: int, fields: dict[int, Any] | None = None, hub: str = "") -> None:
        """A hub's next event, on disk when this returns."""
        hub = hub or self.hub
        await self.intake.submit(hub, self.voices[hub].say(kind, fields), "mqtt")

    async def start_hub(self, hub: str = "") -> None:
        """A hub's first event."""
        hub = hub or self.hub
        await self.intake.submit(hub, self.voices[hub].start(self.voices[hub].boot), "mqtt")

    async def confirm(self, hub: str = "") -> None:
        """The hub has done what it was told last."""
        await self.say(k.COMMAND_DONE, {k.COMMAND: self.down.said[-1].number}, hub)

    async def has_table(self, hub: str = "") -> None:
        """The hub holds its newest device table."""
        hub = hub or self.hub
        version, _ = self.registry.device_table(hub)
        self.pairing.table_reported(hub, version)

    async def deliver(self) -> None:
        """The platform acknowledges everything that is stored."""
        await self.journal.mark_delivered(self.journal.undelivered(0, 1000, (1, 2, 3, 4, 5)))

    def phone(self, **more: Any) -> httpx2.AsyncClient:
        """A browser that has never been here."""
        made = httpx2.AsyncClient(base_url=self.url, timeout=20, verify=False, **more)  # plain HTTP
        self.clients.append(made)
        return made

    def path(self, *parts: object, token: str = "") -> str:
        """Below the label's link."""
        return "/".join(("/f", token or self.token, *map(str, parts)))

    async def let_in(self, client: httpx2.AsyncClient | None = None, pin: str = PIN) -> httpx2.AsyncClient:
        """A phone that has shown the PIN; the home is claimed if it was not."""
        client = client or self.client
        if self.families.of(self.home) is None:
            self.families.claim(self.home, pin)
        answer = await self.post(client, self.path("enter"), {"pin": pin}, form_at=self.path())
        assert answer.status_code == 303, answer.text
        return client

    async def post(
        self, client: httpx2.AsyncClient, path: str, fields: dict[str, str] | None = None, form_at: str = ""
    ) -> httpx2.Response:
        """Send a form as it stands on a page (form_at, or path), with its key."""
        page = await client.get(form_at or self.path())
        return await client.post(path, data={"key": key_of(page.text), **(fields or {})})


def key_of(html: str) -> str:
    """The key of the first form of a page."""
    mark = 'name="key" value="'
    assert mark in html, html
    return html.partition(mark)[2].partition('"')[0]


@asynccontextmanager
async def running(data_dir: Path, clock: Clock | None = None, **web: Any) -> AsyncIterator[Place]:
    """A page that is served."""
    place = Place(data_dir, clock or Clock(), **web)
    serving = [asyncio.ensure_future(part.run()) for part in (place.site, place.pairing, place.watch)]
    try:
        yield place
        for task in serving:
            if task.done():
                task.result()
    finally:
        for client in place.clients:
            await client.aclose()
        await end(serving)
        await place.journal.close()
        place.registry.close()
