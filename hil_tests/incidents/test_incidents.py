"""Every adopted incident, on the firmware and the host of this checkout; no board, virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from kanhu.qa.incidents import programs
from kanhu.qa.incidents.adopt import judge
from kanhu.qa.incidents.form import load

FILES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.release
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_incident(path: Path) -> None:
    incident = load(path)
    assert incident.kept is not None, f"{path.name}: adopt it with kanhu qa incident adopt"
    judged = judge(incident, programs.sources())
    assert not judged.wrong, (
        f"incident {incident.kept.name}, expected {incident.kept.expect}: {judged.wrong}; "
        f"look at it with kanhu qa incident replay {path} --present --full"
    )
