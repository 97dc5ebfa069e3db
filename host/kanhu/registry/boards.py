"""Boards as they are flashed: which hub each one is, by the chip's own MAC, and how far it has come.

A key is put among the hub's keys only when its board has been seen to run it: whatever ends the work before
(Ctrl-C, a dead battery) leaves a board that nobody believes, and the next key for it."""

from __future__ import annotations

import json
import secrets
import sqlite3
from typing import Literal, NamedTuple

from kanhu.aead import KEY_BYTES
from kanhu.journal.identity import new_id
from kanhu.journal.past import past

from . import checks
from .checks import RegistryError
from .registry import BOOT_STEP, MAX_FLOOR, MAX_GENERATION, PASSWORD_BYTES, Registry

State = Literal["allocated", "written", "trusted", "aborted"]
COMMISSION_BYTES = 16  # what the code on a hub's label stands for
_COLUMNS = "mac, hub, chip, board, serial, state, generation, bundle, version, changed_ms"


class BoardRow(NamedTuple):
    """A board: mac 12 hexadecimal digits, serial the USB serial number or "", bundle its digest (hex)."""

    mac: str
    hub: str
    chip: str
    board: str
    serial: str
    state: State
    generation: int
    bundle: str
    version: str
    changed_ms: int


class Allocation(NamedTuple):
    """What is to be written to a board; key and commission are secrets of 16 bytes."""

    mac: str
    hub: str
    generation: int
    key: bytes
    commission: bytes
    floor: int  # boot counter to begin above
    new: bool  # the hub was made for this board now


class Boards:
    """The boards of an open registry; in its thread. None is held in memory."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> list[BoardRow]:
        """All boards, by MAC; RegistryError."""
        return self._rows("ORDER BY mac")

    def of(self, mac: str) -> BoardRow | None:
        """The board with this MAC, None for one that was never flashed; RegistryError."""
        return next(iter(self._rows("WHERE mac=?", mac)), None)

    def of_hub(self, hub: str) -> BoardRow | None:
        """The board that is this hub; RegistryError."""
        return next(iter(self._rows("WHERE hub=?", hub)), None)

    def allocate(
        self, mac: str, chip: str, board: str, serial: str, bundle: str, version: str, home: str | None = None
    ) -> Allocation:
        """A hub for the board, the same as before unless that was revoked, and a new key; on disk when this
        returns, all but the key. home: of a new hub; None: a home of its own, not yet assigned."""
        registry = self._registry
        if home is not None:
            registry.home(home)
        row, now, key = self.of(mac), checks.now_ms(), secrets.token_bytes(KEY_BYTES)
        new = row is None or registry.hub(row.hub).revoked_ms is not None
        hub = new_id() if new or row is None else row.hub
        heard = past(registry.path.parent, hub)
        used = 0 if new or row is None else max(row.generation, registry.hub(hub).generation)
        generation = max(used, heard.generation) + 1
        with registry._change() as db:
            if new:
                if home is None:
                    home = new_id()
                    db.execute(
                        "INSERT INTO homes VALUES (?,NULL,'Asia/Shanghai','','',?)", (home, json.dumps([]))
                    )
                db.execute(
                    "INSERT INTO hubs (id, home, created_ms, mqtt_password) VALUES (?,?,?,?)",
                    (hub, home, now, secrets.token_urlsafe(PASSWORD_BYTES)),
                )
            next_floor, commission = db.execute(
                "SELECT next_floor, commission FROM hubs WHERE id=?", (hub,)
            ).fetchone()
            floor = max(next_floor, heard.boot + BOOT_STEP if heard.boot else 0)
            if generation > MAX_GENERATION or floor > MAX_FLOOR:
                raise RegistryError(f"hub {hub}: has used up its keys or boots; revoke it, and flash again")
            commission = commission or secrets.token_bytes(COMMISSION_BYTES)
            db.execute(
                "UPDATE hubs SET next_floor=?, commission=? WHERE id=?", (floor + BOOT_STEP, commission, hub)
            )
            db.execute("DELETE FROM boards WHERE mac=?", (mac,))
            db.execute(
                f"INSERT INTO boards ({_COLUMNS}) VALUES (?,?,?,?,?,'allocated',?,?,?,?)",  # noqa: S608
                (mac, hub, chip, board, serial, generation, bundle, version, now),
            )
        return Allocation(mac, hub, generation, key, commission, floor, new)

    def written(self, mac: str) -> None:
        """Its flash holds what was allocated, byte by byte."""
        self._state(mac, "written")

    def trusted(self, given: Allocation) -> None:
        """The board was seen to run the key: from now on what it seals is believed. One change."""
        registry = self._registry
        with registry._change() as db:
            changed = db.execute(
                "UPDATE boards SET state='trusted', changed_ms=? WHERE mac=? AND hub=? AND generation=?",
                (checks.now_ms(), given.mac, given.hub, given.generation),
            ).rowcount
            if not changed:
                raise RegistryError(f"board {given.mac}: somebody else has flashed it meanwhile; do it again")
            db.execute(
                "INSERT INTO keys VALUES (?,?,?,?)",
                (given.hub, given.generation, given.key, checks.now_ms()),
            )

    def aborted(self, mac: str) -> None:
        """What was allocated is not to be: nothing under that key is believed. The hub stays the board's."""
        self._state(mac, "aborted")

    def _state(self, mac: str, state: State) -> None:
        with self._registry._change(load=False) as db:
            db.execute(
                "UPDATE boards SET state=?, changed_ms=? WHERE mac=? AND state IN ('allocated', 'written')",
                (state, checks.now_ms(), mac),
            )

    def _rows(self, where: str, *values: str) -> list[BoardRow]:
        try:
            rows = self._registry._db.execute(
                f"SELECT {_COLUMNS} FROM boards {where}",  # noqa: S608  # fixed texts
                values,
            ).fetchall()
        except sqlite3.Error as error:
            raise RegistryError(f"{self._registry.path}: {error}") from None
        return [BoardRow(*row) for row in rows]
