"""When hub and host, or host and platform, did not reach each other: read off what came late."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from kanhu.qa.incidents.form import Event, Incident
from kanhu_protocol import kinds as k

LATE_MS = 5000  # an event that took longer than this to be stored was held up
DELIVERED_LATE_MS = 20_000  # the same to be delivered: the host sends again after 10 s
RECEIPT_LATE_MS = 2000  # of what raises an alarm: the lamp shows that receipt
STARTING_MS = 45_000  # a hub that starts has to find its network first
BEFORE_MS = 500  # an outage begins this long before the first event that it held up
RETURN_MS = 1000  # and ends this long before the first of them arrives
RESTART_MS = 3000  # how long a daemon was away that held nothing up
LOST_MS = 30_000  # kanhu_hub.courier: link.lost is said this long after
SOON_MS = 200  # a dead line that comes back carries at once
HELD_MS = 75_000  # a hub notices a dead line within its keep-alive, and says so LOST_MS later


RAISES = (k.CALL, k.FALL, k.SMOKE, k.GAS, k.CARBON_MONOXIDE)


class Away(NamedTuple):
    """what: link (the hub's connection is reset, then nothing gets through), line (nothing gets through, and
    nobody is told), host (no daemon runs), reach (one runs and is not reached), platform."""

    what: str
    from_ms: int
    to_ms: int
    because: str


def outages(incident: Incident) -> list[Away]:
    """All of them, in order; those of one kind do not overlap."""
    events = sorted(incident.events, key=lambda one: one.at_ms)
    links = [*_console(incident), *_links(events, incident.length_ms)]
    hosts = [_named(incident, events, span, links) for span in _late(incident, events)]
    found = _joined([*links, *(one for one in hosts if one is not None), *_restarts(incident, events, hosts)])
    return sorted([*found, *_joined(_platform(incident))], key=lambda one: (one.from_ms, one.what))


def _console(incident: Incident) -> Iterable[Away]:
    """What the console says of the MQTT link, where its lines have times."""
    since: int | None = None
    for line in incident.log:
        if line.at_ms is None or not line.text.startswith("mqtt: "):
            continue
        if line.text != "mqtt: connected":
            since = line.at_ms if since is None else since
        elif since is not None:
            # It says so when both of its sessions are back; one of them may have been sooner.
            began = since + BEFORE_MS
            came = min((e.received_ms for e in incident.events if e.received_ms > began), default=line.at_ms)
            end = min(line.at_ms, came) - RETURN_MS
            if end > since:
                yield Away("link", since, end, "the console says when it was not connected")
            since = None


def _links(events: Sequence[Event], length_ms: int) -> Iterable[Away]:
    """What the hub itself said of its MQTT link."""
    lost: Event | None = None
    for one in events:
        if one.number("detail", 0) != 1 or one.kind not in (k.LINK_LOST, k.LINK_BACK):
            continue
        if one.kind == k.LINK_LOST:
            lost = one
        elif lost is not None and lost.boot == one.boot:
            begin = one.at_ms - one.number("span_ms", 0)
            yield Away("link", begin, one.at_ms - RETURN_MS, f"link.lost {_id(lost)}, link.back {_id(one)}")
            lost = None
        else:
            lost = None
    if lost is not None:
        yield Away("link", lost.at_ms - LOST_MS, length_ms, f"link.lost {_id(lost)}, and no link.back")


def _late(incident: Incident, events: Sequence[Event]) -> list[tuple[int, int, str]]:
    """(from, to, why) of stretches in which nothing of the hub was stored."""
    starts = [one.started_ms for one in incident.boots if one.started_ms is not None]
    prompt = sorted(one.received_ms for one in events if one.received_ms - one.at_ms <= LATE_MS)
    found: list[tuple[int, int, str]] = []
    for one in events:
        took = one.received_ms - one.at_ms
        starting = any(0 <= one.at_ms - start < STARTING_MS for start in starts) and took < STARTING_MS
        if took <= LATE_MS or starting or (found and one.at_ms <= found[-1][1]):
            continue
        # The first that arrived of all that were held up ended it.
        held = [e for e in events if e.at_ms >= one.at_ms and e.received_ms - e.at_ms > LATE_MS]
        end = min(e.received_ms for e in held) - RETURN_MS
        begin = one.at_ms - BEFORE_MS
        before = max((at for at in prompt if at <= one.at_ms), default=begin)
        found.append(
            (max(begin, before), end, f"{one.name} {_id(one)} was stored {took} ms after it happened")
        )
    return [span for span in found if span[1] > span[0]]


def _named(
    incident: Incident, events: Sequence[Event], span: tuple[int, int, str], links: Sequence[Away]
) -> Away | None:
    begin, end, why = span
    if any(one.from_ms - LATE_MS <= begin <= one.to_ms + LATE_MS for one in links):
        return None  # the hub has said it itself
    start = next((at for at in incident.host_starts_ms if begin <= at <= end + LATE_MS), None)
    if start is not None:
        return Away("host", begin, start, f"a daemon started at {start} ms; {why}")
    if end - begin > HELD_MS:
        return Away("reach", begin, end, f"{why}, and the hub missed no link")
    return Away("line", begin, end + RETURN_MS - SOON_MS, f"{why}, and the hub missed no link")


def _restarts(incident: Incident, events: Sequence[Event], named: Sequence[Away | None]) -> Iterable[Away]:
    """Daemons that started: away since what they held up, or for a moment only."""
    for at in incident.host_starts_ms:
        if at <= 0 or any(one is not None and one.what == "host" and one.to_ms == at for one in named):
            continue
        heard = max((one.received_ms for one in events if one.received_ms < at), default=at - RESTART_MS)
        held = min((one.at_ms for one in events if one.at_ms < at <= one.received_ms), default=at)
        begin = max(heard + 100, min(held - BEFORE_MS, at - RESTART_MS))
        if begin < at:
            yield Away("host", begin, at, f"a daemon started at {at} ms, and heard nothing since {begin} ms")


def _platform(incident: Incident) -> Iterable[Away]:
    spans: list[Away] = []
    end = incident.length_ms
    for one in sorted(incident.events, key=lambda event: event.received_ms):
        got = one.delivered_ms if one.delivered_ms is not None else end
        took = got - one.received_ms
        # One that happened at the end was not waited for.
        limit = RECEIPT_LATE_MS if one.kind in RAISES else DELIVERED_LATE_MS
        if took <= limit or (spans and one.received_ms <= spans[-1].to_ms):
            continue
        held = [e for e in incident.events if e.received_ms >= one.received_ms and e.delivered_ms is not None]
        first = min((e.delivered_ms for e in held if e.delivered_ms is not None), default=end)
        to_ms = max(one.received_ms, min(got, first) - min(RETURN_MS, took // 2))
        why = f"{one.name} {_id(one)} was delivered {took} ms after it was stored"
        if to_ms > one.received_ms:
            spans.append(Away("platform", one.received_ms - BEFORE_MS, to_ms, why))
    return spans


def _joined(spans: Iterable[Away]) -> list[Away]:
    """Those of one kind that touch or overlap are one."""
    ordered = sorted(spans, key=lambda one: (one.what, one.from_ms))
    for one, after in pairwise(list(ordered)):
        if one.what == after.what and after.from_ms <= one.to_ms:
            both = Away(one.what, one.from_ms, max(one.to_ms, after.to_ms), f"{one.because}; {after.because}")
            return _joined([both, *(each for each in ordered if each is not one and each is not after)])
    return ordered


def _id(one: Event) -> str:
    return f"{one.boot}-{one.seq}"
