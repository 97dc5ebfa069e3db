"""The daemon's web server: the call desk, the families' page, or both, behind one guard and on one port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import structlog
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.staticfiles import StaticFiles

from kanhu.ending import end

from .guard import Guard, TooLarge, TooSlow, refused
from .server import Server

if TYPE_CHECKING:
    from kanhu.config import Web

log = structlog.get_logger("kanhu.web")


class Part(Protocol):
    """What can be served."""

    def routes(self) -> list[BaseRoute]:
        """All of it."""

    async def run(self) -> None:
        """What it does beside; until cancelled."""


class Site:
    """Everything `[web]` says. Its port is taken when it is made, in the loop that it will run in."""

    def __init__(self, settings: Web, parts: Sequence[Part]) -> None:
        """ConfigError."""
        self._parts = parts
        register_url_convertor("number", _Number())
        app = Starlette(
            routes=[route for part in parts for route in part.routes()],
            exception_handlers={TooLarge: _too_large, TooSlow: _too_slow, 404: _not_found, 500: _broken},
        )
        tls = settings.tls
        self._server = Server(
            Guard(app, settings.public_url), settings.host, settings.port, settings.proxies,
            (str(tls.cert_file), str(tls.key_file)) if tls else None,
        )  # fmt: skip

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def run(self) -> None:
        """Serve until cancelled; open streams end at once then."""
        serving = asyncio.ensure_future(self._server.run())
        keeping = [asyncio.ensure_future(part.run()) for part in self._parts]
        log.info("pages", port=self.port)
        try:
            done, _ = await asyncio.wait([serving, *keeping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(keeping)  # their streams are what the server would wait for
            await end([serving])


def static() -> StaticFiles:
    """Scripts and styles of this version."""
    return _Static(packages=[("kanhu.web", "static")])


class _Static(StaticFiles):
    """A browser asks each time whether they have changed."""

    def file_response(self, *args: object, **more: object) -> Response:
        """With the header that says so."""
        response = super().file_response(*args, **more)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


class _Number(Convertor[int]):
    """One that Python reads, and SQLite holds, whoever asks."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        """Of a path."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Into a path."""
        return str(value)


async def _too_large(request: Request, error: Exception) -> Response:
    return refused(413, "too_large")


async def _too_slow(request: Request, error: Exception) -> Response:
    return refused(408, "too_slow")


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "no such page", "code": "unknown"}, 404)


async def _broken(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "this server has failed at this; its log says why", "code": "failed"}, 500)
