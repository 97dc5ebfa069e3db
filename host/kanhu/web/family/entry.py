"""The way in: a claim by a press of the hub's button, the PIN, and what a family sets of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response

from kanhu.journal import JournalError
from kanhu.pairing import PairingError
from kanhu.registry import RegistryError
from kanhu.registry.families import TRIES, FamilyRecord, Locked, PinError

from .claims import SLOW_MS, Claim, ClaimError
from .visit import Page, Visit
from .words_entry import TEXT

if TYPE_CHECKING:
    from .family import Family

log = structlog.get_logger("kanhu.family")

MINUTE_MS = 60_000
STEP_S = 5  # the time left is said in steps: what changes each second cannot be read aloud
SAID = ("wrong", "digits", "simple", "out", "changed", "others")


async def gate(family: Family, visit: Visit) -> Response:
    """For those who are not let in: the PIN, or how the home is claimed."""
    record = family.families.of(visit.home.id)
    if record is not None:
        locked_ms = family.families.locked_ms(visit.home.id)
        said = _said(visit, record, locked_ms)
        return family.render(visit, "family/entry.html", TEXT, said=said, locked=locked_ms > 0)
    claim = family.access.claims.of(visit)
    if claim is None:
        return _claim_page(family, visit, _refusal(visit))
    if claim.stage(family.journal.clock()) != "failed":
        return _to(visit, "claim")
    return _claim_page(family, visit, _refusal(visit) or why(visit, claim.why()))


class EntryPages:
    """Claim, PIN, leaving, settings."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._access = family.access
        self._families = family.families

    def routes(self) -> list[Page]:
        """All of them."""
        return [
            Page("/claim", self.claim, self.begin_claim, is_open=True),
            Page("/claim/live", self.live_claim, is_open=True),
            Page("/pin", self.home, self.set_first_pin, is_open=True),
            Page("/enter", self.home, self.enter, is_open=True),
            Page("/leave", self.home, self.leave),
            Page("/settings", self.settings, self.change_settings),
        ]

    async def home(self, visit: Visit) -> Response:
        """A form's address that was opened as a page."""
        return _to(visit)

    # Claim

    async def begin_claim(self, visit: Visit) -> Response:
        """The hub waits for a press from now on."""
        if self._families.of(visit.home.id) is not None:
            return _to(visit)
        mine = self._access.claims.of(visit)
        if mine is not None and mine.stage(self._family.journal.clock()) != "failed":
            return _to(visit, "claim")  # tapped twice
        try:
            await self._access.claims.begin(visit)
        except ClaimError as error:
            return _to(visit, why=error.code, wait=str(_minutes(error.wait_ms)))
        except PairingError as error:
            log.error("a claim could not be begun", hub=visit.hub.id, error=str(error))
            return _to(visit, why="unknown")
        await self._keep(visit, "family_claim_begun", _address(visit))
        return _to(visit, "claim")

    async def claim(self, visit: Visit) -> Response:
        """What the hub has heard since, then the first PIN."""
        claim = self._access.claims.of(visit)
        if claim is None or self._families.of(visit.home.id) is not None:
            return _to(visit)
        stage = claim.stage(self._family.journal.clock())
        if stage == "pressed":
            return self._family.render(visit, "family/pin.html", TEXT, said=_words(visit))
        if stage == "failed":
            return _claim_page(self._family, visit, why(visit, claim.why()))
        return self._family.render(
            visit, "family/claim.html", TEXT, stage=stage, problem="", live=visit.path("claim", "live"),
            **self._left(visit, claim),
        )  # fmt: skip

    async def live_claim(self, visit: Visit) -> Response:
        """The same as it changes."""
        claim = self._access.claims.of(visit)
        if claim is None:
            return _to(visit)

        def parts() -> Mapping[str, str]:
            stage = claim.stage(self._family.journal.clock())
            if stage in ("pressed", "failed"):
                return {"_to": visit.path("claim")}
            values = {"stage": stage, **self._left(visit, claim)}
            return {
                "claim": self._family.part(visit, "family/_claim.html", TEXT, **values),
                "left": self._family.part(visit, "family/_left.html", TEXT, **values),
            }

        return self._family.live(visit, parts)

    def _left(self, visit: Visit, claim: Claim) -> dict[str, Any]:
        now = self._family.journal.clock()
        seconds = max(0, -(-(claim.proof.ends_ms - now) // (1000 * STEP_S)) * STEP_S)
        slow = claim.stage(now) == "asked" and now > claim.proof.asked_ms + SLOW_MS
        return {"left": _filled(visit, "claim_left", seconds=seconds), "slow": slow}

    # PIN

    async def set_first_pin(self, visit: Visit) -> Response:
        """The browser that began the claim chooses, once the press has come."""
        claim = self._access.claims.of(visit)
        pressed = claim is not None and claim.stage(self._family.journal.clock()) == "pressed"
        if not pressed or self._families.of(visit.home.id) is not None:
            return _to(visit)
        try:
            kept = await self._access.pins.hashed(visit.form.get("pin", ""))
        except PinError as error:
            return _to(visit, "claim", said=error.why)
        try:
            record = self._families.claim_hashed(visit.home.id, kept)
        except RegistryError:
            if self._families.of(visit.home.id) is None:
                raise
            return _to(visit)  # another tap of it was faster
        self._access.claims.done(visit.home.id)
        await self._keep(visit, "family_claimed", _address(visit))
        return await self._let_in(visit, record)

    async def enter(self, visit: Visit) -> Response:
        """The PIN, and in."""
        if self._families.of(visit.home.id) is None:
            return _to(visit)
        try:
            record = await self._access.pins.tried(visit.home.id, visit.form.get("pin", ""))
        except PinError as error:
            return _to(visit, said=error.why)
        except Locked:
            return _to(visit)
        if record is None:
            await self._keep(visit, "family_wrong_pin", _address(visit))
            if self._families.locked_ms(visit.home.id):
                await self._keep(visit, "family_locked")
            return _to(visit, said="wrong")
        return await self._let_in(visit, record)

    async def _let_in(self, visit: Visit, record: FamilyRecord) -> Response:
        await self._keep(visit, "family_in")
        response = _to(visit)
        self._access.begin(response, visit, record)
        return response

    async def leave(self, visit: Visit) -> Response:
        """This phone forgets."""
        await self._keep(visit, "family_out")
        response = _to(visit, said="out")
        self._access.end(response, visit)
        return response

    # Settings

    async def settings(self, visit: Visit) -> Response:
        """Another PIN; other phones."""
        return self._family.render(visit, "family/settings.html", TEXT, said=_words(visit), here="more")

    async def change_settings(self, visit: Visit) -> Response:
        """Either ends all other visits."""
        if visit.form.get("do") == "others":
            record = self._families.end_visits(visit.home.id)
            await self._keep(visit, "family_visits_ended")
            said = "others"
        else:
            try:
                kept = await self._access.pins.hashed(visit.form.get("pin", ""))
            except PinError as error:
                return _to(visit, "settings", said=error.why)
            record = self._families.set_pin_hashed(visit.home.id, kept)
            await self._keep(visit, "family_pin_changed")
            said = "changed"
        response = _to(visit, "settings", said=said)
        self._access.begin(response, visit, record)
        return response

    async def _keep(self, visit: Visit, what: str, detail: str | None = None) -> None:
        try:
            await self._family.keep(visit, what, None, detail)
        except JournalError as error:  # a full disk must not keep a family out
            log.error("a visit could not be kept in the audit", what=what, hub=visit.hub.id, error=str(error))


# Words


def why(visit: Visit, code: str, minutes: int = 0) -> str:
    """Why a claim has not worked, by the code of it."""
    key = f"why_{code}"
    return _filled(visit, key if key in TEXT else "why_unknown", minutes=minutes)


def _claim_page(family: Family, visit: Visit, problem: str) -> Response:
    return family.render(visit, "family/claim.html", TEXT, stage="", problem=problem, left="", slow=False)


def _refusal(visit: Visit) -> str:
    asked = visit.request.query_params
    code, wait = asked.get("why", ""), asked.get("wait", "")
    minutes = int(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 5 else 1
    return why(visit, code, minutes) if f"why_{code}" in TEXT else ""


def _said(visit: Visit, record: FamilyRecord, locked_ms: int) -> str:
    if locked_ms:
        return _filled(visit, "said_locked", minutes=_minutes(locked_ms))
    said = _words(visit)
    left = TRIES - record.wrong
    if visit.request.query_params.get("said") == "wrong" and 0 < left < TRIES:
        said += " " + (_filled(visit, "said_left", tries=left) if left > 1 else visit.say(TEXT["said_last"]))
    return said


def _words(visit: Visit) -> str:
    said = visit.request.query_params.get("said", "")
    return visit.say(TEXT[f"said_{said}"]) if said in SAID else ""


def _filled(visit: Visit, key: str, **values: object) -> str:
    return visit.say(TEXT[key]).format(**values)


def _minutes(ms: int) -> int:
    return max(1, -(-ms // MINUTE_MS))


def _to(visit: Visit, *parts: str, **query: str) -> Response:
    asked = f"?{urlencode(query)}" if query else ""
    return RedirectResponse(visit.path(*parts) + asked, 303)


def _address(visit: Visit) -> str:
    return visit.request.client.host if visit.request.client else ""
