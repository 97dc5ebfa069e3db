"""What the hub no longer holds, said exactly."""

from micropython import const

from kanhu_hub.outbox import Held
from kanhu_protocol import kinds as k

THINNED, NOT_HELD = 1, 2  # DETAIL of events.lost

_RANGES_MAX = const(16)  # in one event (events.cddl)
_AGAIN_MAX = const(16)  # events said again for one request; the host asks for the rest


def spans(names):
    """[[boot, first, last], ...] of sorted (boot, seq) names."""
    found = []
    for boot, seq in names:
        if found and found[-1][0] == boot and found[-1][2] == seq - 1:
            found[-1][2] = seq
        else:
            found.append([boot, seq, seq])
    return found


def report(recorder, ranges, detail):
    """Record events.lost for the ranges; False when one of them could not be kept."""
    good = True
    for at in range(0, len(ranges), _RANGES_MAX):
        part = ranges[at : at + _RANGES_MAX]
        count = sum([last - first + 1 for _, first, last in part])
        name, _ = recorder.record(k.EVENTS_LOST, {k.LOST: part, k.COUNT: count, k.DETAIL: detail})
        good = good and name is not None
    return good


def say_again(ranges, outbox, recorder):
    """REQUEST_MISSING: what is held becomes due, the rest is reported; False when that could not be kept."""
    given = []
    for boot, first, last in ranges:
        # A seq that was never given out cannot be lost.
        top = recorder.seq - 1 if boot == recorder.boot else last
        if boot <= recorder.boot and first <= top:
            given.append([boot, first, min(last, top)])
    held = []
    again = []
    rest = given

    def wanted(boot, seq):
        return any(row[0] == boot and row[1] <= seq <= row[2] for row in given)

    try:
        for _ in range(2):  # lost is what two readings do not find
            for event in outbox.events(wanted):
                if event[1:3] not in held:
                    held.append(event[1:3])
                    again.append(event)
                if len(again) >= _AGAIN_MAX:
                    break
            rest = _without(given, sorted(held))
            if not rest or len(again) >= _AGAIN_MAX:
                break
    except OSError:
        rest = []  # what cannot be read now may be later: the host asks again
    under_way = {}
    for lane in (outbox.urgent, outbox.flight, outbox.unsaved):
        for item in lane:
            under_way[item.name] = item
    for cls, boot, seq, sealed in again:
        item = under_way.get((boot, seq))
        if item:
            item.due = {}
        else:
            # Ahead of the lane's cursor or already stored: an extra copy is harmless, the host knows it.
            outbox.flight.append(Held(cls, (boot, seq), sealed))
    if len(again) >= _AGAIN_MAX:
        return True
    return report(recorder, rest, NOT_HELD)


def _without(ranges, held):
    rest = []
    for boot, first, last in ranges:
        for name in held:
            if name[0] == boot and first <= name[1] <= last:
                if name[1] > first:
                    rest.append([boot, first, name[1] - 1])
                first = name[1] + 1
        if first <= last:
            rest.append([boot, first, last])
    return rest
