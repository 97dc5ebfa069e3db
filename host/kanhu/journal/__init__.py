"""The journal: events on disk before anything is acknowledged, and a ledger that balances."""

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
