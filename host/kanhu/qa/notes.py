"""What the record keeps of every test by itself: what boards said, and when lamp and platform changed."""

from __future__ import annotations

from typing import Any

from kanhu.qa.host import Platform
from kanhu.qa.hub import Hub
from kanhu.qa.record import Recorder

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
