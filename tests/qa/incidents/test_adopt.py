"""An adopted incident is a test that holds on this firmware and fails on the one that was bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_incidents import never_again
from kanhu.qa.incidents import programs
from kanhu.qa.incidents.adopt import adopt, judge
from kanhu.qa.incidents.form import Incident, IncidentError, load
from kanhu.qa.incidents.outcomes import missing
from kanhu.qa.incidents.replay import play
from kanhu_protocol import kinds as k

KEPT = Path(__file__).parents[3] / "hil_tests" / "incidents" / "call-in-broker-restart.json"
pytestmark = pytest.mark.timeout(300)


def test_reproduced(quick: Incident, tmp_path: Path) -> None:
    path = adopt(quick, "a-call", "reproduced", tmp_path)
    kept = load(path)
    assert kept.kept is not None
    assert (kept.kept.name, kept.kept.expect, kept.kept.bad) == ("a-call", "reproduced", [])
    assert judge(kept, programs.sources()).wrong == ""
    assert judge(kept, never_again(tmp_path)).wrong.startswith("differs first at 0:")


def test_the_kept_one_would_fail(tmp_path: Path) -> None:
    """What stands in hil_tests/incidents passes there; on a firmware that says an alarm once it would not."""
    kept = load(KEPT)
    wrong = judge(kept, never_again(tmp_path)).wrong
    assert wrong.startswith("differs first at 0:30")
    assert "call.unanswered of device 2" in wrong


def test_fixed(quick: Incident, tmp_path: Path) -> None:
    """The record of a hub that said an alarm once only; its firmware has been mended since."""
    mutant = never_again(tmp_path)
    field = play(quick, mutant).record
    path = adopt(field, "said-once", "fixed", tmp_path)
    kept = load(path)
    assert kept.kept is not None
    assert {one.what for one in kept.kept.bad} == {"alarm_silent"}
    assert judge(kept, programs.sources()).wrong == ""
    wrong = judge(kept, mutant).wrong
    assert "again at" in wrong
    assert "was not said again" in wrong


def test_fixed_is_no_hub_that_never_calls(quick: Incident) -> None:
    deaf = quick.model_copy(update={"events": [one for one in quick.events if one.kind != k.CALL]})
    assert {one.kind for one in missing(quick, deaf)} == {k.CALL}
    assert missing(quick, quick) == []


def test_nothing_is_adopted_that_tests_nothing(quick: Incident, tmp_path: Path) -> None:
    with pytest.raises(IncidentError, match="nothing bad that could be fixed"):
        adopt(quick, "a-call", "fixed", tmp_path)
    with pytest.raises(IncidentError, match="use small letters"):
        adopt(quick, "../a-call", "reproduced", tmp_path)
    with pytest.raises(IncidentError, match="no folder"):
        adopt(quick, "a-call", "reproduced", tmp_path / "not-there")
    adopt(quick, "a-call", "reproduced", tmp_path)
    with pytest.raises(IncidentError, match="there already"):
        adopt(quick, "a-call", "reproduced", tmp_path)
    adopt(quick, "a-call", "reproduced", tmp_path, replace=True)
    with pytest.raises(IncidentError, match="was not adopted"):
        judge(quick, programs.sources())
