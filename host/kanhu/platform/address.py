"""Where the broker is: mqtt://[user:password@]host[:port], or mqtts:// for TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

from kanhu.hosts import host_name
from kanhu.platform.errors import AddressError

PORTS = {"mqtt": 1883, "mqtts": 8883}  # IANA


@dataclass(frozen=True, slots=True)
class Address:
    """A broker's address and credential; str() leaves the credential out."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """AddressError when url is not of the form above."""
        form = "write mqtt://[user:password@]host[:port], or mqtts:// for TLS"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise AddressError(f"the broker's address has a bad host or port: {form}") from None
        if parts.scheme not in PORTS:
            raise AddressError(f"the broker's address does not begin with mqtt:// or mqtts://: {form}")
        if not parts.hostname or port == 0:
            raise AddressError(f"the broker's address has no host, or port 0: {form}")
        try:
            host_name(parts.hostname)
        except ValueError:
            raise AddressError(f"the broker's address has a host that can be none: {form}") from None
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise AddressError(f"the broker's address has something after the port: {form}")
        if parts.password is not None and not parts.username:
            raise AddressError(f"the broker's address has a password without a user: {form}")
        return cls(
            parts.hostname,
            port or PORTS[parts.scheme],
            parts.scheme == "mqtts",
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password is not None else None,
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"
