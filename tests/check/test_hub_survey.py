"""A survey at the hub: what it counts, what it says, and that presses stay calls."""

from __future__ import annotations

from pathlib import Path

from helpers_micropython import run_micropython

HERE = Path(__file__).parent
TESTS = HERE.parent


def test_case(survey_case: str, tmp_path: Path) -> None:
    script = (
        f"import survey_cases\nsurvey_cases.FOLDER = {str(tmp_path)!r}\n"
        f"survey_cases.{survey_case}()\nprint('case done')\n"
    )
    firmware = TESTS / "firmware"
    paths = (HERE / "bodies", TESTS / "pairing" / "bodies", firmware / "bodies", firmware / "fakes")
    out = run_micropython(script, heap="1m", paths=paths)
    assert out.endswith("case done\n"), out
