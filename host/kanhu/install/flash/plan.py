"""What boards are to become, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanhu.install.bundle import Bundle
from kanhu.install.flash.judge import Expected

RETURN_S = 60.0  # how long a board that went away is waited for


@dataclass(frozen=True)
class Network:
    """What hubs are told of their way to the broker, where it is known at the bench already."""

    wifi: tuple[str, str]
    broker: tuple[str, int]
    ca: bytes = b""


@dataclass(frozen=True)
class Plan:
    """What all boards of a session are to become."""

    bundles: dict[str, tuple[Bundle, Expected]]  # by chip
    data_dir: Path
    home: str | None = None
    network: Network | None = None
    settings: dict[str, Any] = field(default_factory=dict)  # of new hubs
    erase_data: bool = False
    allow_older: bool = False
    dry_run: bool = False
    passed: frozenset[str] = frozenset()  # MACs that the session which this continues has done
    return_s: float = RETURN_S
    mac: str = ""  # of the only board that may be written; "": any


@dataclass
class Result:
    """What became of a board; state: passed, unchanged, refused, failed, aborted, planned or missing."""

    port: str
    serial: str = ""
    mac: str = ""
    chip: str = ""
    flash_size: int = 0
    hub: str = ""
    generation: int = 0
    board: str = ""
    version: str = ""
    state: str = ""
    sentence: str = ""
    baud: int = 0
    attempts: int = 0
    seconds: float = 0.0
    regions: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        return self.state in ("passed", "unchanged", "planned")
