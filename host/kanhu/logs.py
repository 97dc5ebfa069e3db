"""Structured logs on standard error or in a file: for people (console) or machines (JSON lines)."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TextIO, cast

import structlog

from kanhu.errors import ConfigError


class LogFile:
    """A file that is opened anew when logrotate, or anybody, has moved it away; never raises on writing."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = WatchedFileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigError(
                f"log.file {path}: {error.strerror}; make its folder, which the daemon's user may write to"
            ) from None
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Append; what a full disk does not take is dropped, because calls matter more than words on them."""
        with self._lock, contextlib.suppress(OSError):
            self._file.reopenIfNeeded()
            if self._file.stream is not None:
                self._file.stream.write(text)
                self._file.stream.flush()

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def configure(level: str, form: str, file: Path | None = None) -> None:
    """Set up structlog once per process; level debug..error, form "console" or "json"; ConfigError."""
    out = cast(TextIO, LogFile(file)) if file is not None else sys.stderr
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=file is None and sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
