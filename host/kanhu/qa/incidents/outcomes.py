"""What a record shows that must not be: the same eye looks at the field's record and at the replay's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from kanhu.qa.incidents.console import lamps
from kanhu.qa.incidents.form import Alarm, Bad, Event, Incident
from kanhu.qa.incidents.outages import RAISES, Away
from kanhu_protocol import kinds as k
from kanhu_protocol import names

TOLD_MS = 60_000  # a press that people tell of is a call within this, either way: clocks on walls
SILENT_MS = 90_000  # an alarm that waits is said again after 60 s at the latest (contracts, section 7)
LAMP_MS = 5000  # a lamp may lag behind what it shows by this
ANSWERED_MS = 30_000  # a person's answer reaches the lamp within this while the link is there
WAIT_MS = 60_000  # a call at the record's end may still be on its way
CRASHES = (3, 6, 7, 8)
REASONS = {0: "nobody said why", 2: "not held any more", 3: "unreadable"}  # 1, thinning, is as it should be


def bad(incident: Incident, away: Sequence[Away], forced: Sequence[int] = ()) -> list[Bad]:
    """All of it in order of time. away: when nothing could be said; forced: boots that a replay has begun."""
    found = [
        *_presses(incident),
        *_lost(incident),
        *_undelivered(incident),
        *_silent(incident, away),
        *_crashes(incident, forced),
        *_lamp(incident, away),
        *_said(incident),
    ]
    return sorted(found, key=lambda one: (one.at_ms, one.what, one.device))


def _presses(incident: Incident) -> Iterator[Bad]:
    for press in incident.pressed:
        if not any(
            one.kind == k.CALL and one.device == press.device and abs(one.at_ms - press.at_ms) <= TOLD_MS
            for one in incident.events
        ):
            text = f"device {press.device} was pressed, and the record has no call of it within a minute"
            yield _bad("press_lost", press.device, press.at_ms, text)


def _lost(incident: Incident) -> Iterator[Bad]:
    starts = {one.boot: one.started_ms or 0 for one in incident.boots}
    for loss in incident.losses:
        if loss.reason in REASONS:
            before = [e for e in incident.events if e.boot == loss.boot and e.seq < loss.first]
            at_ms = max((one.at_ms for one in before), default=starts.get(loss.boot, 0))
            count = loss.last - loss.first + 1
            text = f"boot {loss.boot}: {count} events from {loss.first} on are lost, {REASONS[loss.reason]}"
            yield _bad("events_lost", 0, at_ms, text)


def _undelivered(incident: Incident) -> Iterator[Bad]:
    for one in incident.events:
        if one.kind in RAISES and one.delivered_ms is None and incident.length_ms - one.at_ms > WAIT_MS:
            yield _bad(
                "not_delivered", one.device, one.at_ms, f"{one.name} {_id(one)} never reached the platform"
            )


def _silent(incident: Incident, away: Sequence[Away]) -> Iterator[Bad]:
    for alarm in incident.alarms:
        if alarm.kind not in RAISES or alarm.boot > 1 << 30:
            continue
        end = min(_answered(alarm, incident.length_ms), incident.length_ms)
        said = [
            one.at_ms for one in incident.events if _says(one, alarm) and alarm.opened_ms <= one.at_ms <= end
        ]
        for before, after in pairwise([alarm.opened_ms, *sorted(said), end]):
            for begin, until in _running(incident, before, after):
                if until - begin > SILENT_MS and not _away(away, begin, until):
                    text = (
                        f"alarm {_name(alarm)} waited, and was not said again for {(until - begin) // 1000} s"
                    )
                    yield _bad("alarm_silent", alarm.device, begin, text)


def _running(incident: Incident, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Stretches in which the hub is known to have had power."""
    for boot in incident.boots:
        if boot.started_ms is not None and begin < boot.started_ms <= end:
            alive = [one.at_ms for one in incident.events if one.boot < boot.boot]
            yield begin, min(max(alive, default=begin), boot.started_ms)
            begin = boot.started_ms
    yield begin, end


