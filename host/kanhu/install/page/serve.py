"""Serves an install page to browsers on this machine."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kanhu.install.page import PageError

HOST = "127.0.0.1"  # a browser lets a page at a board only over https or from this machine
# ESP Web Tools writes style elements of its own into the page.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        self.send_header("content-security-policy", POLICY)
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("referrer-policy", "no-referrer")
        self.send_header("cache-control", "no-store")  # the next bundle may be another
        super().end_headers()

    def send_head(self) -> Any:
        """A file of the page, asked for under a name of this machine: no other site reads it through one."""
        name = (self.headers.get("host") or "").rpartition(":")[0]
        if name not in ("127.0.0.1", "localhost"):
            self.send_error(421)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        """No lists of folders."""
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Nothing is said of each request."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Serves folder on loopback until its shutdown(); port 0 takes a free one; PageError."""
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise PageError(f"port {port}: {error.strerror if isinstance(error, OSError) else error}") from None
