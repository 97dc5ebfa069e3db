"""A replay says the same each time, and says where another firmware departs from the record."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers_incidents import never_again, patched
from kanhu.qa.incidents import programs
from kanhu.qa.incidents.compare import compare
from kanhu.qa.incidents.form import Firmware, Incident, IncidentError, Press, dumps
from kanhu.qa.incidents.outcomes import bad, still
from kanhu.qa.incidents.replay import Played, play
from kanhu.qa.incidents.script import infer
from kanhu.qa.incidents.show import as_json, verdict

pytestmark = pytest.mark.timeout(300)


def told(incident: Incident, played: Played) -> str:
    found = compare(incident, played.record)
    return json.dumps(as_json(incident, programs.sources(), played, found, [], []))


def test_twice_the_same_bytes(quick: Incident, tmp_path: Path) -> None:
    first, second = (play(quick, programs.sources()) for _ in range(2))
    assert told(quick, first) == told(quick, second)
    assert dumps(first.record) == dumps(second.record)
    assert first.trace == second.trace
    assert json.loads(told(quick, first))["verdict"] == "reproduced"
    # Also in a process of its own: nothing of this one's past is in it.
    path = tmp_path / "incident.json"
    path.write_text(dumps(quick), encoding="utf-8")
    said = [
        subprocess.run(
            [sys.executable, "-m", "kanhu", "qa", "incident", "replay", str(path), "--json"],
            capture_output=True,
        )
        for _ in range(2)
    ]
    assert said[0].returncode == 0, said[0].stderr
    assert said[0].stdout == said[1].stdout
    assert json.loads(said[0].stdout)["stimuli"] == json.loads(told(quick, first))["stimuli"]


def test_what_was_inferred_is_said(quick: Incident) -> None:
    script = infer(quick)
    assert [one.do for one in script.stimuli] == ["motion", "press", "power_off", "power_on"]
    assert all(one.because for one in script.stimuli)
    assert any("began before the record" in note for note in script.notes)


def test_another_firmware_differs(quick: Incident, tmp_path: Path) -> None:
    mutant = never_again(tmp_path)
    assert mutant.tree != programs.sources().tree
    played = play(quick, mutant)
    found = compare(quick, played.record)
    assert found.first is not None
    assert found.first.recorded.startswith("call.unanswered of device 2")
    assert verdict(found).startswith("differs first at 0:")
    assert "alarm_silent" in {one.what for one in played.bad}
    lamps = [one.produced for one in found.lamps]
    assert "unanswered" in lamps  # the lamp is another matter, and still right


def test_a_firmware_that_crashes_is_seen(quick: Incident, tmp_path: Path) -> None:
    mutant = patched(
        tmp_path,
        "kanhu_hub/alarm.py",
        "        alarm.first, saved = self._recorder.record(kind, fields)\n",
        "        alarm.first, saved = self._recorder.record(kind, fields)\n        raise SystemExit(1)\n",
    )
    played = play(quick, mutant)
    found = compare(quick, played.record)
    assert found.first is not None
    assert "crash" in {one.what for one in played.bad}


def test_a_press_that_people_tell_of(quick: Incident) -> None:
    lost = Press(at_ms=quick.length_ms // 2, device=1)
    incident = quick.model_copy(update={"pressed": [lost]})
    script = infer(incident)
    shown = bad(incident, script.away)
    assert [one.what for one in shown] == ["press_lost"]
    played = play(incident, programs.sources())
    assert not still(shown, played.bad)  # this firmware hears it
    found = compare(incident, played.record)
    assert found.first is not None
    assert found.first.produced.startswith("call of device 1")
    assert found.first.differs == "is not in the record"


def test_the_same_firmware_or_none(quick: Incident, tmp_path: Path) -> None:
    own = programs.sources()
    assert programs.choose(quick.firmware, None, present=False) == (own, [])
    older = Firmware(version="0.0.9", slot=None, tree=None, tree_from=None)
    with pytest.raises(IncidentError, match=r"ran 0\.0\.9 .*Give --firmware application\.kfw"):
        programs.choose(older, None, present=False)
    changed = Firmware(version=own.version, slot=None, tree="0" * 64, tree_from="archive")
    with pytest.raises(IncidentError, match="they have another tree"):
        programs.choose(changed, None, present=False)
    with pytest.raises(IncidentError, match="is another program"):
        programs.choose(changed, own, present=False)
    chosen, said = programs.choose(older, None, present=True)
    assert chosen == own
    assert "the record's hub ran 0.0.9" in said[0]
