"""Rollouts as rows of the journal: read back at a start, and written whole with each change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from kanhu.errors import DataError
from kanhu.journal import Batch

from .values import Rollout, Settings, Unit

_KEEP = "INSERT OR REPLACE INTO rollouts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
_KEEP_UNIT = "INSERT OR REPLACE INTO rollout_hubs VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_UNITS = "SELECT * FROM rollout_hubs WHERE rollout=? ORDER BY rank"

Rows = Callable[[str, Sequence[Any]], list[Any]]  # a query's


def keep(batch: Batch, rollout: Rollout) -> None:
    """Into the batch: the rollout as it is."""
    settings = rollout.settings
    batch.run(
        _KEEP, rollout.id, rollout.digest, rollout.version, rollout.number, rollout.size,
        settings.canary, settings.soak_ms, settings.at_once, settings.pause_percent, settings.pause_min,
        rollout.state, rollout.why, rollout.started_ms, rollout.started_by,
        rollout.passed_ms, rollout.ended_ms, rollout.base_failed, rollout.base_ended,
    )  # fmt: skip


def keep_unit(batch: Batch, rollout: int, unit: Unit) -> None:
    """Into the batch: one hub of a rollout as it is."""
    batch.run(
        _KEEP_UNIT, rollout, unit.hub, unit.rank, unit.state, unit.changed_ms, unit.why, unit.canary,
        unit.command, unit.taken, unit.received, unit.asks,
    )  # fmt: skip


def rollouts(rows: Rows) -> list[Rollout]:
    """All that are kept, the newest first."""
    return [_rollout(row) for row in rows("SELECT * FROM rollouts ORDER BY id DESC", ())]


def units(rows: Rows, rollout: int) -> list[Unit]:
    """The hubs of one, in the order of their turns."""
    return [_unit(row) for row in rows(_UNITS, (rollout,))]


def _rollout(row: Sequence[Any]) -> Rollout:
    number, digest, version, release, size, *settings = row[:10]
    return Rollout(number, digest, version, release, size, Settings(*settings), *row[10:])


def _unit(row: Sequence[Any]) -> Unit:
    _, hub, rank, state, changed_ms, why, canary, command, taken, received, asks = row
    return Unit(hub, rank, state, changed_ms, why, bool(canary), command, bool(taken), received, asks)


def read(journal: Path, rollout: int | None = None) -> tuple[list[Rollout], list[Unit]]:
    """From disk, beside a daemon that runs: all rollouts, and the hubs of one (default: the newest)."""
    try:
        with closing(sqlite3.connect(f"{journal.resolve().as_uri()}?mode=ro", uri=True, timeout=10)) as db:
            db.execute("BEGIN")  # both of one moment

            def rows(sql: str, values: Sequence[Any]) -> list[Any]:
                return db.execute(sql, values).fetchall()

            found = rollouts(rows)
            if rollout is None and found:
                rollout = found[0].id
            return found, [] if rollout is None else units(rows, rollout)
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise DataError(f"{journal} is of an older kanhu: start `kanhu run` once") from None
        raise DataError(f"{journal}: {error}") from None
    except sqlite3.Error as error:
        raise DataError(f"{journal}: {error}") from None
