"""Counts of what came in and what was refused, for metrics and for `kanhu status`."""

from __future__ import annotations

from collections import Counter

# Why a message or event is refused (contracts, section 8).
REASONS = ("malformed", "unknown_hub", "unknown_key", "suite", "forged", "identity")


class Counters:
    """Since the daemon's start."""

    def __init__(self) -> None:
        self.refused: Counter[tuple[str, str]] = Counter()  # (link, reason)
        self.stored: Counter[tuple[str, int]] = Counter()  # (link, class)
        self.known: Counter[str] = Counter()  # link: said again, answered again
        self.unreadable: Counter[str] = Counter()  # link: authentic, yet not an event
        self.not_saved = 0  # events the journal could not take; their hubs say them again
        self.claims_ignored = 0  # events.lost and boot events that speak of the impossible

    def refuse(self, link: str, reason: str, count: int = 1) -> None:
        """Count a refusal; reason is one of REASONS."""
        self.refused[link, reason] += count
