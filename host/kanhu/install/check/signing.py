"""From findings to a record that somebody signs for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kanhu.install import signing
from kanhu.registry import Registry, checks
from kanhu.registry.operators import Operators
from kanhu_protocol.checks import MAX_TEXT

from .findings import Finding, verdict
from .record import FORMAT, RecordError, Signed, signed


class Installer(NamedTuple):
    """Who signs: id is the pseudonym that the event carries."""

    id: str
    name: str


def installer(registry: Registry, by: str, name: str) -> Installer:
    """Who that is; without a name, what the desk calls an operator of this id, or the id. RecordError."""
    by = by.strip()
    if not 0 < len(by.encode()) <= MAX_TEXT or not by.isprintable():
        raise RecordError(f"--by {by!r}: must be an installer's id of 1 to {MAX_TEXT} bytes")
    known = {one.id: one.name for one in Operators(registry).list()}
    return Installer(by, checks.plain_text(name, "name") or known.get(by, by))


def record_of(registry: Registry, hub: str, findings: Sequence[Finding], at_ms: int) -> dict[str, Any]:
    """What is to be signed, still without by whom."""
    home = registry.home(registry.hub(hub).home)
    devices = [
        {
            "index": one.index, "role": one.role, "room": one.room, "name": one.name,
            "link": "ble" if one.radio else "wire",
        }
        for one in registry.devices_of(hub)
    ]  # fmt: skip
    return {
        "format": FORMAT, "hub": hub, "home": home.id, "region": home.region or "", "at_ms": at_ms,
        "verdict": verdict(findings), "devices": devices,
        "findings": [one.as_dict() for one in findings],
    }  # fmt: skip


def sign(record: dict[str, Any], who: Installer, key: Path) -> Signed:
    """The record, signed with the private key of a PEM file; SigningError, RecordError."""
    private = signing.load_private(key)
    by = {"id": who.id, "name": who.name, "key": signing.public_bytes(private).hex()}
    return signed({**record, "by": by}, private)


def now_ms() -> int:
    """Host UTC in ms."""
    return time.time_ns() // 1_000_000
