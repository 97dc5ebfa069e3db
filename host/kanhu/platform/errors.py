"""What can go wrong for a platform; str() is one line that says what to do.

PlatformError
├── AddressError    the broker's address
├── StateError      the state file
├── ConnectError    the broker cannot be reached, or refuses
├── CommandRefused  the daemon answered no; str() is its sentence
└── NoAnswer        no daemon answered in time; the command may still be carried out
"""

from __future__ import annotations

from kanhu.errors import KanhuError


class PlatformError(KanhuError):
    """Base of all of them."""


class AddressError(PlatformError):
    """The broker's address is not mqtt://[user:password@]host[:port] or mqtts://..."""


class StateError(PlatformError):
    """The state file cannot be opened, read or written."""


class ConnectError(PlatformError):
    """The broker cannot be reached, or refuses."""


class CommandRefused(PlatformError):
    """The daemon refused the command."""


class NoAnswer(PlatformError):
    """No daemon answered in time."""
