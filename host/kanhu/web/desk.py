"""The call desk: pages, API and live state over the daemon's own alarms, in the daemon's loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute, Mount, Route

from kanhu.care import Alarms
from kanhu.journal import Journal
from kanhu.registry import Registry
from kanhu.registry.notes import Notes
from kanhu.registry.operators import Operators

from . import acting, api
from .audit import Audit
from .board import Board
from .handling import Handler, answering
from .pages import Pages
from .person import Persons
from .regions import read_names
from .rows import Rows
from .sessions import Sessions, kept_secret
from .site import static
from .sources import Sources
from .stream import Streams
from .throttle import Throttle

if TYPE_CHECKING:
    from pathlib import Path

    from kanhu.config import Desk as Settings
    from kanhu.config import Web

    from .oidc import Provider

ACTS = ("accept", "dispatch", "on_scene", "hand_over", "close")
ACTORS = ("operator", "supervisor")


class Desk:
    """Everything `[desk]` enables; kanhu.web.site serves it."""

    def __init__(
        self, settings: Settings, web: Web, data_dir: Path, journal: Journal, registry: Registry,
        alarms: Alarms, sources: Sources, audit: Audit,
    ) -> None:  # fmt: skip
        """ConfigError, DataError."""
        self.journal, self.registry, self.alarms, self.sources = journal, registry, alarms, sources
        self.operators = Operators(registry)
        self.notes = Notes(registry)
        self.rows = Rows(registry, self.operators, sources, read_names(settings.region_names), journal.clock)
        self.audit = audit
        self.throttle = Throttle(time.monotonic)
        secret = kept_secret(data_dir / "desk.secret")
        self.sessions = Sessions(self.operators, secret, settings.session_hours, web.is_https)
        self.board = Board(journal, registry, alarms, self.rows, ZoneInfo(settings.time_zone), sources)
        self.streams = Streams(self.board, self.sessions, journal.clock)
        self.persons = Persons(registry, self.notes, alarms, sources, journal.clock)
        self.oidc: Provider | None = None
        if settings.oidc is not None:
            from .oidc import Provider  # heavy, and not everybody's

            self.oidc = Provider(settings.oidc, web.public_url or "", secret)
        self.pages = Pages(self)
        alarms.on_change.append(self.board.note)

    async def run(self) -> None:
        """Keep the board until cancelled; open streams end at once then."""
        try:
            await self.board.run()
        finally:
            self.streams.close()

    def routes(self) -> list[BaseRoute]:
        """Everything under /desk."""
        pages = self.pages

        def ask(path: str, handler: Handler, *roles: str) -> Route:
            return Route(f"/desk/api/{path}", answering(self, handler, *roles), methods=["GET"])

        def tell(path: str, handler: Handler, *roles: str) -> Route:
            return Route(f"/desk/api/{path}", answering(self, handler, *roles), methods=["POST"])

        alarm = "alarms/{hub}/{boot:number}-{seq:number}"
        return [
            Route("/desk", pages.desk),
            Route("/desk/wall", pages.wall),
            Route("/desk/login", pages.login, methods=["GET"]),
            Route("/desk/login", pages.log_in, methods=["POST"]),
            Route("/desk/logout", pages.log_out, methods=["POST"]),
            *(self.oidc.routes(self) if self.oidc else ()),
            ask("state", api.state),
            ask("events", api.events),
            ask("operators", api.operators, *ACTORS),
            ask("homes", api.homes, *ACTORS),
            ask("incidents/{id:number}", api.incident, *ACTORS),
            ask("audit", api.audit, "supervisor"),
            ask(f"{alarm}/person", api.person, *ACTORS),
            tell(f"{alarm}/note", acting.note, *ACTORS),
            *(tell(f"{alarm}/{what}", acting.act(what), *ACTORS) for what in ACTS),
            tell(f"{alarm}/correct", acting.act("correct"), "supervisor"),
            tell("homes/{home}/mode", acting.mode, *ACTORS),
            tell("language", acting.language),
            Mount("/desk/static", static()),
        ]
