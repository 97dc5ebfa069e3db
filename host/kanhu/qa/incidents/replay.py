"""Plays an incident on the simulated hub and takes the record of that, by the same means as in the field."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kanhu.qa.incidents.extract import extract
from kanhu.qa.incidents.form import Bad, Incident, IncidentError
from kanhu.qa.incidents.outcomes import bad
from kanhu.qa.incidents.programs import Program
from kanhu.qa.incidents.script import Script, infer
from kanhu.qa.incidents.stage import LEAD_S, Performance
from kanhu.sim.world.hub import HubFailed

BEFORE_MS = int(LEAD_S * 1000)  # looked at before the record: how the lamp stood when it began
MARGIN_MS = 75_000  # and after it, for what comes a little late
SETTLE_S = 600.0  # after the end, with everything well again, all that flash holds is stored within this
STEP_S = 5.0


class Played(NamedTuple):
    """script: what was done; record: what came of it; forced: boots that the script had to begin."""

    script: Script
    record: Incident
    bad: list[Bad]
    forced: list[int]
    trace: list[str]  # for who looks into it


def seed_of(incident: Incident) -> int:
    """The chance of a replay, out of the record itself."""
    plain = incident.model_dump(mode="json", exclude={"kept"})
    return int.from_bytes(hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()[:4], "big")


def play(incident: Incident, program: Program, seed: int | None = None) -> Played:
    """The incident once more, on that firmware: same incident, firmware and seed, same result.

    IncidentError when the firmware cannot be run at all."""
    script = infer(incident)
    try:
        return _play(incident, script, program, seed_of(incident) if seed is None else seed)
    except HubFailed as error:
        raise IncidentError(f"{program.origin} does not run on the simulated hub: {error}") from None


def _play(incident: Incident, script: Script, program: Program, seed: int) -> Played:
    with Performance(seed, incident, program) as stage:
        world = stage.world
        for stimulus in script.stimuli:
            if stimulus.at_ms <= incident.length_ms:
                stage.until(max(stimulus.at_ms, -int(LEAD_S * 1000) + 1))
                stage.act(stimulus)
        stage.until(incident.length_ms + MARGIN_MS)
        stage.calm()
        while stage.unsettled() and world.loop.time() < LEAD_S + incident.length_ms / 1000 + SETTLE_S:
            stage.wait(STEP_S)
        trace = [line.replace(str(world.folder), ".") for line in world.trace]
        forced, hub_id = world.forced, world.homes[0].hub.hub_id
        stage.end_host()
        origin_ms = incident.begin_utc_ms - int(LEAD_S * 1000)
        record = extract(
            world.host.data_dir,
            hub_id,
            incident.begin_utc_ms - BEFORE_MS,
            incident.begin_utc_ms + incident.length_ms + MARGIN_MS,
            log="".join(f"{_stamp(origin_ms + int(at * 1000))} {text}\n" for at, text in world.lines),
            pressed=[(incident.begin_utc_ms + one.at_ms, one.device) for one in incident.pressed],
            given=None,
            installed=None,
        )
    record = rebased(record, incident)
    return Played(script, record, _own(bad(record, script.away, forced), incident), forced, trace)


def rebased(record: Incident, incident: Incident) -> Incident:
    """The same with times as the recorded incident counts them."""
    by = record.begin_utc_ms - incident.begin_utc_ms
    plain = _shift(record.model_dump(mode="json"), by)
    return Incident.model_validate_json(json.dumps({**plain, "begin_utc_ms": incident.begin_utc_ms}))


def _shift(value: Any, by: int) -> Any:
    if isinstance(value, list):
        return [_shift(one, by) for one in value]
    if not isinstance(value, dict):
        return value
    shifted = {}
    for key, one in value.items():
        if key == "data":
            shifted[key] = one
        elif key == "host_starts_ms":
            shifted[key] = [at + by for at in one]
        elif key.endswith("_ms") and key not in _LENGTHS and one is not None:
            shifted[key] = one + by
        else:
            shifted[key] = _shift(one, by)
    return shifted


_LENGTHS = ("length_ms", "up_ms", "begin_utc_ms", "span_ms")


def _own(found: list[Bad], incident: Incident) -> list[Bad]:
    """Without what lies outside the record."""
    return [one for one in found if 0 <= one.at_ms <= incident.length_ms]


def _stamp(utc_ms: int) -> str:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds")
