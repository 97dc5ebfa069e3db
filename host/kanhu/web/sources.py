"""What the desk asks of the rest of the daemon about homes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kanhu.care.condition import Condition
from kanhu.care.incidents import Incident
from kanhu.care.proofs import Proof
from kanhu.care.rules.past import Past


@dataclass(frozen=True)
class Sources:
    """Homes by their pseudonym, hubs by hub_id."""

    conditions: Callable[[], Mapping[str, Condition]]  # of all homes
    condition: Callable[[str], Condition]
    past: Callable[[str], Past | None]
    proof: Callable[[str], Proof | None]
    set_mode: Callable[[str, int, int | None, str], Awaitable[Any]]  # hub, mode, until (UTC ms), by
    incidents: Callable[[], Sequence[Incident]]  # those that are not over, the newest first
