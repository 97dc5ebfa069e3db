"""Families' way to their page: the link on a hub's label, a home's PIN, and who a shared monitor measured."""

from __future__ import annotations

import re
import secrets
import sqlite3
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import bcrypt

from . import checks, operators
from .checks import RegistryError
from .registry import Registry

TOKEN_BYTES = 16  # random, of a label's link: 22 characters of base64url
MIN_PIN, MAX_PIN = 6, 12  # digits
TRIES = 5  # wrong PINs, then nobody is let in for a while, and after each further one for longer
LOCKS_S = (60, 300, 900, 3600)
_NAMES = re.compile("[、,，]")


class PinError(RegistryError):
    """A PIN that cannot be one; why: digits (not 6 to 12 of them) or simple (the first that is guessed)."""

    def __init__(self, why: str, text: str) -> None:
        super().__init__(text)
        self.why = why


class Locked(RegistryError):
    """No PIN is looked at before until_ms (host UTC)."""

    def __init__(self, home: str, until_ms: int) -> None:
        super().__init__(f"home {home}: too many wrong PINs; wait")
        self.until_ms = until_ms


@dataclass(frozen=True, slots=True)
class FamilyRecord:
    """A family that has claimed its home; times are host UTC ms."""

    home: str
    claimed_ms: int
    epoch: int  # visits of another epoch are over
    pin: str  # a hash
    wrong: int  # PINs since the last right one
    locked_until_ms: int  # 0: never was


class Said(NamedTuple):
    """Who a reading was of, as somebody said at at_ms (host UTC)."""

    boot: int
    seq: int
    wearer: str
    by: str
    at_ms: int


