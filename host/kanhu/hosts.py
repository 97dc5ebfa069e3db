"""Host names as a person writes them into a setting or an address."""

from __future__ import annotations


def host_name(host: str) -> str:
    """The host unchanged; ValueError when no resolver could take it (IDNA, RFC 5891, or an address)."""
    try:
        fits = host.isprintable() and " " not in host and bool(host.encode("idna"))
    except UnicodeError:
        fits = False
    if not fits:
        raise ValueError(f"{host!r} is no host name: write one such as broker.example or 192.0.2.1")
    return host
