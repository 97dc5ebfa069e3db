"""Log-in at an OpenID provider (OpenID Connect Core 1.0): authorization code with PKCE (RFC 7636)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from kanhu.errors import ConfigError, KanhuError
from kanhu.journal.identity import new_id
from kanhu.registry.operators import ROLES, Operator, Operators, Role

if TYPE_CHECKING:
    from kanhu.config import Oidc

    from .desk import Desk

log = structlog.get_logger("kanhu.desk")

START = "/desk/login/oidc"
CALLBACK = f"{START}/callback"
COOKIE = "kanhu_oidc"  # state, nonce and PKCE verifier of one log-in under way
UNDER_WAY_S = 600
EVERYWHERE = "*"  # in the claim: an empty one is a provider's mistake, not a right to everything
ANSWER_LIMIT_S = 10.0
# What may be wrong with a provider or what it says; KanhuError: the registry could not take it.
FAILURES = (OAuthError, JoseError, httpx2.HTTPError, KanhuError, ValueError, KeyError, RuntimeError)


class NotAllowed(KanhuError):
    """The provider knows this person, and its claims give it no place at the desk."""


class Provider:
    """One provider."""

    def __init__(self, settings: Oidc, public_url: str, secret: str) -> None:
        self._settings = settings
        self._redirect = public_url.rstrip("/") + CALLBACK
        self._secret, self._secure = secret, public_url.startswith("https:")
        discovery = settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        kwargs: dict[str, Any] = {
            "scope": " ".join(settings.scopes), "code_challenge_method": "S256", "timeout": ANSWER_LIMIT_S,
            # Once: to read all certificates for each log-in that anybody begins keeps the loop for 50 ms.
            "verify": _certificates(settings.ca_file),
        }  # fmt: skip
        self._client = OAuth().register(
            "desk", client_id=settings.client_id, client_secret=settings.client_secret(),
            server_metadata_url=discovery, client_kwargs=kwargs,
        )  # fmt: skip

    def routes(self, desk: Desk) -> list[Route]:
        """Where a log-in begins and where the provider sends the browser back to."""

        async def start(request: Request) -> Response:
            return await self._start(request)

        async def callback(request: Request) -> Response:
            return await self._callback(desk, request)

        # Lax, for the browser comes back from another site; it holds nothing but this one log-in.
        under_way = Middleware(
            SessionMiddleware, secret_key=self._secret, session_cookie=COOKIE, max_age=UNDER_WAY_S,
            path=START, same_site="lax", https_only=self._secure,
        )  # fmt: skip
        return [
            Route(START, start, middleware=[under_way]),
            Route(CALLBACK, callback, middleware=[under_way]),
        ]

    async def _start(self, request: Request) -> Response:
        try:
            await self._check_issuer()
            request.session["next"] = request.query_params.get("next", "")
            answer: Response = await self._client.authorize_redirect(request, self._redirect)
        except FAILURES as error:
            return self._failed(request, error)
        return answer

    async def _callback(self, desk: Desk, request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            token = await self._client.authorize_access_token(request)
            claims = dict(token["userinfo"])
            operator = self.operator(desk.operators, claims)
        except NotAllowed as error:
            log.warning("an OpenID log-in was refused", why=str(error))
            await desk.pages.keep("?", "login_failed", "oidc")
            return _back("not_allowed")
        except FAILURES as error:
            return self._failed(request, error)
        path = "/desk/wall" if request.session.get("next") == "/desk/wall" else "/desk"
        request.session.clear()
        # Not a redirect: the browser comes from another site, and would not send the new cookie with it.
        page = f'<!doctype html><meta http-equiv="refresh" content="0;url={path}"><a href="{path}">{path}</a>'
        return await desk.pages.let_in(operator, address, HTMLResponse(page))

    async def _check_issuer(self) -> None:
        found = await self._client.load_server_metadata()
        if found.get("issuer", "").rstrip("/") != self._settings.issuer.rstrip("/"):
            raise ValueError(
                f"the provider calls itself {found.get('issuer')!r}, not {self._settings.issuer!r}"
            )

    def _failed(self, request: Request, error: Exception) -> Response:
        log.error("OpenID log-in failed", error=str(error) or type(error).__name__)
        request.session.clear()
        return _back("provider_failed")

    def operator(self, operators: Operators, claims: dict[str, Any]) -> Operator:
        """Whom the claims speak of, made or brought up to date; NotAllowed."""
        settings = self._settings
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise NotAllowed("the claims name no subject")
        role = self._role(claims.get(settings.role_claim))
        region = claims.get(settings.region_claim)
        if role is None:
            raise NotAllowed(f"claim {settings.role_claim!r} is none of {', '.join(ROLES)}")
        if not isinstance(region, str) or not region:
            raise NotAllowed(f"claim {settings.region_claim!r} is no region; {EVERYWHERE!r} is everywhere")
        region = "" if region == EVERYWHERE else region
        name = claims.get(settings.name_claim)
        name = name if isinstance(name, str) and name.isprintable() else ""
        found = operators.of_subject(subject)
        if found is None:
            return operators.add(new_id(), name[:200], role, region, subject=subject)
        if found.disabled:
            raise NotAllowed(f"operator {found.id} is disabled here")
        return operators.change(found.id, name[:200] or None, role, region)

    def _role(self, value: Any) -> Role | None:
        """The highest role that a claim gives: a text or a list, in the provider's names or ours."""
        given = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
        known = {self._settings.roles.get(one, one) for one in given}
        return next((role for role in ("supervisor", "operator", "viewer") if role in known), None)


def _certificates(ca_file: Path | None) -> ssl.SSLContext:
    """Which certificates a provider may have; ConfigError."""
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # an SSLError too
        raise ConfigError(f"desk.oidc.ca_file {ca_file}: {error}; give the certificates in PEM") from None


def _back(error: str) -> Response:
    return RedirectResponse(f"/desk/login?{urlencode({'error': error})}", 303)
