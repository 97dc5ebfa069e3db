"""The desk's pages and the way in: a page holds no alarm and no person, these come over the API."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import structlog
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kanhu.journal import JournalUnavailable
from kanhu.registry.operators import LANGUAGES, Operator, verify

from . import words

if TYPE_CHECKING:
    from .desk import Desk

log = structlog.get_logger("kanhu.desk")

DESK, WALL, LOGIN = "/desk", "/desk/wall", "/desk/login"
ERRORS = ("wrong_password", "too_many_tries", "signed_out", "session_over", "not_allowed", "provider_failed")
HASHING = 2  # passwords looked at at a time, in threads
WAITING = 20  # log-ins that may wait for that


class Pages:
    """HTML and log-in of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._templates = Environment(
            loader=PackageLoader("kanhu.web"), autoescape=select_autoescape(), auto_reload=False
        )
        self._hashing = asyncio.Semaphore(HASHING)
        self._waiting = 0

    # Pages

    async def desk(self, request: Request) -> Response:
        """The call desk; a viewer is shown the wall."""
        operator = self._desk.sessions.who(request)
        if operator is None:
            return self._to_login(DESK)
        if operator.role == "viewer":
            return RedirectResponse(WALL, 303)
        return self._page("desk.html", operator)

    async def wall(self, request: Request) -> Response:
        """Numbers for a room."""
        operator = self._desk.sessions.who(request)
        return self._to_login(WALL) if operator is None else self._page("wall.html", operator)

    async def login(self, request: Request) -> Response:
        """Who are you?"""
        asked = request.query_params
        return self._form(request, asked.get("error", ""), asked.get("next", ""))

    # The way in and out

    async def log_in(self, request: Request) -> Response:
        """An operator's name and password, from the form."""
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        account, password = form.get("operator", "").strip()[:64], form.get("password", "")
        address = request.client.host if request.client else ""
        throttle = self._desk.throttle
        if throttle.wait_s(account, address) > 0 or self._waiting >= WAITING:
            return self._form(request, "too_many_tries", form.get("next", ""), 429)
        self._waiting += 1
        try:
            async with self._hashing:
                if throttle.wait_s(account, address) > 0:  # others came before
                    return self._form(request, "too_many_tries", form.get("next", ""), 429)
                kept = self._desk.operators.hash_of(account)
                fits = await asyncio.to_thread(verify, password, kept)
                if not fits:
                    throttle.failed(account, address)
        finally:
            self._waiting -= 1
        operator = self._desk.operators.get(account)
        if not fits or operator is None:
            # What was typed may be a password: only a name that is known is kept.
            await self.keep(account if operator else "?", "login_failed", address)
            return self._form(request, "wrong_password", form.get("next", ""), 401)
        throttle.succeeded(account, address)
        return await self.let_in(operator, address, RedirectResponse(_path(form.get("next", "")), 303))

    async def let_in(self, operator: Operator, address: str, response: Response) -> Response:
        """Log an operator in with this response."""
        await self.keep(operator.id, "login", address)
        self._desk.sessions.begin(response, operator)
        return response

    async def log_out(self, request: Request) -> Response:
        """The cookie is taken back."""
        operator = self._desk.sessions.who(request)
        if operator is not None:
            await self.keep(operator.id, "logout", None)
        response = RedirectResponse(f"{LOGIN}?error=signed_out", 303)
        self._desk.sessions.end(response)
        return response

    async def keep(self, operator: str, what: str, detail: str | None) -> None:
        """A row in the audit; a full disk must not keep operators from the alarms."""
        try:
            await self._desk.audit.record(operator, what, None, detail)
        except JournalUnavailable as error:
            log.error("a log-in could not be kept in the audit", operator=operator, error=str(error))

    # Inside

    def _to_login(self, path: str) -> Response:
        return RedirectResponse(f"{LOGIN}?{urlencode({'next': path})}", 303)

    def _form(self, request: Request, error: str, path: str, status: int = 200) -> Response:
        asked = request.query_params.get("language", "")
        language: Any = (
            asked if asked in LANGUAGES else words.language_of(request.headers.get("accept-language", ""))
        )
        return self._render(
            "login.html", status, **words.page(language), next=_path(path),
            error=error if error in ERRORS else "", oidc=self._desk.oidc is not None,
        )  # fmt: skip

    def _page(self, name: str, operator: Operator) -> Response:
        called = self._desk.rows.region_name(operator.region)
        place = called[operator.language] if called else operator.region
        me = {"id": operator.id, "name": operator.name, "role": operator.role, "place": place}
        return self._render(name, 200, **words.page(operator.language), me=me)

    def _render(self, name: str, status: int, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(values), status)


def _path(text: str) -> str:
    """Where to go after the log-in: one of our own pages, never somewhere else."""
    return text if text in (DESK, WALL) else DESK
