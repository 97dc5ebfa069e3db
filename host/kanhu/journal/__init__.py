"""The journal: events on disk before anything is acknowledged, and a ledger that balances."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import Batch
    from .books import Ledger
    from .errors import JournalError, JournalLocked, JournalUnavailable
    from .event import Event, Identity, Outcome
    from .journal import Journal

__all__ = [
    "Batch",
    "Event",
    "Identity",
    "Journal",
    "JournalError",
    "JournalLocked",
    "JournalUnavailable",
    "Ledger",
    "Outcome",
]
_PARTS = {
    "batch": ("Batch",),
    "books": ("Ledger",),
    "errors": ("JournalError", "JournalLocked", "JournalUnavailable"),
    "event": ("Event", "Identity", "Outcome"),
    "journal": ("Journal",),
}


def __getattr__(name: str) -> Any:
    # Loaded when asked for: whoever wants a value such as Event does without the writer's threads and logs.
    for part, names in _PARTS.items():
        if name in names:
            return getattr(import_module(f".{part}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
