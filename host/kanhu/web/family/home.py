"""The first page: is everything all right, in one sentence; what stands against it; what can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from starlette.responses import Response

from kanhu.care import Alarm
from kanhu.care.condition import Condition, Reason, State
from kanhu.care.rules.past import AWAY, HOSPITAL, Mode
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import time_words
from kanhu.web.person import ago_words
from kanhu_protocol import kinds as k

from . import words_home as w
from .modes import mode_words, standing
from .sentences import thing_words
from .visit import Page, Visit
from .words_log import HUB, TELLS

if TYPE_CHECKING:
    from .family import Family

REASONS = 6  # lines; the weightiest come first


@dataclass(frozen=True, slots=True)
class Told:
    """How a home is, as the page says it."""

    state: State
    sentence: Words
    reasons: tuple[Reason, ...]


def told(condition: Condition, alarms: Sequence[Alarm], mode: Mode | None, saves: bool) -> Told:
    """The condition in one sentence and a few reasons; never better than it is. saves: whether the journal
    can be written to: what cannot be kept is not known tomorrow, and says nothing today."""
    state = condition.state
    # What stands elsewhere on the page in words of its own: alarms, the mode, and when a home was proven.
    said = {alarm.opened_ms for alarm in alarms} | ({mode.from_ms} if mode is not None else set())
    reasons = [
        one
        for one in condition.reasons
        if one.since_ms is None or (state != "well" and one.since_ms not in said)
    ]
    if not saves:
        reasons.insert(0, Reason(w.UNSAVED))
        state = "attention" if state == "attention" else "cannot_tell"
    if alarms:
        state = "attention"
        sentence = "asking" if all(alarm.state == k.PRE for alarm in alarms) else "alarm"
    elif state == "cannot_tell" and mode is not None and not reasons:
        sentence = {AWAY: "away", HOSPITAL: "hospital"}.get(mode.mode, state)
    else:
        sentence = state
    return Told(state, w.SENTENCES[sentence], tuple(reasons[:REASONS]))


def answer_words(alarm: Alarm, now_ms: int, zone: ZoneInfo) -> Words:
    """What became of an alarm: whether a person has answered. That it was passed on is no answer."""
    form = w.ANSWERS.get(alarm.state, w.ANSWERS[k.OPEN])
    at_ms = {
        k.PRE: alarm.asked_until_ms,
        k.ACCEPTED: alarm.accepted_ms,
        k.DISPATCHED: alarm.dispatched_ms,
        k.ON_SCENE: alarm.on_scene_ms,
    }.get(alarm.state)
    if alarm.state == k.PRE and (at_ms is None or at_ms <= now_ms):
        return w.ASKED_LATE
    at = time_words(now_ms if at_ms is None else at_ms, now_ms, zone)
    return Words(form.en.format(at.en), form.zh.format(at.zh))


class HomePages:
    """The first page, its live part, and the list of more."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def routes(self) -> list[Page]:
        """The link itself, /live, /more."""
        return [Page("", self.show), Page("/live", self.live), Page("/more", self.more)]

    async def show(self, visit: Visit) -> Response:
        """How everything is."""
        return self._family.render(
            visit, "family/home.html", w.TEXT, here="home", live=visit.path("live"),
            button=self._button(visit), **self._now(visit),
        )  # fmt: skip

    async def live(self, visit: Visit) -> Response:
        """The same, as it changes."""

        def parts() -> Mapping[str, str]:
            now = self._now(visit)
            return {
                part: self._family.part(visit, f"family/_{part}.html", w.TEXT, **now)
                for part in ("state", "facts")
            }

        return self._family.live(visit, parts)

    async def more(self, visit: Visit) -> Response:
        """What is not on the other pages."""
        return self._family.render(visit, "family/more.html", w.TEXT, here="more")

    def _now(self, visit: Visit) -> dict[str, Any]:
        family, say, zone = self._family, visit.say, visit.zone
        now_ms = family.journal.clock()
        alarms = [alarm for hub in visit.hubs for alarm in family.alarms.live(hub)]
        alarms.sort(key=lambda alarm: (alarm.state == k.PRE, alarm.opened_ms))
        mode = standing(family.journal, visit.hubs, now_ms)
        how = told(family.sources.condition(visit.home.id), alarms, mode, family.journal.healthy)
        return {
            "state": how.state,
            "sentence": say(how.sentence),
            "reasons": [(_first(say(one.words)), self._since(visit, one, now_ms)) for one in how.reasons],
            "alarms": [self._alarm(visit, alarm, now_ms) for alarm in alarms],
            "facts": [(say(name), say(words)) for name, words in self._facts(visit, now_ms)],
            "mode": mode and say(mode_words(mode, now_ms, zone)),
        }

    def _since(self, visit: Visit, reason: Reason, now_ms: int) -> str:
        if reason.since_ms is None:
            return ""
        return visit.say(w.TEXT["since"]).format(visit.say(time_words(reason.since_ms, now_ms, visit.zone)))

    def _facts(self, visit: Visit, now_ms: int) -> Iterator[tuple[Words, Words]]:
        for number, hub in enumerate(visit.hubs, 1):
            of_it = number if len(visit.hubs) > 1 else 0
            newest = self._family.journal.reader.newest(hub)
            heard = w.NEVER_HEARD
            if newest is not None:
                at = time_words(newest.received_ms, now_ms, visit.zone)
                ago = ago_words(now_ms - newest.received_ms)
                heard = Words(f"{ago.en} ({at.en})", f"{ago.zh}（{at.zh}）")
            yield _numbered(w.TEXT["last_heard"], of_it), heard
            proof = self._family.sources.proof(hub)
            proven = w.NOT_PROVEN if proof is None else proof.words(now_ms, visit.zone)
            yield _numbered(w.TEXT["last_proven"], of_it), Words(_first(proven.en), proven.zh)

    def _alarm(self, visit: Visit, alarm: Alarm, now_ms: int) -> dict[str, Any]:
        what, why = self._alarm_words(alarm), alarm.explanation
        if alarm.state == k.PRE and why is not None:  # it is no alarm yet
            what, why = why, None
        return {
            "what": _first(visit.say(what)),
            "since": visit.say(time_words(alarm.opened_ms, now_ms, visit.zone)),
            "answer": visit.say(answer_words(alarm, now_ms, visit.zone)),
            "answered": alarm.state in (k.ACCEPTED, k.DISPATCHED, k.ON_SCENE),
            "why": why and visit.say(why),
        }

    def _alarm_words(self, alarm: Alarm) -> Words:
        form = TELLS.get(alarm.kind, TELLS[k.CALL])
        what = HUB
        for device in self._family.registry.devices_of(alarm.hub):
            if device.index == alarm.device:
                what = thing_words(device)
        return Words(form.en.format(what=what.en), form.zh.format(what=what.zh))

    def _button(self, visit: Visit) -> str:
        """Where the first call button of the home is tested; "" where there is none."""
        for hub in visit.hubs:
            for device in self._family.registry.devices_of(hub):
                if device.role == "call":
                    return visit.path("sensors", hub, device.index, "test")
        return ""


def _numbered(words: Words, number: int) -> Words:
    return Words(f"{words.en} ({number})", f"{words.zh}（{number}）") if number else words


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]
