"""What was found, and what it is worth: each finding is one fact with a verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from kanhu.care.proofs import LIMIT_MS
from kanhu.care.rules.past import Device
from kanhu_protocol import kinds as k
from kanhu_protocol import names

from .facts import Facts

Verdict = Literal["good", "remark", "failed", "skipped"]

WEAK_SENSOR_DBM = (
    -85
)  # 12 dB above what an ESP32-S3 still receives (datasheet: -97): doors close, people stand
WEAK_WIFI_DBM = -75  # 802.11n at its slowest rate asks for -82 (IEEE 802.11, HT PHY); 7 dB to spare
FEW = 0.6  # of the beacons that were due
FEWEST_DUE = 4  # before their share says anything
LOW_BATTERY = 20  # percent, ours: EN 50134-2 wants 28 days of warning, of a year
CLOCK_OFF_MS = 60_000
NO_RSSI = 127
MONITORS = frozenset(names.ROLES[number] for number in range(11, 17))
SAID_ELSEWHERE = frozenset({k.MAINS_LOST, k.PATH_FAULT, k.BATTERY_LOW, k.CLOCK_FAULT})


@dataclass(frozen=True)
class Finding:
    """step and what name it (words.py has their words); values: whole numbers and text; device 0: the hub."""

    step: str
    what: str
    verdict: Verdict
    device: int = 0
    values: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As a record has it."""
        found: dict[str, Any] = {"step": self.step, "what": self.what, "verdict": self.verdict}
        if self.device:
            found["device"] = self.device
        if self.values:
            found["values"] = self.values
        return found


def verdict(findings: Iterable[Finding]) -> str:
    """The whole: a name of names.VERDICTS."""
    found = {one.verdict for one in findings}
    if "failed" in found:
        return names.VERDICTS[3]
    return names.VERDICTS[2] if found & {"remark", "skipped"} else names.VERDICTS[1]


