"""That a sensor works: its test with every receipt, and the walk past all sensors of movement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from kanhu.care.rules.wording import room_words
from kanhu.pairing import PairingError, Proof
from kanhu.pairing.walks import Walks

from . import words_sensors as words
from .adding import SLOW_S, prove
from .sensors import title, which
from .visit import NotHere, Page, Visit

if TYPE_CHECKING:
    from .family import Family

STEP_S = 5  # in which "seen .. s ago" goes on: a page that changes each second is read by nobody


class TestingPages:
    """Tests and walks."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._walks = Walks(family.registry, family.journal)

    def routes(self) -> list[Page]:
        """What is here."""
        return [
            Page("/sensors/{hub}/{index:number}/test", None, self.begin),
            Page("/test/{hub}/live", self.test_live),
            Page("/test/{hub}", self.test, self.end),
            Page("/walk/live", self.walk_live),
            Page("/walk", self.walk, self.set_out),
        ]

    # One sensor

    async def begin(self, visit: Visit) -> Response:
        """Wait for its sign."""
        hub, device, _ = which(self.family, visit)
        await self.family.keep(visit, "family_prove", hub, f"device {device.index}")
        return await prove(self.family, visit, hub, device.index)

    async def end(self, visit: Visit) -> Response:
        """A press is a call again, at once."""
        hub = visit.hub_of_path()
        proof = self._proof(hub)
        if proof is not None and not proof.over.is_set():
            await self.family.pairing.close(hub)
        return RedirectResponse(visit.path("sensors"), 303)

    async def test(self, visit: Visit) -> Response:
        """What has arrived of it."""
        hub = visit.hub_of_path()
        proof = self._proof(hub)
        waits = proof is not None and not proof.over.is_set()
        return self.family.render(
            visit, "family/test.html", words.TEXT, here="sensors", hub=hub,
            live=visit.path("test", hub, "live") if waits else "", parts=self._test_parts(visit, hub),
        )  # fmt: skip

    async def test_live(self, visit: Visit) -> Response:
        """The same as it comes."""
        hub = visit.hub_of_path()
        return self.family.live(visit, lambda: self._test_parts(visit, hub))

    def _proof(self, hub: str) -> Proof | None:
        try:
            return self.family.pairing.proof(hub)
        except PairingError:
            return None

    def _test_parts(self, visit: Visit, hub: str) -> Mapping[str, str]:
        proof = self._proof(hub)
        device = None
        if proof is not None:
            found = self.family.registry.devices_of(hub)
            device = next((one for one in found if one.index == proof.sensor.index), None)
        if proof is None or device is None:
            html = self.family.part(visit, "family/_test_none.html", words.TEXT)
            return {"test": html, "left": ""}
        left_s = max(0, (proof.ends_ms - self.family.journal.clock() + 999) // 1000)
        why = visit.say(words.pairing(getattr(proof.why, "code", "")))
        values: dict[str, Any] = {
            "slow": self.family.journal.clock() - proof.asked_ms >= SLOW_S * 1000,
            "hub": hub, "index": device.index, "state": proof.state, "role": device.role,
            "title": title(visit, device), "ready": visit.say(words.ready(device.role)),
            "steps": _steps(visit, proof),
            "why": why if proof.state == "failed" else "",
            "left": f"{left_s // 60}:{left_s % 60:02}" if proof.state == "ready" else "",
        }  # fmt: skip
        return {
            part: self.family.part(visit, f"family/_test_{part}.html", words.TEXT, **values)
            for part in ("left", "test")
        }

    # The walk

    async def walk(self, visit: Visit) -> Response:
        """Which sensors have seen somebody since it was begun."""
        walk = self._walks.of(visit.home.id)
        walking = walk is not None and self._walks.lasts(walk)
        return self.family.render(
            visit, "family/walk.html", words.TEXT, here="sensors",
            live=visit.path("walk", "live") if walking else "", parts=self._walk_parts(visit),
            walking=walking, begun=walk is not None,
        )  # fmt: skip

    async def walk_live(self, visit: Visit) -> Response:
        """The same as it goes on."""

        def parts() -> Mapping[str, str]:
            walk = self._walks.of(visit.home.id)
            found = self._walk_parts(visit)
            # When it is over the page says so, and offers another.
            lasts = walk is not None and self._walks.lasts(walk)
            return found if lasts else {**found, "_to": visit.path("walk")}

        return self.family.live(visit, parts)

    async def set_out(self, visit: Visit) -> Response:
        """Begin, or end."""
        if visit.form.get("do") == "end":
            self._walks.end(visit.home.id)
            return RedirectResponse(visit.path("sensors"), 303)
        if not self._sensors(visit):
            raise NotHere
        await self.family.keep(visit, "family_walk")
        self._walks.begin(visit.home.id, visit.hub.id)
        return RedirectResponse(visit.path("walk"), 303)

    def _sensors(self, visit: Visit) -> list[tuple[str, Any]]:
        return [
            (hub, one)
            for hub in visit.hubs
            for one in self.family.registry.devices_of(hub)
            if one.role == "motion"
        ]

    def _walk_parts(self, visit: Visit) -> Mapping[str, str]:
        walk, now_ms = self._walks.of(visit.home.id), self.family.journal.clock()
        rows = []
        for hub, device in self._sensors(visit):
            count, last_ms = walk.seen.get((hub, device.index), (0, 0)) if walk is not None else (0, 0)
            room = visit.say(room_words(device.room)) if device.room else ""
            name = title(visit, device)
            rows.append({
                "title": room or name, "name": name if room else "", "count": count,
                "ago": visit.say(words.seen_ago(now_ms - last_ms, STEP_S)) if count else "",
            })  # fmt: skip
        lit = sum(1 for one in rows if one["count"])
        lasts = walk is not None and self._walks.lasts(walk)
        left_s = max(0, (walk.ends_ms - now_ms + 999) // 1000) if walk is not None else 0
        values: dict[str, Any] = {
            "rows": rows, "lit": lit, "lasts": lasts, "begun": walk is not None,
            "left": f"{left_s // 60}:{left_s % 60:02}" if lasts else "",
            "summary": visit.say(words.lit(lit, len(rows))),
        }  # fmt: skip
        parts = ("left", "summary", "rooms")
        return {
            part: self.family.part(visit, f"family/_walk_{part}.html", words.TEXT, **values) for part in parts
        }


def _steps(visit: Visit, proof: Proof) -> list[dict[str, Any]]:
    """The receipts in their order: what, whether it came (yes, no, waits) and when."""
    came = proof.event is not None
    done = proof.state == "delivered"
    rows = (
        ("r_heard", came, proof.happened_ms),
        ("r_stored", came, proof.stored_ms),
        ("r_delivered", done, proof.delivered_ms),
        ("r_proven", done, None),
    )
    return [
        {
            "text": visit.say(words.TEXT[key]),
            "state": "yes" if has else "no" if proof.state == "failed" else "waits",
            "time": "" if not has or at_ms is None else _clock(visit, at_ms),
        }
        for key, has, at_ms in rows
    ]


def _clock(visit: Visit, at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, visit.zone):%H:%M:%S}"
