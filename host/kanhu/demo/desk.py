"""The demo's call desk: where it is, and who may log in there."""

from __future__ import annotations

import secrets
import socket
from typing import Any

from kanhu.config import Web
from kanhu.registry import Registry
from kanhu.registry.operators import Operators

HOST = "127.0.0.1"
OPERATOR = "demo"


class DemoDesk:
    """A desk with one supervisor, whose password is this run's."""

    def __init__(self) -> None:
        self.port = _port()
        self.password = "-".join(secrets.token_hex(2) for _ in range(3))

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{HOST}:{self.port}/desk"

    @property
    def settings(self) -> dict[str, Any]:
        """The sections of the daemon's configuration."""
        return {"web": {"port": self.port}, "desk": {"enabled": True}}

    def let_in(self, registry: Registry) -> None:
        """Register the supervisor; RegistryError."""
        Operators(registry).add(OPERATOR, role="supervisor", password=self.password)


def _port() -> int:
    """The desk's own port, or a free one where another program has it."""
    for wanted in (Web().port, 0):
        try:
            with socket.create_server((HOST, wanted)) as free:
                return int(free.getsockname()[1])
        except OSError:
            continue
    raise OSError("no free port for the desk")
