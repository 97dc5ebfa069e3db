"""Who is let in: a signed cookie that a phone gets for the family's PIN, and what the registry says of it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from kanhu.registry.families import FamilyRecord
from kanhu.web.sessions import kept_secret

from .claims import Claims
from .entry import gate
from .pins import Pins
from .visit import Visit

if TYPE_CHECKING:
    from .family import Family

VISIT_S = 180 * 86_400  # how long a phone stays let in
DOOR_S = 7200  # how long a form before that may be looked at


class Access:
    """Cookies of one families' page. The door's is any browser's, the visit's that of one who is let in."""

    def __init__(self, family: Family, secure: bool) -> None:
        """DataError."""
        secret = kept_secret(family.data_dir / "family.secret")
        self._family = family
        self._visits = URLSafeTimedSerializer(secret, salt="kanhu.family.visit")
        self._doors = URLSafeTimedSerializer(secret, salt="kanhu.family.door")
        self._secret = secret.encode()
        self.secure = secure
        prefix = "__Secure-" if secure else ""
        self.cookie, self.door_cookie = f"{prefix}kanhu_family", f"{prefix}kanhu_family_door"
        self.claims = Claims(family)
        self.pins = Pins(family.families)

    def visit(self, request: Request, token: str) -> Visit | None:
        """Where a request's link leads, as the registry has it now; None: nowhere."""
        from .family import language_of  # which imports this module

        families = self._family.families
        hub_id = families.hub_of(token)
        home = None if hub_id is None else self._family.registry.home_of(hub_id)
        if hub_id is None or home is None:
            return None
        inside = self._inside(request, token, home.id)
        key = ("door", self.door(request, token)) if inside is None else ("visit", inside)
        return Visit(
            request, token, home, self._family.registry.hub(hub_id),
            [hub_id, *(one for one in families.hubs_of(home.id) if one != hub_id)],
            language_of(request), inside is not None, self._form_key(*key),
        )  # fmt: skip

    def fits(self, visit: Visit) -> bool:
        """Whether the form that was sent is one of this visit's own."""
        return hmac.compare_digest(visit.form.get("key", "").encode(), visit.form_key.encode())

    async def gate(self, visit: Visit) -> Response:
        """What is shown to those who are not let in."""
        return await gate(self._family, visit)

    # Cookies

    def begin(self, response: Response, visit: Visit, record: FamilyRecord) -> None:
        """Let a phone in with this response."""
        value = self._visits.dumps([visit.token, visit.home.id, record.epoch, secrets.token_hex(8)])
        self._set(response, visit, self.cookie, value, VISIT_S)

    def end(self, response: Response, visit: Visit) -> None:
        """Take the cookie back."""
        response.delete_cookie(
            self.cookie, path=visit.path(), secure=self.secure, httponly=True, samesite="lax"
        )

    def door(self, request: Request, token: str) -> str:
        """What tells browsers apart that are not let in: random, in a cookie that dress() gives them."""
        if not hasattr(request.state, "door"):
            known, since = _read(self._doors, request.cookies.get(self.door_cookie), DOOR_S, 2)
            if known is None or known[0] != token:
                known, since = [token, secrets.token_hex(16)], 0.0
            request.state.door = known[1]
            request.state.door_fresh = time.time() < since + DOOR_S / 2
        found: str = request.state.door
        return found

    def dress(self, visit: Visit, response: Response) -> None:
        """Give the browser what its next form needs."""
        if visit.let_in:
            return
        door = self.door(visit.request, visit.token)
        if not visit.request.state.door_fresh:
            self._set(response, visit, self.door_cookie, self._doors.dumps([visit.token, door]), DOOR_S)

    # Inside

    def _inside(self, request: Request, token: str, home: str) -> str | None:
        """What is random in the cookie of a phone that is let in."""
        found, _ = _read(self._visits, request.cookies.get(self.cookie), VISIT_S, 4)
        if found is None or found[:2] != [token, home]:
            return None
        record = self._family.families.of(home)
        return str(found[3]) if record is not None and record.epoch == found[2] else None

    def _form_key(self, what: str, value: str) -> str:
        return hmac.new(
            self._secret, f"kanhu.family.form.{what}.{value}".encode(), hashlib.sha256
        ).hexdigest()

    def _set(self, response: Response, visit: Visit, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path=visit.path(), secure=self.secure, httponly=True, samesite="lax"
        )


def _read(
    signer: URLSafeTimedSerializer, value: str | None, limit_s: int, size: int
) -> tuple[list[object] | None, float]:
    """What we have put into a cookie, and when (Unix s); None: it is not ours, or too old."""
    try:
        found, since = signer.loads(value or "", max_age=limit_s, return_timestamp=True)
    except (BadData, ValueError):
        return None, 0.0
    return (found, since.timestamp()) if isinstance(found, list) and len(found) == size else (None, 0.0)