def of_hub(facts: Facts, senses_mains: bool = True) -> list[Finding]:
    """What the hub itself has said."""
    if facts.last_ms is None or not facts.is_heard or facts.heartbeat is None:
        return [Finding("hub", "silent", "failed")]
    found = [
        Finding("hub", "heard", "good", values={"seconds": max(0, facts.now_ms - facts.last_ms) // 1000}),
        _firmware(facts), _clock(facts), _link(facts.heartbeat), _mains(facts.heartbeat, senses_mains),
    ]  # fmt: skip
    if facts.alarms:
        found.append(Finding("alarm", "stands", "failed", values={"count": facts.alarms}))
    for device, kind in facts.faults:
        if kind not in SAID_ELSEWHERE:
            name = names.KINDS.get(kind, str(kind))
            found.append(Finding("fault", "stands", "remark", max(0, device), {"fault": name}))
    return found


def path(facts: Facts, pressed: bool) -> Finding:
    """The daily test call; pressed: a press has just come through."""
    if facts.path is None or (not facts.path[0] and not facts.path[2]):
        return Finding("path", "by_press", "good") if pressed else Finding("path", "not_yet", "remark")
    at_ms, span_ms, fault = facts.path
    if fault:
        why = names.DETAILS[k.PATH_FAULT].get(fault, str(fault))
        return Finding("path", "failed", "failed", values={"why": why})
    late = facts.now_ms - at_ms > LIMIT_MS
    return Finding(
        "path", "late" if late else "proven", "remark" if late else "good",
        values={"at_ms": at_ms, "span_ms": span_ms},
    )  # fmt: skip


def of_sensor(device: Device, heard: dict[str, Any] | None, used: bool) -> Finding:
    """How a survey heard a sensor; used: it was pressed, or has seen somebody, meanwhile."""
    if heard is None or not heard["count"]:
        if used:
            return Finding("sensor", "only_used", "remark", device.index)
        if device.role in MONITORS:
            return Finding("sensor", "asleep", "good", device.index)
        return Finding("sensor", "silent", "failed", device.index)
    count, span_ms, interval_ms = heard["count"], heard["span_ms"], heard["interval_ms"]
    due = max(count, round(span_ms / interval_ms)) if interval_ms else count
    weakest, median, strongest = heard["levels_dbm"]
    values = {"count": count, "due": due, "seconds": span_ms // 1000}
    weak = due >= FEWEST_DUE and count < FEW * due
    if median != NO_RSSI:
        values |= {"weakest_dbm": weakest, "median_dbm": median, "strongest_dbm": strongest}
        weak = weak or median < WEAK_SENSOR_DBM
    return Finding("sensor", "weak" if weak else "good", "remark" if weak else "good", device.index, values)


def of_battery(device: Device, percent: int) -> Finding:
    """A sensor's battery."""
    low = percent < LOW_BATTERY
    what: Verdict = "remark" if low else "good"
    return Finding("battery", "low" if low else "good", what, device.index, {"percent": percent})


def of_press(device: Device, proof: dict[str, Any]) -> Finding:
    """A test press and its receipts."""
    if proof["state"] != "delivered":
        return Finding(
            "press", "failed", "failed", device.index, {"why": proof["why"], "code": proof["code"]}
        )
    begun_ms = proof["stored_ms"] if proof["happened_ms"] is None else proof["happened_ms"]
    return Finding(
        "press", "answered", "good", device.index,
        {
            "at_ms": begun_ms, "stored_ms": max(0, proof["stored_ms"] - begun_ms),
            "delivered_ms": max(0, proof["delivered_ms"] - begun_ms),
        },
    )  # fmt: skip


def of_walk(device: Device, count: int) -> Finding:
    """Whether a sensor of movement has seen who walked past it."""
    if not count:
        return Finding("walk", "not_seen", "failed", device.index)
    return Finding("walk", "seen", "good", device.index, {"count": count})


def _firmware(facts: Facts) -> Finding:
    boot, heartbeat = facts.boot or {}, facts.heartbeat or {}
    running, permanent = boot.get(k.SLOT, [1, 1])
    values = {"version": heartbeat.get(k.FIRMWARE, "?"), "slot": names.SLOTS.get(running, str(running))}
    if names.SLOTS.get(running) == "safe":
        return Finding("firmware", "safe", "failed", values=values)
    if running != permanent:
        return Finding("firmware", "trial", "remark", values=values)
    return Finding("firmware", "runs", "good", values=values)


def _clock(facts: Facts) -> Finding:
    heartbeat = facts.heartbeat or {}
    if k.UTC_MS not in heartbeat:
        return Finding("clock", "unknown", "failed")
    # Said, then received: only a clock that is ahead, or far behind, is surely wrong.
    off_ms = heartbeat[k.UTC_MS] - facts.heartbeat_ms
    values = {"source": names.CLOCKS.get(heartbeat[k.CLOCK], "?"), "off_s": round(off_ms / 1000)}
    if abs(off_ms) > CLOCK_OFF_MS:
        return Finding("clock", "off", "remark", values=values)
    return Finding("clock", "synced", "good", values=values)


def _link(heartbeat: dict[int, Any]) -> Finding:
    link = names.LINKS.get(heartbeat.get(k.LINK, 0), "none")
    if k.RSSI not in heartbeat:
        return Finding("link", "other", "good", values={"link": link})
    rssi = heartbeat[k.RSSI]
    weak = rssi < WEAK_WIFI_DBM
    values = {"link": link, "rssi_dbm": rssi}
    return Finding("link", "weak" if weak else "good", "remark" if weak else "good", values=values)


def _mains(heartbeat: dict[int, Any], sensed: bool = True) -> Finding:
    mains, battery = heartbeat.get(k.POWER, [None, None])
    values = {} if battery is None else {"percent": battery}
    if mains is None or not sensed:  # a hub without the wire says what it was made with
        return Finding("mains", "not_sensed", "good", values=values)
    return Finding("mains", "present" if mains else "lost", "good" if mains else "failed", values=values)
