"""Errors of the journal.

JournalError            the journal cannot be opened or used; the text says what to do
|- JournalLocked        another daemon uses it
|- JournalUnavailable   this write is not on disk (disk full, I/O error, too much waiting)
"""

from __future__ import annotations

from kanhu.errors import DataError


class JournalError(DataError):
    """The journal cannot be opened or used; one sentence says what to do."""


class JournalLocked(JournalError):
    """Another daemon uses this journal."""


class JournalUnavailable(JournalError):
    """What was to be written is not on disk; the sender must send it again."""
