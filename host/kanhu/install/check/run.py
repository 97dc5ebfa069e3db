"""The check itself: what is asked of the daemon, what a person is told to do, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kanhu import requests
from kanhu.care.rules.past import Device
from kanhu.errors import KanhuError
from kanhu.pairing import PROOF_S
from kanhu.registry import Registry

from . import facts, findings, words
from .findings import Finding
from .surveys import MAX_S

LOOK_EVERY_S = 0.3
START_S = 20.0  # a hub's first heartbeat comes 5 s after its start, its network may take longer
SURVEY_S = 60
BUSY_S = 10.0  # a test press that is just over still has the hub's lamp for a moment
MIN_SURVEY_S = 5
CALLER, MOVEMENT = "call", "motion"
SKIPS = ("press", "walk", "survey")


class CheckError(KanhuError):
    """A check is not possible so; one line that says what to do."""


class Teller(Protocol):
    """Whoever shows the installer how it goes."""

    def now(self, text: str) -> None:
        """What is awaited at this moment; in place of what was."""

    def found(self, finding: Finding, device: Device | None) -> None:
        """A finding, as it comes."""

    def again(self, question: str) -> bool:
        """Whether to try once more; False where there is nobody to be asked."""


@dataclass(frozen=True)
class Plan:
    """What is checked. skips: a name of SKIPS, or one with the index of a device (press:3), and why."""

    folder: Path  # the daemon's
    hub: str
    devices: tuple[Device, ...]
    lang: words.Lang = "en"
    seconds: int = SURVEY_S
    wait_s: int = PROOF_S
    skips: dict[str, str] = field(default_factory=dict)
    senses_mains: bool = True

    def why(self, step: str, index: int) -> str:
        """Why a step of a device is skipped; empty: it is not."""
        return self.skips.get(f"{step}:{index}") or self.skips.get(step, "")


def plan(
    folder: Path, hub: str, lang: words.Lang, seconds: int, wait_s: int, skips: list[str]
) -> Plan:  # fmt: skip
    """Read a hub's devices; CheckError, RegistryError."""
    if not MIN_SURVEY_S <= seconds <= MAX_S:
        raise CheckError(f"--seconds {seconds}: must be {MIN_SURVEY_S} to {MAX_S}")
    if not 1 <= wait_s <= PROOF_S:
        raise CheckError(f"--wait {wait_s}: must be 1 to {PROOF_S}")
    registry = Registry.open(folder, "read")
    try:
        if registry.hub(hub).revoked_ms is not None:
            raise CheckError(f"hub {hub}: is revoked")
        devices = tuple(registry.devices_of(hub))
        senses_mains = registry.settings(hub).get("mains") is not None
    finally:
        registry.close()
    return Plan(folder, hub, devices, lang, seconds, wait_s, _skips(skips, devices), senses_mains)


def _skips(given: list[str], devices: tuple[Device, ...]) -> dict[str, str]:
    known = {*SKIPS, *(f"{step}:{one.index}" for step in SKIPS for one in devices)}
    found = {}
    for text in given:
        what, _, why = text.partition("=")
        if what not in known or not why.strip():
            raise CheckError(
                f"--skip {text!r}: write WHAT=REASON with WHAT one of {', '.join(SKIPS)}, or press:INDEX"
            )
        found[what] = why.strip()
    return found


def run(plan: Plan, teller: Teller) -> list[Finding]:
    """All of it; KanhuError when no daemon answers. Ended early, no press is taken for a test."""
    found: list[Finding] = []

    def add(finding: Finding) -> None:
        found.append(finding)
        teller.found(finding, _device(plan, finding.device))

    for one in findings.of_hub(_first(plan, teller), plan.senses_mains):
        add(one)
    if any(one.step in ("hub", "alarm") and one.verdict == "failed" for one in found):
        return found  # nothing below can be asked of it
    survey, walked = _listen(plan, teller)
    for device, count in walked:
        why = plan.why("walk", device.index)
        skipped = Finding("walk", "skipped", "skipped", device.index, {"reason": why})
        add(skipped if why else findings.of_walk(device, count))
    for one in _presses(plan, teller):
        add(one)
    used = {one.device for one in found if one.step in ("press", "walk") and one.verdict == "good"}
    for one in _heard(plan, survey, used):
        add(one)
    last = facts.read(plan.folder, plan.hub)
    for device in plan.devices:
        if device.index in last.batteries and device.radio:
            add(findings.of_battery(device, last.batteries[device.index]))
    add(findings.path(last, any(one.step == "press" and one.verdict == "good" for one in found)))
    return found