def _says(one: Event, alarm: Alarm) -> bool:
    named = one.data.get("alarm") == [alarm.boot, alarm.seq]
    return named or (one.boot, one.seq) == (alarm.boot, alarm.seq) or one.kind == k.BOOT


def _away(away: Sequence[Away], begin: int, end: int) -> bool:
    """Whether the hub reached nobody for a part of the time."""
    return any(one.what != "platform" and one.from_ms < end and one.to_ms > begin for one in away)


def _excused(incident: Incident, away: Sequence[Away], begin: int, end: int) -> bool:
    """The hub could not know better for a part of the time: no link, or no power."""
    started = (one.started_ms for one in incident.boots if one.started_ms is not None)
    return _away(away, begin, end) or any(begin < at < end for at in started)


def _crashes(incident: Incident, forced: Sequence[int]) -> Iterator[Bad]:
    for one in incident.events:
        if one.kind == k.BOOT and one.data.get("reset") in CRASHES and one.boot not in forced:
            text = f"boot {one.boot}: the program before it ended by {names.RESETS[one.data['reset']]}"
            yield _bad("crash", 0, one.at_ms, text)


def _lamp(incident: Incident, away: Sequence[Away]) -> Iterator[Bad]:
    shown = [(at_ms, name) for at_ms, name in lamps(incident.log) if at_ms is not None]
    own = [one for one in incident.alarms if one.kind in RAISES and one.boot < 1 << 30]
    for (begin, name), (end, _) in pairwise([*shown, (incident.length_ms, "")]):
        for alarm in own:
            opened, answered = alarm.opened_ms, _answered(alarm, incident.length_ms)
            waits = min(end, answered) - max(begin, opened + LAMP_MS)
            others = any(one is not alarm and one.accepted_ms is not None for one in own)
            if name == "well" and waits > LAMP_MS and not _excused(incident, (), begin, min(end, answered)):
                yield _bad(
                    "wrong_lamp", alarm.device, begin, f"the lamp shows well while alarm {_name(alarm)} waits"
                )
            elif name in ("accepted", "coming") and waits > LAMP_MS and not others:
                text = f"the lamp shows {name} while nobody has accepted alarm {_name(alarm)}"
                yield _bad("wrong_lamp", alarm.device, begin, text)
            elif (
                name == "unanswered"
                and answered < incident.length_ms
                and end - max(begin, answered) > ANSWERED_MS
                and len(own) == 1
                and not _excused(incident, away, answered - LAMP_MS, end)
            ):
                text = f"the lamp shows unanswered although alarm {_name(alarm)} was answered"
                yield _bad("wrong_lamp", alarm.device, answered, text)


def _said(incident: Incident) -> Iterator[Bad]:
    for one in [*incident.events, *incident.host_events]:
        if one.kind == k.IDENTITY_FAULT:
            yield _bad("identity_fault", 0, one.at_ms, "one identity was used twice, or by another board")
        elif one.kind == k.STORAGE_FULL:
            yield _bad("storage_full", 0, one.at_ms, f"{one.name} {_id(one)}: flash took nothing more")


def _answered(alarm: Alarm, end: int) -> int:
    moments = [at for at in (alarm.accepted_ms, alarm.closed_ms) if at is not None]
    return min(moments, default=end)


def still(recorded: Iterable[Bad], produced: Iterable[Bad]) -> list[Bad]:
    """Of what the record shows, the kinds that the replay shows too, of the same devices."""
    again = {(one.what, one.device) for one in produced}
    return [one for one in recorded if (one.what, one.device) in again]


def missing(recorded: Incident, produced: Incident) -> list[Event]:
    """Calls and dangers of the record whose like a replay has none of: with no alarm nothing goes wrong."""
    there = {(one.kind, one.device) for one in produced.events}
    return [one for one in recorded.events if one.kind in RAISES and (one.kind, one.device) not in there]


def _bad(what: str, device: int, at_ms: int, text: str) -> Bad:
    return Bad(what=what, device=device, at_ms=at_ms, text=text)


def _id(one: Event) -> str:
    return f"{one.boot}-{one.seq}"


def _name(alarm: Alarm) -> str:
    return f"{alarm.boot}-{alarm.seq}"
