"""From what pytest reports of a test's phases to one outcome with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kanhu.qa.model import Outcome, Quarantine

CUT_OFF = "interrupted while it ran"


@dataclass(frozen=True)
class Phase:
    """setup, call or teardown of one attempt."""

    when: str
    outcome: str  # passed | failed | skipped
    seconds: float
    message: str = ""
    details: str = ""


def phase(report: pytest.TestReport) -> Phase:
    """What a report says of its phase."""
    message, details = "", ""
    if report.skipped or hasattr(report, "wasxfail"):
        message = _skipped(report)
    elif report.failed:
        message, details = crash(report.longrepr), report.longreprtext
    return Phase(str(report.when), report.outcome, report.duration, message, details)


def _skipped(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        why = str(report.wasxfail).removeprefix("reason: ")
        return f"{'passes though it was' if report.passed else ''} expected to fail: {why}".strip()
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def crash(longrepr: Any) -> str:
    """The error's own words, first line."""
    place = getattr(longrepr, "reprcrash", None)
    text = str(place.message if place is not None else longrepr).strip()
    if place is None:  # an error while setting up may have no more than its lines
        text = next((line[1:] for line in text.splitlines() if line.startswith("E ")), text)
    lines = text.strip().splitlines() or ["failed without a word"]
    return own_words(lines[0])


def own_words(line: str) -> str:
    """Without the names of the two exceptions that only say that a test failed."""
    return line.removeprefix("AssertionError: ").removeprefix("Failed: ").strip()


def settle(attempts: Sequence[Sequence[Phase]], quarantine: Quarantine | None) -> dict[str, Any]:
    """The fields outcome, message, details, phases, duration_s and attempts of a Test."""
    every = [one for attempt in attempts for one in attempt]
    last = list(attempts[-1]) if attempts else []
    by = {one.when: one for one in last}
    outcome, message = _outcome(by)
    if outcome in ("failed", "error") and quarantine is not None:
        outcome = "quarantined"
    if outcome == "passed" and len(attempts) > 1:
        outcome = "flaky"
        message = f"passed at attempt {len(attempts)}; before: " + "; ".join(
            one.message for attempt in attempts[:-1] for one in attempt if one.outcome == "failed"
        )
    return {
        "outcome": outcome,
        "message": message,
        "details": "\n\n".join(one.details for one in every if one.details),
        "phases": {one.when: one.seconds for one in last},
        "duration_s": sum(one.seconds for one in every),
        "attempts": max(1, len(attempts)),
    }


def _outcome(by: dict[str, Phase]) -> tuple[Outcome, str]:
    setup, call, teardown = (by.get(when) for when in ("setup", "call", "teardown"))
    if setup is None or teardown is None:
        return "skipped", CUT_OFF
    said = "; afterwards: ".join(
        one.message for one in (setup, call, teardown) if one is not None and one.outcome == "failed"
    )
    if call is not None and call.outcome == "failed":
        return "failed", said
    if said:
        return "error", said
    skipped = next((one for one in (setup, call) if one is not None and one.outcome == "skipped"), None)
    if skipped is not None:
        return "skipped", skipped.message
    return "passed", call.message if call is not None else ""
