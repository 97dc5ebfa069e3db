"""A home's data: what is kept, all of it as a file, and its end. The PIN is asked for again."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import structlog
from starlette.responses import Response

from kanhu import export
from kanhu.care.rules.values import Words
from kanhu.errors import DataError
from kanhu.registry import Registry
from kanhu.registry.families import Locked, PinError
from kanhu.web.stream import Ending

from . import words_data as w
from .visit import Page, Problem, Visit
from .words_entry import TEXT as ENTRY

if TYPE_CHECKING:
    from .family import Family

log = structlog.get_logger("kanhu.family")

FOLDER = "exports"  # under data_dir, mode 0700: files that are being written
CHUNK = 65_536  # bytes
MINUTE_MS = 60_000


class DataPages:
    """/data, its download and the erasure."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._folder = family.data_dir / FOLDER
        self._writing: set[str] = set()  # homes
        for left in self._folder.glob("*"):  # of a daemon that was killed
            left.unlink(missing_ok=True)

    def routes(self) -> list[Page]:
        """All of them."""
        return [
            Page("/data", self.show),
            Page("/data/export", post=self.export),
            Page("/data/erase", self.ask, self.erase),
        ]

    async def show(self, visit: Visit) -> Response:
        """What is kept."""
        return self._family.render(visit, "family/data.html", w.TEXT, here="more")

    # All of it

    async def export(self, visit: Visit) -> Response:
        """The file; it is gone from the disk before its first byte is sent."""
        home = visit.home.id
        await self._pin(visit, "data")
        if home in self._writing:
            raise Problem(w.EXPORTING, 429, ("data",))
        await self._family.keep(visit, "family_export")
        self._writing.add(home)
        try:
            file = await asyncio.to_thread(_written, self._family.data_dir, self._folder, home)
        except (DataError, OSError) as error:
            log.error("a home's data could not be written for its family", error=str(error))
            raise Problem(w.NOT_WRITTEN, 503, ("data",)) from None
        finally:
            self._writing.discard(home)
        day = datetime.fromtimestamp(self._family.journal.clock() / 1000, visit.zone).date()
        return Ending(
            _read(file),
            media_type="application/json",
            headers={
                "content-disposition": f'attachment; filename="kanhu-{day.isoformat()}.json"',
                "content-length": str(os.fstat(file.fileno()).st_size),
                "cache-control": "no-store",
            },
        )

    # The end

    async def ask(self, visit: Visit) -> Response:
        """What erasing means."""
        return self._family.render(
            visit, "family/erase.html", w.TEXT, here="more", has_alarms=self._has_alarms(visit)
        )

    async def erase(self, visit: Visit) -> Response:
        """Forget the home, as `kanhu registry forget` does."""
        back = "data", "erase"
        self._refuse_alarms(visit)
        if visit.form.get("sure") != "yes":
            raise Problem(w.NOT_SURE, 400, back)
        await self._pin(visit, *back)
        await self._family.keep(visit, "family_erase")
        self._refuse_alarms(visit)  # somebody may have called meanwhile
        # Undelivered events stay until the platform has them (kanhu.erasure).
        self._family.registry.forget_home(visit.home.id, discard=False)
        log.info("a family has had its home erased")
        visit.let_in = False  # nothing is left to go to
        response = self._family.render(visit, "family/erased.html", w.TEXT)
        self._family.access.end(response, visit)
        return response

    def _refuse_alarms(self, visit: Visit) -> None:
        if self._has_alarms(visit):
            raise Problem(w.TEXT["erase_alarms"], 409, ("data", "erase"))

    def _has_alarms(self, visit: Visit) -> bool:
        return any(self._family.alarms.live(hub.id) for hub in self._family.registry.hubs(visit.home.id))

    # The PIN

    async def _pin(self, visit: Visit, *back: str) -> None:
        """Problem: it was not the family's."""
        access, family = self._family.access, self._family
        try:
            record = await access.pins.tried(visit.home.id, visit.form.get("pin", ""))
        except PinError:
            raise Problem(ENTRY["said_digits"], 400, back) from None
        except Locked as error:
            minutes = max(1, -(-(error.until_ms - family.journal.clock()) // MINUTE_MS))
            said = (one.format(minutes=minutes) for one in ENTRY["said_locked"])
            raise Problem(Words(*said), 429, back) from None
        if record is None:
            await family.keep(visit, "family_wrong_pin")
            raise Problem(ENTRY["said_wrong"], 403, back)


def _written(data_dir: Path, folder: Path, home: str) -> BinaryIO:
    """Everything of a home, in a file that has no name any more. DataError, OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    out = folder / f"{secrets.token_hex(16)}.json"
    try:
        with closing(Registry.open(data_dir, "read")) as registry:
            export.write(data_dir, registry, home, out)
        return out.open("rb")
    finally:
        out.unlink(missing_ok=True)


async def _read(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
