"""What the record keeps of every test by itself: logs of boards, moments of lamp and platform, calls."""

from __future__ import annotations

from typing import Any

from kanhu.qa.host import Host, Platform
from kanhu.qa.hub import Hub
from kanhu.qa.record import Recorder
from kanhu_protocol import kinds as k

LAMP = "kanhu: lamp "  # what a hub says when its pattern changes
LINES_MAX = 2000  # of the stimulus; the newest
SHOWN = ("p1", "p2")  # classes whose arrival is a moment of its own


def take(recorder: Recorder, hub: Hub, platform: Platform, said: int, stimulus: Any) -> None:
    """Of the test since `platform` began; said: where the hub's log was then."""
    begin = platform.begin
    recorder.attach_log(hub.name, hub.log(said))
    for at, line in hub.lines():
        if at >= begin and line.startswith(LAMP):
            recorder.mark(f"lamp {line.removeprefix(LAMP)}", at)
    for at, event in platform.timed(hub=hub.hub_id):
        if event.event_class in SHOWN:
            recorder.mark(f"platform {event.name}", at, event.id)
    if stimulus is not None:
        rows = [f"{at - begin:9.3f} {line}" for at, line in stimulus.lines() if at >= begin]
        recorder.attach_log(stimulus.name, "\n".join(rows[-LINES_MAX:]))


class Account:
    """The calls that the host stores of a hub from now on, whatever a test itself asks about them."""

    def __init__(self, host: Host, hub_id: str) -> None:
        self._host = host
        self._hub_id = hub_id
        self._before = host.newest(hub_id)
        self._repeats = host.city.tally.repeats

    def close(self, recorder: Recorder) -> list[str]:
        """Write them down, unless the test counted its own; which of them the platform never had."""
        city = self._host.city
        stored = {f"{one.boot}-{one.seq}" for one in self._host.stored(self._hub_id, k.CALL, self._before)}
        with city.lock:
            arrived = {event.id for _, event in city.log if event.hub == self._hub_id}
            doubled = city.tally.repeats - self._repeats
        lost = sorted(stored - arrived)
        if not recorder.counted and (stored or doubled):
            recorder.calls(len(stored), len(stored & arrived), len(lost), doubled)
        return lost
