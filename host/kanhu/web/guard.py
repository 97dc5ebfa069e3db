"""What stands before every request: size, time and origin of what comes in, headers on what goes out."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 65_536  # bytes; the longest thing a desk sends is a reason
BODY_LIMIT_S = 10.0
SAFE = ("GET", "HEAD", "OPTIONS")

# No script, style, image or connection but our own; nobody may frame us.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; media-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With "no-referrer" a browser would say "Origin: null" of our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
STRICT_TRANSPORT = "max-age=31536000"


class TooLarge(Exception):
    """A body above MAX_BODY."""


class TooSlow(Exception):
    """A body that took longer than BODY_LIMIT_S."""


class Guard:
    """Wraps the application. public_url: how browsers name this desk; None: by the Host they ask for."""

    def __init__(self, app: ASGIApp, public_url: str | None) -> None:
        self._app = app
        self._origin = origin(public_url) if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI 3)."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(scope, message)
            await send(message)

        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        begun = asyncio.get_running_loop().time()
        taken = 0

        async def take() -> Message:
            nonlocal taken
            if taken < 0:  # the whole body is here: what comes now is the end of the connection
                return await receive()
            left = begun + BODY_LIMIT_S - asyncio.get_running_loop().time()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, left))
            except TimeoutError:
                raise TooSlow from None
            taken += len(message.get("body", b""))
            if taken > MAX_BODY:
                raise TooLarge
            if not message.get("more_body", False):
                taken = -1
            return message

        await self._app(scope, take, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return refused(413, "too_large")
        if scope["method"] in SAFE:
            return None
        said = headers.get("origin")
        # A browser always names the origin of what changes something; programs need not.
        if said is not None and said != (self._origin or f"{scope['scheme']}://{headers.get('host', '')}"):
            return refused(403, "origin")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return refused(403, "origin")
        return None

    def _dress(self, scope: Scope, message: Message) -> None:
        headers = MutableHeaders(scope=message)
        headers["content-security-policy"] = CONTENT_POLICY
        for name, value in HEADERS.items():
            headers[name] = value
        if scope["scheme"] == "https":
            headers["strict-transport-security"] = STRICT_TRANSPORT
        if "cache-control" not in headers:
            headers["cache-control"] = "no-store"


def origin(url: str) -> str:
    """Scheme, host and port of a URL as browsers write them in Origin."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


_TEXT = {
    "too_large": "the request is too large",
    "too_slow": "the request took too long",
    "origin": "asked for by another site",
}


def refused(status: int, code: str) -> JSONResponse:
    """An answer after which the connection ends."""
    return JSONResponse({"error": _TEXT[code], "code": code}, status, headers={"connection": "close"})
