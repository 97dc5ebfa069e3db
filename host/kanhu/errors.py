"""Errors a person reads. KanhuError: one line, what is wrong and what to do; the CLI prints it and exits 2.

KanhuError
├── ConfigError     the TOML file or an option
├── DataError       journal or registry on disk
└── LinkDown        a broker, port or peer that cannot be reached now
"""

from __future__ import annotations


class KanhuError(Exception):
    """Anything a person can put right; str() is one line that says how."""


class ConfigError(KanhuError):
    """The configuration is wrong; names the file, the key and what is expected."""


class DataError(KanhuError):
    """A file under data_dir cannot be used as it is."""


class LinkDown(KanhuError):
    """A link is down at this moment; the caller retries."""
