"""From a record to what must have happened to the hub: stimuli in time, each with what it was inferred from.

Only what the record shows is inferred. Where it leaves room (when within a gap did the power go?) the rule is
one of the constants below, and is said beside the stimulus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from kanhu.qa.incidents.form import Boot, Event, Incident
from kanhu.qa.incidents.outages import Away, outages
from kanhu.registry import checks
from kanhu_protocol import kinds as k
from kanhu_protocol import names

PRESS_MS = 30  # kanhu_hub.inputs.call_button: a press is a contact that has been closed for so long
HELD_MS = 150  # of a press by hand
GAP_MS = 600  # between two presses that the hub counted into one event
MOTION_MS = 20  # kanhu_hub.inputs.pir: a movement is an output that has been high for so long
MOVED_MS = 2000  # of a movement before a PIR
MAINS_MS = 5000  # kanhu_hub.faults: debounce of the mains input
STUCK_MS = 30_000  # kanhu_hub.inputs.call_button
OFF_MS = 3000  # how long the power was away before a start, where the record leaves more room than this
OFF_SHARE = 2  # and where it leaves less: from the middle of the gap on
ALARM_PULSE_MS = 5000  # while an alarm waits the hub speaks every 10 s: it was off for most of a longer gap
CRASHES = (3, 6, 7, 8)  # names.RESETS of a program that ended by itself, or was ended by the watchdog
# Sensors on the air: kind -> what the sensor of the device sends.
STATES = {
    k.SMOKE: ("smoke", 1), k.SMOKE_CLEAR: ("smoke", 0), k.GAS: ("gas", 1), k.GAS_CLEAR: ("gas", 0),
    k.CARBON_MONOXIDE: ("carbon_monoxide", 1), k.CARBON_MONOXIDE_CLEAR: ("carbon_monoxide", 0),
    k.WATER_LEAK: ("moisture", 1), k.WATER_LEAK_CLEAR: ("moisture", 0), k.DOOR_OPEN: ("door", 1),
    k.DOOR_CLOSED: ("door", 0), k.WINDOW_OPEN: ("window", 1), k.WINDOW_CLOSED: ("window", 0),
    k.TAMPER: ("tamper", 1), k.TAMPER_RESTORED: ("tamper", 0), k.BATTERY_LOW: ("battery_low", 1),
    k.BATTERY_OK: ("battery_low", 0), k.FALL: ("fall", 1),
}  # fmt: skip
# What people or parts of the hub that are not simulated here did: it cannot be done again.
NOT_REPLAYED = (
    k.LINE_FAULT, k.LINE_OK, k.SENSOR_DOUBTED, k.VITALS, k.VITALS_INVALID, k.MONITOR_FAULT, k.MONITOR_OK,
    k.TEST_PRESS, k.PAIRED, k.UNPAIRED, k.PAIRING_OPENED, k.PAIRING_CLOSED, k.SENSOR_HEARD, k.SURVEY,
    k.PROVISIONED, k.UPDATE_PROGRESS, k.UPDATE_DONE, k.UPDATE_FAILED, k.SAFE_MODE, k.SAFE_MODE_ENDED,
    k.PRE_ALARM, k.PRE_ALARM_CANCELLED, k.WALK_TEST, k.SERVICE_REQUEST, k.CHECK_IN, k.CHECK_OUT,
)  # fmt: skip
_ANSWERS = ("accepted", "dispatched", "on_scene", "closed")


class Stimulus(NamedTuple):
    """One thing done to the simulated home at at_ms of the incident, and what says that it happened."""

    at_ms: int
    do: str
    args: dict[str, Any]
    because: str


class Script(NamedTuple):
    """Stimuli in order; inferences that are not about one stimulus; what cannot be replayed, by kind."""

    stimuli: list[Stimulus]
    notes: list[str]
    skipped: dict[str, int]
    away: list[Away]


def wired(settings: dict[str, Any]) -> tuple[dict[int, int], dict[int, int]]:
    """Pins of buttons and of PIRs by device."""
    buttons = settings.get("buttons", checks.DEFAULT_WIRED["buttons"])
    pirs = settings.get("pirs", checks.DEFAULT_WIRED["pirs"])
    return {row[0]: row[1] for row in buttons}, {row[0]: row[1] for row in pirs}


def infer(incident: Incident) -> Script:
    """What happened to the hub and to those it speaks to."""
    notes = _notes(incident)
    away = outages(incident)
    inferred = _Inferring(incident)
    stimuli = [
        *inferred.hub(),
        *inferred.starts(),
        *_people(incident),
        *(one for span in away for one in _absence(span)),
    ]
    order = {
        what: place for place, what in enumerate(("power_off", "line", "link", "host", "reach", "platform"))
    }
    stimuli.sort(key=lambda one: (one.at_ms, order.get(one.do, 9), one.do, str(one.args)))
    return Script(stimuli, notes, dict(sorted(inferred.skipped.items())), away)


def _notes(incident: Incident) -> list[str]:
    notes = list(incident.notes)
    settings = incident.settings
    if any(row[2] is not None for row in settings.get("buttons", [])):
        notes.append("supervised lines are replayed as plain wires: their faults cannot be made here")
    if set(settings.get("links", ["mqtt"])) != {"mqtt"}:
        notes.append("links other than MQTT are not replayed: all goes over MQTT")
    if any(one.encrypted for one in incident.table):
        notes.append("encrypted sensors send in plain here: their keys are not in the file")
    if settings.get("network") == "ppp":
        notes.append("the cellular modem is replayed as Wi-Fi: what it is to the hub is a way out")
    if incident.boots and not incident.boots[0].in_span:
        notes.append(
            f"boot {incident.boots[0].boot} began before the record: the hub starts shortly before it, with "
            "empty memory, and what it says until the record begins is not compared"
        )
    if any(one.clock in ("boot", "received") for one in incident.events):
        notes.append("the hub knew no time for a part: those events are placed by their boot's receipt")
    return notes


class _Inferring:
    def __init__(self, incident: Incident) -> None:
        self._incident = incident
        self._buttons, self._pirs = wired(incident.settings)
        self._sensors = {one.device: one for one in incident.table}
        self.skipped: Counter[str] = Counter()

    def hub(self) -> Iterator[Stimulus]:
        """What its inputs saw."""
        pressed: dict[int, int] = {}  # device: when its last press was
        for one in self._incident.events:
            yield from self._event(one, pressed)
        for press in self._incident.pressed:
            yield Stimulus(press.at_ms, "press", {"device": press.device}, "people tell of it")

    def _event(self, one: Event, pressed: dict[int, int]) -> Iterator[Stimulus]:
        why, device = f"{one.name} {one.boot}-{one.seq}", one.device
        args: dict[str, Any] = {"device": device}
        if one.kind == k.CALL and (device in self._buttons or device in self._sensors):
            yield from self._presses(one, pressed)
        elif one.kind == k.MOTION and (device in self._pirs or device in self._sensors):
            early = MOTION_MS if device in self._pirs else 0
            yield Stimulus(one.at_ms - early, "motion", args, why)
        elif one.kind == k.MOTION_COUNT and (device in self._pirs or device in self._sensors):
            # The first may follow a movement that still holds the sensor's output.
            count = min(one.number("count", 1), 500)
            first = one.at_ms - one.number("span_ms", 60_000) + MOVED_MS + 500
            for number in range(count):
                at_ms = first + number * max(0, one.at_ms - MOVED_MS - first) // count
                said = f"{why}: movement {number + 1} of {count}, spread evenly"
                yield Stimulus(at_ms, "motion", args, said)
        elif one.kind in STATES and device in self._sensors:
            what, value = STATES[one.kind]
            yield Stimulus(one.at_ms, "advertise", {**args, "object": what, "value": value}, why)
        elif one.kind in (k.MAINS_LOST, k.MAINS_BACK):
            on = one.kind == k.MAINS_BACK
            yield Stimulus(one.at_ms - MAINS_MS, "mains", {"on": on}, f"{why}: said {MAINS_MS} ms after")
        elif one.kind == k.SENSOR_SILENT and device in self._sensors:
            at_ms = one.at_ms - one.number("span_ms", 0)
            yield Stimulus(at_ms, "range", {**args, "on": False}, f"{why}: not heard since")
        elif one.kind == k.SENSOR_BACK and device in self._sensors:
            yield Stimulus(one.at_ms, "range", {**args, "on": True}, why)
        elif one.kind == k.CONTACT_STUCK and device in self._buttons:
            at_ms = one.at_ms - max(STUCK_MS, one.number("span_ms", 0)) - PRESS_MS
            yield Stimulus(at_ms, "hold", {**args, "on": True}, f"{why}: held since")
        elif one.kind == k.CONTACT_RELEASED and device in self._buttons:
            yield Stimulus(one.at_ms - 2 * PRESS_MS, "hold", {**args, "on": False}, why)
        elif one.kind == k.STORAGE_FULL:
            state = "failing" if one.number("detail", 1) == 2 else "full"
            yield Stimulus(one.at_ms - 1000, "flash", {"state": state}, why)
        elif one.kind == k.STORAGE_OK:
            yield Stimulus(one.at_ms - 1000, "flash", {"state": "well"}, why)
        elif one.kind in NOT_REPLAYED or one.kind in (*STATES, k.CALL, k.MOTION):
            self.skipped[one.name] += 1

    def _presses(self, one: Event, pressed: dict[int, int]) -> Iterator[Stimulus]:
        count = min(one.number("count", 1), 100)
        at_ms = one.at_ms - (PRESS_MS if one.device in self._buttons else 0)
        first = pressed.get(one.device, at_ms - 10_000)
        gap = max(GAP_MS, min(2000, (at_ms - first) // (count + 1)))
        pressed[one.device] = at_ms
        why = f"{one.name} {one.boot}-{one.seq}"
        for number in range(count):
            said = (
                why if count == 1 else f"{why}: press {number + 1} of {count} that the hub counted together"
            )
            yield Stimulus(at_ms - (count - 1 - number) * gap, "press", {"device": one.device}, said)

    def starts(self) -> Iterator[Stimulus]:
        """Where power went and came, or the hub started again."""
        before: Boot | None = None
        for boot in self._incident.boots:
            if boot.started_ms is not None and boot.in_span:
                yield from self._start(boot, before)
            before = boot

    def _start(self, boot: Boot, before: Boot | None) -> Iterator[Stimulus]:
        at_ms, reset = boot.started_ms or 0, boot.reset or 0
        name = names.RESETS.get(reset, str(reset))
        if reset in CRASHES:
            why = f"boot {boot.boot} says {name}; only if the firmware does not do it by itself"
            yield Stimulus(at_ms, "crash", {"boot": boot.boot, "reset": reset}, why)
            return
        if reset != 1 or before is None:
            yield Stimulus(
                at_ms, "power_on", {"boot": boot.boot, "reset": reset or 1}, f"boot {boot.boot}: {name}"
            )
            return
        last = max(self._alive(before.boot, at_ms), default=at_ms - OFF_MS)
        gap = max(0, at_ms - last)
        off_ms = at_ms - min(OFF_MS, gap // OFF_SHARE)
        if self._waiting(last) and gap > 2 * ALARM_PULSE_MS:
            off_ms = max(last + 200, min(last + ALARM_PULSE_MS, self._due(before.boot) - 500))
        why = f"boot {boot.boot}: power_on; boot {before.boot} last spoke {gap} ms before it"
        yield Stimulus(min(off_ms, at_ms - 1), "power_off", {}, why)
        yield Stimulus(at_ms, "power_on", {"boot": boot.boot, "reset": 1}, why)

    def _alive(self, boot: int, until_ms: int) -> Iterator[int]:
        """When a boot spoke, or wrote on its console, before the next began."""
        yield from (one.at_ms for one in self._incident.events if one.boot == boot)
        for line in self._incident.log:
            if line.at_ms is not None and line.at_ms < until_ms and line.boot in (boot, None):
                yield line.at_ms

    def _due(self, boot: int) -> int:
        """When the hub would have said the alarm again, had it had power."""
        said = [
            one.at_ms
            for one in self._incident.events
            if one.boot == boot
            and (one.kind == k.CALL_UNANSWERED or (one.kind == k.CALL and "alarm" not in one.data))
        ]
        return max(said, default=0) + 2 * ALARM_PULSE_MS

    def _waiting(self, at_ms: int) -> bool:
        return any(
            one.opened_ms <= at_ms and (one.accepted_ms or one.closed_ms or at_ms + 1) > at_ms
            for one in self._incident.alarms
        )


def _people(incident: Incident) -> Iterator[Stimulus]:
    for number, alarm in enumerate(incident.alarms):
        if alarm.boot > 1 << 30:
            continue  # a rule of the host raised it
        for step in alarm.steps:
            if step.what in _ANSWERS and step.at_ms <= incident.length_ms:
                args = {"alarm": number, "step": step.what, "by": step.by or "op1"}
                yield Stimulus(step.at_ms, "answer", args, f"alarm {alarm.boot}-{alarm.seq} {step.what}")


def _absence(span: Away) -> Iterator[Stimulus]:
    yield Stimulus(span.from_ms, span.what, {"on": False}, span.because)
    yield Stimulus(span.to_ms, span.what, {"on": True}, span.because)