def _first(plan: Plan, teller: Teller) -> facts.Facts:
    """Facts with a heartbeat; a hub that has just been plugged in takes a moment to its first."""
    until = time.monotonic() + START_S
    while True:
        found = facts.read(plan.folder, plan.hub)
        if (found.is_heard and found.heartbeat is not None) or time.monotonic() >= until:
            return found
        teller.now(words.pick(words.STARTING, plan.lang, left=_left(until)))
        time.sleep(LOOK_EVERY_S)


def _device(plan: Plan, index: int) -> Device | None:
    return next((one for one in plan.devices if one.index == index), None)


# The minute in which the hub listens, and somebody walks


def _listen(plan: Plan, teller: Teller) -> tuple[dict[str, Any], list[tuple[Device, int]]]:
    survey: dict[str, Any] = {"state": "skipped", "why": plan.skips.get("survey", ""), "heard": []}
    if any(one.radio for one in plan.devices) and not survey["why"]:
        survey = _ask(plan, "check.survey", seconds=plan.seconds)
    sensors = [one for one in plan.devices if one.role == MOVEMENT]
    walkers = [one for one in sensors if not plan.why("walk", one.index)]
    walk = _ask(plan, "check.walk", seconds=plan.wait_s) if walkers else {"seen": []}
    began = time.monotonic()
    survey_ends, walk_ends = began + plan.seconds, began + plan.wait_s
    while True:
        seen = {one["device"]: one["count"] for one in walk["seen"] if one["hub"] == plan.hub}
        dark = [one for one in walkers if not seen.get(one.index)]
        walking = bool(dark) and time.monotonic() < walk_ends
        surveying = survey["state"] in ("asked", "running")
        if not walking and not surveying:
            return survey, [(one, seen.get(one.index, 0)) for one in sensors]
        if walking:
            titles = ", ".join(words.title(one, plan.lang) for one in dark)
            teller.now(words.pick(words.WALK, plan.lang, titles=titles, left=_left(walk_ends)))
        else:
            teller.now(words.pick(words.SURVEYING, plan.lang, left=_left(survey_ends)))
        time.sleep(LOOK_EVERY_S)
        if surveying:
            survey = _ask(plan, "check.surveyed")
            if survey.get("busy") and time.monotonic() - began < BUSY_S:
                survey = _ask(plan, "check.survey", seconds=plan.seconds)
                survey_ends = time.monotonic() + plan.seconds
        if walking:
            walk = _ask(plan, "check.walked")


def _heard(plan: Plan, survey: dict[str, Any], used: set[int]) -> Iterator[Finding]:
    sensors = [one for one in plan.devices if one.radio]
    if survey["state"] == "failed":
        yield Finding("survey", "failed", "failed", values={"why": survey["why"]})
        return
    heard = {one["device"]: one for one in survey["heard"]}
    for one in sensors:
        why = plan.why("survey", one.index)
        skipped = Finding("survey", "skipped", "skipped", one.index, {"reason": why})
        yield skipped if why else findings.of_sensor(one, heard.get(one.index), one.index in used)


# A press from each caller


def _presses(plan: Plan, teller: Teller) -> Iterator[Finding]:
    callers = [one for one in plan.devices if one.role == CALLER]
    if not callers:
        yield Finding("press", "none", "failed")
    for one in callers:
        why = plan.why("press", one.index)
        if why:
            yield Finding("press", "skipped", "skipped", one.index, {"reason": why})
            continue
        while True:
            finding = findings.of_press(one, _prove(plan, teller, one))
            question = f"{words.title(one, plan.lang)}: {words.said(finding, plan.lang)}. "
            if finding.verdict == "good" or not teller.again(question + words.pick(words.AGAIN, plan.lang)):
                break
        yield finding


def _prove(plan: Plan, teller: Teller, device: Device) -> dict[str, Any]:
    name = words.title(device, plan.lang)
    try:
        proof = requests.ask(
            plan.folder,
            {"do": "pair.prove", "hub": plan.hub, "index": device.index, "seconds": plan.wait_s},
        )
        while proof["state"] not in ("delivered", "failed"):
            if proof["state"] == "ready":
                left = max(0, (proof["ends_ms"] - time.time_ns() // 1_000_000 + 999) // 1000)
                teller.now(words.pick(words.PRESS, plan.lang, title=name, left=left))
            else:
                stored = proof["state"] == "stored"
                teller.now(words.pick(words.CENTRE if stored else words.TELLING, plan.lang))
            time.sleep(LOOK_EVERY_S)
            proof = requests.ask(plan.folder, {"do": "pair.proof", "hub": plan.hub})
    except BaseException:
        # Whoever goes away leaves no hub that takes a press for a test.
        requests.ask(plan.folder, {"do": "pair.close", "hub": plan.hub})
        raise
    return proof


def _ask(plan: Plan, do: str, **more: Any) -> dict[str, Any]:
    return requests.ask(plan.folder, {"do": do, "hub": plan.hub, **more})


def _left(until: float) -> int:
    return max(0, round(until - time.monotonic()))
