"""The demo's web pages: where the call desk and the families' page are, and who is let in there."""

from __future__ import annotations

import secrets
import socket
from typing import Any

from kanhu import label
from kanhu.config import Web
from kanhu.registry import Registry
from kanhu.registry.families import Families
from kanhu.registry.operators import Operators

HOST = "127.0.0.1"
OPERATOR = "demo"


class DemoPages:
    """A desk with one supervisor, whose password is this run's, and the page of one home's family."""

    def __init__(self) -> None:
        self.web = Web(host=HOST, port=_port())
        self.password = "-".join(secrets.token_hex(2) for _ in range(3))
        self.family = ""  # where a browser finds the families' page, once open() was called

    @property
    def desk(self) -> str:
        """Where a browser finds the desk."""
        return f"http://{HOST}:{self.web.port}/desk"

    @property
    def settings(self) -> dict[str, Any]:
        """The sections of the daemon's configuration."""
        return {"web": {"port": self.web.port}, "desk": {"enabled": True}, "family": {"enabled": True}}

    def open(self, registry: Registry, hub: str) -> None:
        """Register the supervisor and the label of that hub; RegistryError."""
        Operators(registry).add(OPERATOR, role="supervisor", password=self.password)
        self.family = label.link(self.web, Families(registry).label(hub), lab=True)


def _port() -> int:
    """The pages' own port, or a free one where another program has it."""
    for wanted in (Web().port, 0):
        try:
            with socket.create_server((HOST, wanted)) as free:
                return int(free.getsockname()[1])
        except OSError:
            continue
    raise OSError("no free port for the pages")
