"""uvicorn in the daemon's loop, with limits: a slow or hostile client holds a socket for seconds, no more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from kanhu.errors import ConfigError

log = structlog.get_logger("kanhu.web")

MAX_CONNECTIONS = 600
REQUEST_LIMIT_S = 10.0  # from the first byte, or the connection, to the end of a request's headers
STALLED_LIMIT_S = 20.0  # for a client that takes nothing of what is sent to it
KEEP_ALIVE_S = 20
MAX_HEADERS = 16_384  # bytes
BACKLOG = 512
SEND_BUFFER = 262_144  # bytes that the kernel holds for a client that does not read; it would take megabytes
STOP_LIMIT_S = 1.0  # for answers under way when the daemon ends


class LimitedProtocol(H11Protocol):
    """One connection; it ends when its request is not whole in time, or when nobody reads the answer."""

    since = 0.0  # when it came, in the loop's seconds
    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection; beyond MAX_CONNECTIONS the oldest one that asks nothing makes room."""
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS:
            idle: list[Any] = [one for one in self.connections if _waits(one) and one is not self]
            min(idle, key=lambda one: float(one.since), default=self).transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Over."""
        super().connection_lost(exc)
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        self._late = self._stalled = None

    def pause_writing(self) -> None:
        """The client does not take what is sent."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_LIMIT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes it again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self) -> None:
        if not _waits(self):
            if self._late is not None:
                self._late.cancel()
                self._late = None
        elif self._late is None:
            self._late = self.loop.call_later(REQUEST_LIMIT_S, self._too_late)

    def _too_late(self) -> None:
        self._late = None
        if _waits(self):
            self.transport.abort()


def _waits(connection: Any) -> bool:
    """Whether no request of this connection is being answered."""
    return connection.cycle is None or bool(connection.cycle.response_complete)


class _Said(logging.Handler):
    """What uvicorn has to say, in the daemon's own log."""

    def emit(self, record: logging.LogRecord) -> None:
        log.error("web server", said=record.getMessage(), exc_info=record.exc_info)


def _log_here() -> None:
    for name in ("uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.handlers = [_Said()]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the daemon's."""
        yield


class Server:
    """One listening socket; bound when made, so that a taken port is known before anything runs."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, proxies: tuple[str, ...] = (),
        tls: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        """proxies: addresses whose X-Forwarded headers are believed. tls: files of certificate and key."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # With the protocol named: only then does asyncio turn Nagle's algorithm off (40 ms for each answer).
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)  # and what it accepts
            self._socket.bind((host, port))
            self._socket.listen(BACKLOG)
        except (OSError, UnicodeError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"web.port {host}:{port}: {reason}; choose another port") from None
        try:
            config = uvicorn.Config(
                app, loop="none", http=LimitedProtocol, ws="none", lifespan="off", log_config=None,
                access_log=False, server_header=False, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=int(STOP_LIMIT_S), h11_max_incomplete_event_size=MAX_HEADERS,
                proxy_headers=bool(proxies), forwarded_allow_ips=list(proxies),
                ssl_certfile=tls[0] if tls else None, ssl_keyfile=tls[1] if tls else None,
            )  # fmt: skip
            config.load()
            _log_here()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            raise ConfigError(f"web.tls: {error}; give the files of certificate and key in PEM") from None
        self._server = _Server(config)

    @property
    def port(self) -> int:
        """Where it listens, also when 0 was asked for."""
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until cancelled; then answers under way get STOP_LIMIT_S."""
        serving = asyncio.ensure_future(self._server.serve([self._socket]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self._server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([serving], timeout=2 * STOP_LIMIT_S)
            raise
        finally:
            serving.cancel()
            self._socket.close()
