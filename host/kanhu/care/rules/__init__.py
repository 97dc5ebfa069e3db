"""Rules as data: pure functions over what is known of a home."""

from __future__ import annotations

from typing import Any

from . import blind_spots, door_open, inactivity, missed_visit, no_return, overstay, rhythm, vitals
from .values import Rule

RULES: dict[str, Rule[Any]] = {
    rule.RULE.name: rule.RULE
    for rule in (inactivity, overstay, no_return, door_open, missed_visit, vitals, rhythm, blind_spots)
}
