"""The families' page: how a home is, its sensors, readings and modes, for whoever has claimed its hub."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import structlog
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from kanhu.care import Alarms
from kanhu.care.rules.values import Words
from kanhu.journal import Journal, JournalError
from kanhu.registry import Registry, RegistryError
from kanhu.registry.families import Families
from kanhu.web.audit import Audit
from kanhu.web.guard import TooLarge, TooSlow
from kanhu.web.site import static
from kanhu.web.sources import Sources
from kanhu.web.words import language_of as accepted

from . import words
from .access import Access
from .contents import pages
from .live import Live, Parts
from .visit import Handler, NotHere, Page, Problem, Visit

if TYPE_CHECKING:
    from pathlib import Path

    from kanhu.config import Web
    from kanhu.pairing import Pairing

log = structlog.get_logger("kanhu.family")

BY = "family"  # who did it, in histories and in the audit
MAX_FIELDS = 50  # of a form
LANGUAGE_S = 365 * 86_400
LOOK_EVERY_S = 60.0  # for what can be forgotten
LANGUAGE_COOKIE = "kanhu_language"


class Family:
    """Everything `[family]` enables; kanhu.web.site serves it."""

    def __init__(
        self, web: Web, data_dir: Path, journal: Journal, registry: Registry, alarms: Alarms,
        sources: Sources, pairing: Pairing, audit: Audit,
    ) -> None:  # fmt: skip
        """DataError."""
        self.data_dir, self.journal, self.registry, self.alarms = data_dir, journal, registry, alarms
        self.sources, self.pairing, self.audit = sources, pairing, audit
        self.families = Families(registry)
        self.access = Access(self, web.is_https)
        self._live = Live()
        self._templates = Environment(
            loader=PackageLoader("kanhu.web"), autoescape=select_autoescape(), auto_reload=False,
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip

    async def run(self) -> None:
        """Until cancelled; then what is looked at ends."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                self.access.claims.look()
        finally:
            self._live.close()

    def routes(self) -> list[BaseRoute]:
        """Everything under /f."""
        found: list[BaseRoute] = [Mount("/f/static", static())]
        for page in pages(self):
            methods = [method for method, handler in (("GET", page.get), ("POST", page.post)) if handler]
            found.append(Route(f"/f/{{token}}{page.path}", self._answering(page), methods=methods))
        return [*found, Route("/f/{rest:path}", self._unknown, methods=["GET", "POST"])]

    # For pages

    def render(
        self, visit: Visit, template: str, text: Mapping[str, Words], status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page; text goes over words.COMMON, as t, in the visitor's language."""
        return HTMLResponse(self.part(visit, template, text, **values), status)

    def part(self, visit: Visit, template: str, text: Mapping[str, Words], **values: Any) -> str:
        """A part of a page as HTML."""
        found = {"live": "", "here": "", **values}
        return self._templates.get_template(template).render(
            found, visit=visit, t=words.text(text, visit.language), lang=words.HTML_LANG[visit.language],
            other="en" if visit.language == "zh" else "zh",
        )  # fmt: skip

    def live(self, visit: Visit, parts: Parts) -> StreamingResponse:
        """Parts of a page that renew themselves, as long as the visitor may see them (live.py)."""

        def still() -> bool:
            now = self.access.visit(visit.request, visit.token)
            return now is not None and now.home.id == visit.home.id and now.let_in == visit.let_in

        return self._live.response(visit, parts, still)

    async def keep(self, visit: Visit, what: str, hub: str | None = None, detail: str | None = None) -> None:
        """A row in the audit, on disk when this returns; JournalUnavailable."""
        await self.audit.record(BY, what, hub or visit.hub.id, detail)

    # Requests

    def _answering(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            visit = self.access.visit(request, request.path_params["token"])
            if visit is None:
                return self._nothing(request)
            response = await self._answer(visit, page)
            asked = request.query_params.get("language")
            if asked in words.LANGUAGES:
                response.set_cookie(
                    LANGUAGE_COOKIE, asked, max_age=LANGUAGE_S, path=visit.path(), samesite="lax",
                    httponly=True, secure=self.access.secure,
                )  # fmt: skip
            self.access.dress(visit, response)
            return response

        return answer

    async def _answer(self, visit: Visit, page: Page) -> Response:
        try:
            if not (visit.let_in or page.is_open):
                if visit.request.method == "POST" or page.path.endswith("/live"):
                    return RedirectResponse(visit.path(), 303)
                return await self.access.gate(visit)
            if visit.request.method != "POST":
                if page.get is None:
                    raise NotHere
                return await page.get(visit)
            if page.post is None:
                raise NotHere
            visit.form = await _form(visit.request)
            if not self.access.fits(visit):
                raise Problem(words.COMMON["old_form"], 403)
            return await page.post(visit)
        except NotHere:
            return self.render(visit, "family/nothing.html", {}, 404)
        except Problem as problem:
            return self._problem(visit, problem.words, problem.status, problem.back)
        except (JournalError, RegistryError) as error:
            log.error("a family's page could not be kept", error=str(error))
            return self._problem(visit, words.COMMON["not_saved"], 503)
        except (TooLarge, TooSlow):
            raise  # the site's to answer, and no failure of ours
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except Exception:
            log.exception("a family's page has failed", path=page.path)
            return self._problem(visit, words.COMMON["broken"], 500)

    def _problem(self, visit: Visit, said: Words, status: int, back: tuple[object, ...] = ()) -> Response:
        return self.render(
            visit, "family/problem.html", {}, status, said=visit.say(said), back=visit.path(*back)
        )

    async def _unknown(self, request: Request) -> Response:
        return self._nothing(request)

    def _nothing(self, request: Request) -> Response:
        # The same for every link that leads nowhere, whatever the reason.
        language = language_of(request)
        page = self._templates.get_template("family/nothing.html")
        text = words.text({}, language)
        other = "en" if language == "zh" else "zh"
        html = page.render(visit=None, t=text, lang=words.HTML_LANG[language], other=other, live="", here="")
        return HTMLResponse(html, 404)


def language_of(request: Request) -> words.Language:
    """What a browser reads: as asked for, as kept, or as it says."""
    for asked in (request.query_params.get("language"), request.cookies.get(LANGUAGE_COOKIE)):
        for language in words.LANGUAGES:
            if asked == language:
                return language
    return accepted(request.headers.get("accept-language", ""), "zh")


async def _form(request: Request) -> dict[str, str]:
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        return {}


__all__ = ["BY", "Family", "Handler", "Page"]