class Families:
    """The families of an open registry; in its thread. Changes of other processes show after refresh()."""

    def __init__(self, registry: Registry, clock: Callable[[], int] = checks.now_ms) -> None:
        self._registry = registry
        self.clock = clock
        self._version = (-1, -1)
        self._labels: dict[str, str] = {}  # by hub
        self._hubs: dict[str, str] = {}  # by token
        self._homes: dict[str, list[str]] = {}
        self._all: dict[str, FamilyRecord] = {}

    # The label

    def label(self, hub: str) -> str:
        """The token of a hub's link, made when there is none. RegistryError: no such hub, or revoked."""
        return self.labelled(hub) or self._make(hub, again=False)

    def labelled(self, hub: str) -> str | None:
        """The token of a hub's link; None when none was made, or the hub is unknown or revoked."""
        self._load()
        return self._labels.get(hub) if self._registry.knows(hub) else None

    def labels_made(self) -> dict[str, int]:
        """When the links of hubs were made (host UTC ms)."""
        return dict(self._rows("SELECT hub, made_ms FROM labels"))

    def hub_of(self, token: str) -> str | None:
        """Whose link this is; None: nobody's, or of a link or hub that was revoked."""
        self._load()
        hub = self._hubs.get(token)
        return hub if hub is not None and self._registry.knows(hub) else None

    def hubs_of(self, home: str) -> list[str]:
        """A home's hubs that are not revoked, by id."""
        self._load()
        return self._homes.get(home, [])

    def renew(self, hub: str) -> str:
        """Another link for a hub; the old one is dead, and the visits made by it are over."""
        return self._make(hub, again=True)

    # The PIN

    def of(self, home: str) -> FamilyRecord | None:
        """The family of a home; None: it is not claimed."""
        self._load()
        return self._all.get(home)

    def claim(self, home: str, pin: str) -> FamilyRecord:
        """Set a home's first PIN; it takes a while. PinError; RegistryError when the home is claimed."""
        return self.claim_hashed(home, hashed(pin))

    def claim_hashed(self, home: str, kept: str) -> FamilyRecord:
        """The same with what hashed() made of the PIN."""
        self._registry.home(home)
        record = FamilyRecord(home, self.clock(), _epoch(), kept, 0, 0)
        with self._registry._change(load=False) as db:
            if _row(db, home) is not None:
                raise RegistryError(f"home {home}: a family has claimed it already")
            db.execute(
                "INSERT INTO families VALUES (?,?,?,?,?,?)",
                (home, record.claimed_ms, record.epoch, kept, 0, 0),
            )
        self._keep(home, record)
        return record

    def set_pin(self, home: str, pin: str) -> FamilyRecord:
        """Another PIN; ends all visits. It takes a while. PinError; RegistryError when none has claimed."""
        return self.set_pin_hashed(home, hashed(pin))

    def set_pin_hashed(self, home: str, kept: str) -> FamilyRecord:
        """The same with what hashed() made of the PIN."""
        return self._set(home, pin=kept, epoch=_epoch(), wrong=0, locked_until_ms=0)

    def end_visits(self, home: str) -> FamilyRecord:
        """All visits to a home's page are over; the PIN stays. RegistryError when none has claimed."""
        return self._set(home, epoch=_epoch())

    def reset(self, home: str) -> bool:
        """Forget a home's PIN, so that it can be claimed anew; ends all visits. False: none had claimed."""
        self._registry.home(home)
        with self._registry._change(load=False) as db:
            gone = db.execute("DELETE FROM families WHERE home=?", (home,)).rowcount
        self._keep(home, None)
        return bool(gone)

    def locked_ms(self, home: str) -> int:
        """How long no PIN of a home is looked at; 0: it is."""
        found = self.of(home)
        return 0 if found is None else max(0, found.locked_until_ms - self.clock())

    def attempt(self, home: str) -> FamilyRecord:
        """Count a try of the PIN before it is looked at, so that no end of anything leaves one uncounted.

        Returns the record whose hash is to be looked at; Locked; RegistryError when none has claimed."""
        now = self.clock()
        with self._registry._change(load=False) as db:
            found = self._must(db, home)
            if now >= found.locked_until_ms:
                wrong = found.wrong + 1
                lock_s = 0 if wrong < TRIES else LOCKS_S[min(wrong - TRIES, len(LOCKS_S) - 1)]
                tried = replace(found, wrong=wrong, locked_until_ms=now + lock_s * 1000 if lock_s else 0)
                _write(db, tried)
            else:
                tried = found
        self._keep(home, tried)
        if tried is found:
            raise Locked(home, found.locked_until_ms)
        return tried

    def right(self, tried: FamilyRecord) -> FamilyRecord | None:
        """The PIN of an attempt() was right: nothing is wrong any more. None: another is set meanwhile."""
        with self._registry._change(load=False) as db:
            found = _row(db, tried.home)
            if found is not None and found.pin == tried.pin:
                found = replace(found, wrong=0, locked_until_ms=0)
                _write(db, found)
        self._keep(tried.home, found)
        return found if found is not None and found.pin == tried.pin else None

    # Readings of shared monitors

    def wearer_of(self, hub: str, boot: int, seq: int) -> str | None:
        """Who a reading was said to be of; None: nobody has said."""
        return self.wearers(hub).get((boot, seq))

    def wearers(self, hub: str) -> dict[tuple[int, int], str]:
        """All readings of a hub of which somebody has said whose they are, by boot and seq."""
        return {(said.boot, said.seq): said.wearer for said in self.wearer_history(hub)}

    def wearer_history(self, hub: str) -> list[Said]:
        """The same, with who said so, and when."""
        sql = "SELECT boot, seq, wearer, by, at_ms FROM reading_wearers WHERE hub=? ORDER BY boot, seq"
        return [Said(*row) for row in self._rows(sql, hub)]

    def set_wearer(self, hub: str, boot: int, seq: int, wearer: str, by: str) -> None:
        """Say whose reading it was; an empty wearer takes it back. RegistryError."""
        self._registry.hub(hub)
        reading = hub, boot, seq
        row = checks.plain_text(wearer, "wearer"), checks.plain_text(by, "by"), self.clock()
        with self._registry._change(load=False) as db:
            db.execute("DELETE FROM reading_wearers WHERE hub=? AND boot=? AND seq=?", reading)
            if row[0]:
                db.execute("INSERT INTO reading_wearers VALUES (?,?,?,?,?,?)", (*reading, *row))

    def forget_wearers(self, before_ms: int) -> None:
        """Let go of what was said before that moment (host UTC), as the readings themselves are."""
        with self._registry._change(load=False) as db:
            db.execute("DELETE FROM reading_wearers WHERE at_ms < ?", (before_ms,))

    # Inside

    def _make(self, hub: str, again: bool) -> str:
        self._registry._active(hub)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        kept = "token=excluded.token, made_ms=excluded.made_ms" if again else "hub=hub"  # another was faster
        with self._registry._change(load=False) as db:
            (token,) = db.execute(
                f"INSERT INTO labels VALUES (?,?,?) ON CONFLICT (hub) DO UPDATE SET {kept} RETURNING token",  # noqa: S608  # fixed texts
                (hub, token, self.clock()),
            ).fetchone()
        self._load()
        self._hubs.pop(self._labels.get(hub, ""), None)
        self._labels[hub], self._hubs[token] = token, hub
        self._changed()
        return str(token)

    def _set(self, home: str, **change: int | str) -> FamilyRecord:
        self._registry.home(home)
        with self._registry._change(load=False) as db:
            record: FamilyRecord = replace(self._must(db, home), **change)  # type: ignore[arg-type]
            _write(db, record)
        self._keep(home, record)
        return record

    @staticmethod
    def _must(db: sqlite3.Connection, home: str) -> FamilyRecord:
        found = _row(db, home)
        if found is None:
            raise RegistryError(f"home {home}: no family has claimed it")
        return found

    def _keep(self, home: str, record: FamilyRecord | None) -> None:
        self._load()
        if record is None:
            self._all.pop(home, None)
        else:
            self._all[home] = record
        self._changed()

    def _changed(self) -> None:
        # What is in memory has been changed, too: a city's families are not read again for one wrong PIN.
        self._registry.families_version += 1
        self._version = (self._registry.version, self._registry.families_version)

    def _load(self) -> None:
        version = (self._registry.version, self._registry.families_version)
        if self._version == version:
            return
        labels = dict(self._rows("SELECT hub, token FROM labels"))
        records = [FamilyRecord(*row) for row in self._rows(_SELECT)]
        self._labels, self._hubs = labels, {token: hub for hub, token in labels.items()}
        self._all = {record.home: record for record in records}
        self._homes = {}
        for hub in self._registry.hubs():
            if hub.revoked_ms is None:
                self._homes.setdefault(hub.home, []).append(hub.id)
        self._version = version

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._registry._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise RegistryError(f"{self._registry.path}: {error}") from None


