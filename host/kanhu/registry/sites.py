"""What an installer settles at a home: where it is, which hub is in it, the hub's commissioning key."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence

from . import checks
from .checks import RegistryError
from .file import RegistryFile

COMMISSION_BYTES = 16
# Rows that make a home more than a place for a hub that has just been flashed.
_LIVED = ("notes", "families", "rules", "visit_plans", "mode_requests")


class Sites(RegistryFile):
    """Homes and commissioning keys, as they are given out on site."""

    def commission(self, hub_id: str) -> bytes:
        """The key behind the code on a hub's label, 16 bytes; made at first use."""
        self._active(hub_id)
        question = "SELECT commission FROM hubs WHERE id=?"
        (key,) = self._db.execute(question, (hub_id,)).fetchone()
        if key is None:
            with self._change(load=False) as db:
                # Another process may have made one meanwhile.
                db.execute(
                    "UPDATE hubs SET commission=? WHERE id=? AND commission IS NULL",
                    (secrets.token_bytes(COMMISSION_BYTES), hub_id),
                )
            (key,) = self._db.execute(question, (hub_id,)).fetchone()
        return bytes(key)

    def has_commission(self, hub_id: str) -> bool:
        """Whether a key was made for it: a board flashed before has none."""
        self._active(hub_id)
        (key,) = self._db.execute("SELECT commission FROM hubs WHERE id=?", (hub_id,)).fetchone()
        return key is not None

    def set_home(
        self,
        home_id: str,
        region: str | None = None,
        time_zone: str | None = None,
        name: str | None = None,
        address: str | None = None,
        phones: Sequence[str] | None = None,
    ) -> None:
        """Change what is known of a home; None leaves what is there."""
        home = self.home(home_id)
        row = (
            home.region if region is None else checks.region(region),
            home.time_zone if time_zone is None else checks.time_zone(time_zone),
            home.name if name is None else checks.plain_text(name, "name"),
            home.address if address is None else checks.plain_text(address, "address"),
            json.dumps(home.phones if phones is None else [checks.phone(phone) for phone in phones]),
        )
        with self._change() as db:
            db.execute(
                "UPDATE homes SET region=?, time_zone=?, name=?, address=?, phones=? WHERE id=?",
                (*row, home_id),
            )

    def is_placeholder(self, home_id: str) -> bool:
        """Whether nothing is known of a home: flashing makes such a one for each hub."""
        home = self.home(home_id)
        if home.region or home.name or home.address or home.phones:
            return False
        accepted = "SELECT 1 FROM acceptances JOIN hubs ON hubs.id=acceptances.hub WHERE hubs.home=?"
        asked = [accepted, *(f"SELECT 1 FROM {table} WHERE home=?" for table in _LIVED)]  # noqa: S608
        return not any(self._db.execute(one, (home_id,)).fetchone() for one in asked)

    def move_hub(self, hub_id: str, home_id: str) -> None:
        """Bring a hub from its placeholder into a home that is there; an empty placeholder goes."""
        left, _ = self._active(hub_id).home, self.home(home_id)
        if left == home_id:
            return
        if not self.is_placeholder(left):
            raise RegistryError(
                f"hub {hub_id!r}: is in home {left} already, and what happened there stays with it; "
                "flash another hub for the other home"
            )
        with self._change() as db:
            db.execute("UPDATE hubs SET home=? WHERE id=?", (home_id, hub_id))
            if not db.execute("SELECT 1 FROM hubs WHERE home=?", (left,)).fetchone():
                db.execute("DELETE FROM homes WHERE id=?", (left,))
