"""A failing test says which promise is broken, in its traceback and in pytest's short summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kanhu.qa.report.outcomes import own_words

BROKEN, DOUBT = "PROMISE BROKEN", "PROMISE IN DOUBT"
NO_TEXT = "(its text is not in promises.toml)"


def sentences(ids: Sequence[str], texts: Mapping[str, str], failed: bool) -> list[str]:
    """One for each promise; in doubt: setting up or putting away went wrong, not the test itself."""
    return [f"{BROKEN if failed else DOUBT} {one}: {texts.get(one, NO_TEXT)}" for one in ids]


def name_them(report: pytest.TestReport, ids: Sequence[str], texts: Mapping[str, str]) -> None:
    """Put the sentences on a failed report; one that names a promise already keeps its words."""
    said = [one for one in sentences(ids, texts, report.when == "call") if one not in report.longreprtext]
    if not said:
        return
    text = "\n".join(said)
    add = getattr(report.longrepr, "addsection", None)
    if add is None:
        report.longrepr = f"{report.longreprtext}\n{text}".strip()
        return
    add("promise", text)
    place = getattr(report.longrepr, "reprcrash", None)
    if place is not None:
        short = ", ".join(one.partition(":")[0] for one in said)
        place.message = f"{short} - {own_words(place.message)}"
