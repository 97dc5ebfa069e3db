"""Pairing at the hub: what it tells, what it never raises, and which press is a test."""

from __future__ import annotations

from pathlib import Path

from helpers_micropython import run_micropython

HERE = Path(__file__).parent
FIRMWARE_TESTS = HERE.parent / "firmware"


def test_case(hub_case: str, tmp_path: Path) -> None:
    script = (
        f"import pairing_cases\npairing_cases.FOLDER = {str(tmp_path)!r}\n"
        f"pairing_cases.{hub_case}()\nprint('case done')\n"
    )
    paths = (HERE / "bodies", FIRMWARE_TESTS / "bodies", FIRMWARE_TESTS / "fakes")
    out = run_micropython(script, heap="1m", paths=paths)
    assert out.endswith("case done\n"), out
