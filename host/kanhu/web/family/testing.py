"""That a sensor works: its test with every receipt, and the walk past all sensors of movement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from kanhu.care.rules.wording import room_words
from kanhu.journal import Event
from kanhu.pairing import PairingError, Proof
from kanhu_protocol import kinds as k

from . import words_sensors as words
from .adding import SLOW_S, prove
from .sensors import title, which
from .visit import NotHere, Page, Visit

if TYPE_CHECKING:
    from .family import Family

WALK_MS = 300_000
KEPT_MS = 600_000  # after its end the result can still be looked at
SLACK_MS = 5000  # ours: clocks of hub and host differ a little
STEP_S = 5  # in which "seen .. s ago" goes on: a page that changes each second is read by nobody


@dataclass
class Walk:
    """One walk through a home; times are host UTC ms."""

    hub: str  # from whose label it was begun
    begun_ms: int
    ends_ms: int
    seen: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)  # (hub, device): count, last


class TestingPages:
    """Tests and walks; walks live in memory only."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._walks: dict[str, Walk] = {}  # by home
        family.journal.on_stored.append(self._take)

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
        walk = self._walks.get(visit.home.id)
        walking = walk is not None and self._lasts(walk)
        return self.family.render(
            visit, "family/walk.html", words.TEXT, here="sensors",
            live=visit.path("walk", "live") if walking else "", parts=self._walk_parts(visit),
            walking=walking, begun=walk is not None,
        )  # fmt: skip

    async def walk_live(self, visit: Visit) -> Response:
        """The same as it goes on."""

        def parts() -> Mapping[str, str]:
            walk = self._walks.get(visit.home.id)
            found = self._walk_parts(visit)
            # When it is over the page says so, and offers another.
            return found if walk is not None and self._lasts(walk) else {**found, "_to": visit.path("walk")}

        return self.family.live(visit, parts)

    async def set_out(self, visit: Visit) -> Response:
        """Begin, or end."""
        home, now_ms = visit.home.id, self.family.journal.clock()
        if visit.form.get("do") == "end":
            self._walks.pop(home, None)
            return RedirectResponse(visit.path("sensors"), 303)
        if not self._sensors(visit):
            raise NotHere
        await self.family.keep(visit, "family_walk")
        self._walks[home] = Walk(visit.hub.id, now_ms, now_ms + WALK_MS)
        return RedirectResponse(visit.path("walk"), 303)

    def _lasts(self, walk: Walk) -> bool:
        return self.family.journal.clock() < walk.ends_ms

    def _sensors(self, visit: Visit) -> list[tuple[str, Any]]:
        return [
            (hub, one)
            for hub in visit.hubs
            for one in self.family.registry.devices_of(hub)
            if one.role == "motion"
        ]

    def _walk_parts(self, visit: Visit) -> Mapping[str, str]:
        walk, now_ms = self._walks.get(visit.home.id), self.family.journal.clock()
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
        lasts = walk is not None and self._lasts(walk)
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

    def _take(self, events: list[Event]) -> None:
        if not self._walks:
            return
        now_ms = self.family.journal.clock()
        for home, one in list(self._walks.items()):
            if now_ms >= one.ends_ms + KEPT_MS or not self.family.registry.knows(one.hub):  # erased
                del self._walks[home]
        for event in events:
            if event.kind in (k.MOTION, k.MOTION_COUNT) and event.sealed is not None:
                home_of = self.family.registry.home_of(event.hub)
                walk = self._walks.get(home_of.id) if home_of is not None else None
                if walk is not None and now_ms < walk.ends_ms:
                    self._moved(walk, event)

    def _moved(self, walk: Walk, event: Event) -> None:
        """Movement that is surely of this walk: a count is of the whole stretch before it."""
        at_ms = self.family.journal.moment(event)[0]
        if at_ms is None or event.fields.get(k.FLAGS, 0) & k.UNVERIFIED:
            return
        counted = event.kind == k.MOTION_COUNT
        from_ms = at_ms - (event.fields.get(k.SPAN_MS, 0) if counted else 0)
        if from_ms < walk.begun_ms - SLACK_MS:
            return
        name = event.hub, event.fields.get(k.DEVICE, 0)
        count, last_ms = walk.seen.get(name, (0, 0))
        more = event.fields.get(k.COUNT, 1) if counted else 1
        walk.seen[name] = count + more, max(last_ms, at_ms)


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
