"""Going out, visitors, hospital: a mode of the whole home until a moment, after which it is watched again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from starlette.responses import RedirectResponse, Response

from kanhu.care.modes import MAX_MS, ModeError
from kanhu.care.rules.past import AWAY, HOME, HOSPITAL, VISITOR, Mode
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import time_words
from kanhu.journal import Journal

from . import words_home as w
from .visit import Page, Problem, Visit
from .words_log import MONTHS

if TYPE_CHECKING:
    from .family import Family

BY = "family"
KINDS = {"away": AWAY, "visitor": VISITOR, "hospital": HOSPITAL}
LIKELY = {
    "away": ("morning",),
    "visitor": ("evening", "tomorrow"),
    "hospital": ("week",),
}  # what is offered first
MORNING, EVENING = 8, 20  # hours of the home's clock
OTHER = "other"
SOONEST_MS = 3_600_000  # what ends sooner is not offered
LAST_DAYS = MAX_MS // 86_400_000
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2})(?::[0-9]{2})?")
_NEWEST = "SELECT mode, from_ms, until_ms FROM modes WHERE hub=? ORDER BY id DESC LIMIT 1"


class Choice(NamedTuple):
    """Until when a mode may last: as a form says it (the home's local time), and as people do."""

    value: str
    name: Words
    moment: Words


def choices(now_ms: int, zone: ZoneInfo) -> Iterator[Choice]:
    """What is offered at a moment; all of it is later than that."""
    today = datetime.fromtimestamp(now_ms / 1000, zone).date()
    for name, days, hour in (
        ("evening", 0, EVENING), ("morning", 1, MORNING), ("tomorrow", 1, EVENING), ("days", 3, EVENING),
        ("week", 7, EVENING),
    ):  # fmt: skip
        day = today + timedelta(days=days)
        value = f"{day.isoformat()}T{hour:02}:00"
        if utc_ms(value, zone) > now_ms + SOONEST_MS:
            moment = Words(f"{hour}:00", f"{hour}:00")
            if days > 1:
                en, zh = MONTHS[day.month - 1][:3], f"{day.month}月" if day.month != today.month else ""
                moment = Words(f"{day.day} {en}, {hour}:00", f"{zh}{day.day}日 {hour}:00")
            yield Choice(value, w.UNTIL[name], moment)


def utc_ms(local: str, zone: ZoneInfo) -> int:
    """A moment of the home's clock (2026-11-23T08:00) as UTC ms. ValueError when it is none.

    One that the clock skips is as much later as it skips; of one that comes twice it is the first."""
    found = _MOMENT.fullmatch(local)
    if found is None:
        raise ValueError("no moment")
    naive = datetime.fromisoformat(f"{found[1]}T{found[2]}")
    try:
        return int(naive.replace(tzinfo=zone).astimezone(UTC).timestamp() * 1000)
    except OverflowError:
        raise ValueError("no moment of this calendar") from None


def until_ms(form: Mapping[str, str], now_ms: int, zone: ZoneInfo) -> int:
    """When the mode that a form asks for ends; Problem says what is wrong with it."""
    chosen = form.get("until", "")
    if chosen == OTHER:
        chosen = f"{form.get('date', '')}T{form.get('time', '')}"
    try:
        found = utc_ms(chosen, zone)
    except ValueError:
        raise Problem(w.CHOOSE_UNTIL, back=("modes",)) from None
    if found <= now_ms:
        raise Problem(w.TOO_SOON, back=("modes",))
    if found > now_ms + MAX_MS:
        raise Problem(w.TOO_LATE, back=("modes",))
    return found


def standing(journal: Journal, hubs: list[str], now_ms: int) -> Mode | None:
    """The mode that holds at a home, of the first of its hubs that has one; None: as on every day."""
    for hub in hubs:
        for row in journal.reader.rows(_NEWEST, (hub,)):
            mode = Mode(*row)
            if mode.mode != HOME and mode.from_ms <= now_ms < mode.until_ms:
                return mode
    return None


def mode_words(mode: Mode, now_ms: int, zone: ZoneInfo) -> Words:
    """What holds, until when, and what still works."""
    name = w.MODES.get(mode.mode, Words("?", "?"))
    until = time_words(mode.until_ms, now_ms, zone)
    en, zh = w.MODE_UNTIL
    return Words(en.format(mode=name.en, until=until.en), zh.format(mode=name.zh, until=until.zh))


class ModePages:
    """Choose a mode, and end it."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def routes(self) -> list[Page]:
        """/modes."""
        return [Page("/modes", self.show, self.set)]

    async def show(self, visit: Visit) -> Response:
        """What can be chosen, and what holds."""
        now_ms = self._family.journal.clock()
        mode = standing(self._family.journal, visit.hubs, now_ms)
        asked = visit.request.query_params.get("kind", "")
        today = datetime.fromtimestamp(now_ms / 1000, visit.zone).date()
        offered = list(choices(now_ms, visit.zone))
        kind = asked if asked in KINDS else "away"
        likely = [one.value for one in offered if one.name in (w.UNTIL[name] for name in LIKELY[kind])]
        return self._family.render(
            visit, "family/modes.html", w.TEXT, here="more",
            kinds=[(name, visit.say(w.CHIPS[name])) for name in KINDS],
            kind=kind, chosen=likely[0],
            choices=[(one.value, visit.say(one.name), visit.say(one.moment)) for one in offered],
            other_time=OTHER, first=today.isoformat(), next=(today + timedelta(days=1)).isoformat(),
            last=(today + timedelta(days=LAST_DAYS)).isoformat(),
            mode=mode and visit.say(mode_words(mode, now_ms, visit.zone)),
        )  # fmt: skip

    async def set(self, visit: Visit) -> Response:
        """Begin a mode, or be at home again."""
        family, asked = self._family, visit.form.get("kind", "")
        now_ms = family.journal.clock()
        if asked == "home":
            kind, until = HOME, None
        elif asked in KINDS:
            kind, until = KINDS[asked], until_ms(visit.form, now_ms, visit.zone)
        else:
            raise Problem(w.CHOOSE_KIND, back=("modes",))
        await family.keep(visit, "family_mode", None, asked)
        try:
            for hub in visit.hubs:
                await family.sources.set_mode(hub, kind, until, BY)
        except ModeError:  # it was over meanwhile
            raise Problem(w.TOO_SOON, back=("modes",)) from None
        return RedirectResponse(visit.path(), 303)
