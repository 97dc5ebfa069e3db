"""The security pages name what exists: each file, each test, and each provision of EN 303 645 V2.1.1 once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "SECURITY.md", *sorted((ROOT / "docs" / "security").glob("*.md"))]
ETSI = ROOT / "docs" / "security" / "etsi-en-303-645.md"
# How many provisions each clause of V2.1.1 has.
CLAUSES = {
    "4": 1, "5.1": 5, "5.2": 3, "5.3": 16, "5.4": 4, "5.5": 8, "5.6": 9, "5.7": 2, "5.8": 3, "5.9": 3,
    "5.10": 1, "5.11": 4, "5.12": 3, "5.13": 1, "6": 5,
}  # fmt: skip
STATES = {"met", "partly", "not yet", "operator", "n/a"}
NAMED = re.compile(r"`([\w./-]+\.(?:py|md|toml|yml|yaml|cddl|lock|service|json))(?:::(\w+))?`")


def missing(text: str) -> list[str]:
    """Files and tests that a page names and the tree has not."""
    found = []
    for name, test in NAMED.findall(text):
        file = ROOT / name
        if not file.is_file():
            found.append(name)
        elif test and not re.search(
            rf"^(?:async )?def {test}\b", file.read_text(encoding="utf-8"), re.MULTILINE
        ):
            found.append(f"{name}::{test}")
    return found


def provisions(text: str) -> list[tuple[str, str, str]]:
    """(number, state, how) of each row."""
    rows = re.findall(r"^\| ([\d.]+-\d+) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE)
    return [(number, state.strip(), how.strip()) for number, state, how in rows]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_file_and_test_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not missing(text)


def test_what_is_not_there_is_noticed() -> None:
    assert missing("`tests/gone.py`, `tests/security/test_documents.py::test_gone`") == [
        "tests/gone.py",
        "tests/security/test_documents.py::test_gone",
    ]


def test_every_provision_stands_there_once_with_its_reason() -> None:
    found = provisions(ETSI.read_text(encoding="utf-8"))
    wanted = [f"{clause}-{number}" for clause, count in CLAUSES.items() for number in range(1, count + 1)]
    assert [number for number, _, _ in found] == wanted
    assert {state for _, state, _ in found} <= STATES
    for number, state, how in found:
        assert len(how) > 10, number
        if state == "met":
            assert NAMED.search(how), f"{number} is met by nothing that can be looked at"


def test_the_threat_model_shows_what_it_claims() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", (ETSI.parent / "threat-model.md").read_text(), re.M
    )
    claims = [row for row in rows if row[0] not in ("attempt", "asset", "---") and "cannot" in row[1]]
    assert len(claims) >= 8
    for attempt, _, shown in claims:
        assert NAMED.search(shown), attempt