_SELECT = "SELECT home, claimed_ms, epoch, pin, wrong, locked_until_ms FROM families"


def _row(db: sqlite3.Connection, home: str) -> FamilyRecord | None:
    row = db.execute(f"{_SELECT} WHERE home=?", (home,)).fetchone()
    return None if row is None else FamilyRecord(*row)


def _write(db: sqlite3.Connection, record: FamilyRecord) -> None:
    db.execute(
        "UPDATE families SET epoch=?, pin=?, wrong=?, locked_until_ms=? WHERE home=?",
        (record.epoch, record.pin, record.wrong, record.locked_until_ms, record.home),
    )


def _epoch() -> int:
    return secrets.randbits(62)  # never one that a copy of the registry, put back, has given out before


# PINs


def digits(text: str) -> str:
    """A PIN in its one form, from digits of any script; PinError, which does not repeat it."""
    typed = [character for character in text if not character.isspace()]
    found = [unicodedata.decimal(character, -1) for character in typed[: MAX_PIN + 1]]
    if not MIN_PIN <= len(found) <= MAX_PIN or -1 in found:
        raise PinError("digits", f"PIN: must be {MIN_PIN} to {MAX_PIN} digits")
    return "".join(map(str, found))


def hashed(pin: str) -> str:
    """What is kept of a new PIN; run it in a thread. PinError."""
    pin = digits(pin)
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    if steps in ({0}, {1}, {9}):
        raise PinError("simple", "PIN: one digit alone, or digits in a row, are guessed first; take another")
    return bcrypt.hashpw(pin.encode(), bcrypt.gensalt(operators.BCRYPT_COST)).decode()


def fits(pin: str, kept: str) -> bool:
    """Whether a PIN in its one form is the one; run it in a thread."""
    return bcrypt.checkpw(pin.encode(), kept.encode())


def wearers_of(text: str) -> list[str]:
    """The people who share a monitor, as its `wearer` names them; user index n is the n-th."""
    return [name for part in _NAMES.split(text) if (name := part.strip())]
