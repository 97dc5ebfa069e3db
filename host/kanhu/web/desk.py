"""The call desk: pages, API and live state over the daemon's own alarms, in the daemon's loop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from kanhu.care import Alarms
from kanhu.ending import end
from kanhu.journal import Journal
from kanhu.registry import Registry
from kanhu.registry.notes import Notes
from kanhu.registry.operators import Operators

from . import acting, api
from .audit import Audit
from .board import Board
from .guard import Guard, TooLarge, TooSlow, refused
from .handling import Handler, answering
from .pages import Pages
from .person import Persons
from .regions import read_names
from .rows import Rows
from .server import Server
from .sessions import Sessions, kept_secret
from .sources import Sources
from .stream import Streams
from .throttle import Throttle

if TYPE_CHECKING:
    from pathlib import Path

    from kanhu.config import Desk as Settings

    from .oidc import Provider

log = structlog.get_logger("kanhu.desk")

ACTS = ("accept", "dispatch", "on_scene", "hand_over", "close")
ACTORS = ("operator", "supervisor")


class Desk:
    """Everything `[desk]` enables. Its port is taken when it is made, in the loop that it will run in."""

    def __init__(
        self, settings: Settings, data_dir: Path, journal: Journal, registry: Registry, alarms: Alarms,
        sources: Sources,
    ) -> None:  # fmt: skip
        """ConfigError, DataError."""
        self.journal, self.registry, self.alarms, self.sources = journal, registry, alarms, sources
        self.operators = Operators(registry)
        self.notes = Notes(registry)
        self.rows = Rows(registry, self.operators, sources, read_names(settings.region_names), journal.clock)
        self.audit = Audit(journal)
        self.throttle = Throttle(time.monotonic)
        secret = kept_secret(data_dir / "desk.secret")
        secure = settings.tls is not None or (settings.public_url or "").startswith("https:")
        self.sessions = Sessions(self.operators, secret, settings.session_hours, secure)
        self.board = Board(journal, registry, alarms, self.rows, ZoneInfo(settings.time_zone), sources)
        self.streams = Streams(self.board, self.sessions, journal.clock)
        self.persons = Persons(registry, self.notes, alarms, sources, journal.clock)
        self.oidc: Provider | None = None
        if settings.oidc is not None:
            from .oidc import Provider  # heavy, and not everybody's

            self.oidc = Provider(settings.oidc, settings.public_url or "", secret)
        self.pages = Pages(self)
        alarms.on_change.append(self.board.note)
        tls = settings.tls
        self.server = Server(
            Guard(self._app(), settings.public_url), settings.host, settings.port, settings.proxies,
            (str(tls.cert_file), str(tls.key_file)) if tls else None,
        )  # fmt: skip

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    async def run(self) -> None:
        """Serve until cancelled; open streams end at once then."""
        serving = asyncio.ensure_future(self.server.run())
        keeping = asyncio.ensure_future(self.board.run())
        log.info("desk", port=self.port)
        try:
            done, _ = await asyncio.wait([serving, keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.streams.close()
            await end([serving, keeping])

    def _app(self) -> Starlette:
        pages = self.pages

        def ask(path: str, handler: Handler, *roles: str) -> Route:
            return Route(f"/desk/api/{path}", answering(self, handler, *roles), methods=["GET"])

        def tell(path: str, handler: Handler, *roles: str) -> Route:
            return Route(f"/desk/api/{path}", answering(self, handler, *roles), methods=["POST"])

        register_url_convertor("number", _Number())
        alarm = "alarms/{hub}/{boot:number}-{seq:number}"
        return Starlette(
            routes=[
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
                Mount("/desk/static", _Static(packages=[("kanhu.web", "static")])),
            ],
            exception_handlers={TooLarge: _too_large, TooSlow: _too_slow, 404: _not_found, 500: _broken},
        )


class _Number(Convertor[int]):
    """One that Python reads, and SQLite holds, whoever asks."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        """Of a path."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Into a path."""
        return str(value)


class _Static(StaticFiles):
    """Scripts and styles of this version; a browser asks each time whether they have changed."""

    def file_response(self, *args: object, **more: object) -> Response:
        """With the header that says so."""
        response = super().file_response(*args, **more)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


async def _too_large(request: Request, error: Exception) -> Response:
    return refused(413, "too_large")


async def _too_slow(request: Request, error: Exception) -> Response:
    return refused(408, "too_slow")


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "no such page", "code": "unknown"}, 404)


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the desk has failed at this; the log says why", "code": "failed"}, 500)
