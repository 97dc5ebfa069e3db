"""PINs as they are tried and set: hashing is slow on purpose, and never in the daemon's loop."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from kanhu.registry.families import Families, FamilyRecord, digits, fits, hashed

from .visit import Problem
from .words import COMMON

HASHING = 2  # PINs looked at at a time, in threads
WAITING = 20  # that may wait for it


class Pins:
    """Of all homes."""

    def __init__(self, families: Families) -> None:
        self._families = families
        self._hashing = asyncio.Semaphore(HASHING)
        self._waiting = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def tried(self, home: str, typed: str) -> FamilyRecord | None:
        """The family, when that is its PIN. PinError, Locked, RegistryError; Problem: too many wait."""
        pin = digits(typed)
        if self._waiting >= WAITING:
            raise Problem(COMMON["busy"], 503)
        self._waiting += 1
        turn = self._turns.setdefault(home, asyncio.Lock())
        try:
            async with turn, self._hashing:  # two taps of one thumb are two tries, one after the other
                record = self._families.attempt(home)
                right = await asyncio.to_thread(fits, pin, record.pin)
                return self._families.right(record) if right else None
        finally:
            self._waiting -= 1

    async def hashed(self, typed: str) -> str:
        """What is kept of a new PIN. PinError; Problem: too many wait."""
        digits(typed)
        if self._waiting >= WAITING:
            raise Problem(COMMON["busy"], 503)
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(hashed, typed)
        finally:
            self._waiting -= 1
