"""`kanhu operator`: what an administrator types, and what never shows."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

import helpers_cli
from helpers_cli import Kanhu
from kanhu.registry import Registry
from kanhu.registry.operators import Operators, verify

SECRET = "a long enough one"


@pytest.fixture
def kanhu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cheap_passwords: None
) -> Kanhu:
    monkeypatch.setenv("KANHU_DATA_DIR", str(tmp_path))
    Registry.open(tmp_path).close()
    return helpers_cli.runner(monkeypatch, capsys)


def test_an_operators_life_at_the_terminal(
    kanhu: Kanhu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no operators yet" in kanhu("operator", "list").stdout
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{SECRET}\n"))
    words = ("--name", "李娜", "--region", "cn/42", "--language", "en", "--password", "-")
    assert kanhu("operator", "add", "op17", *words).returncode == 0
    (tmp_path / "new").write_text("another long one\n")
    assert kanhu("operator", "password", "op17", "--password", f"@{tmp_path / 'new'}").returncode == 0
    assert kanhu("operator", "change", "op17", "--role", "supervisor", "--region", "").returncode == 0
    assert kanhu("operator", "add", "op18", "--subject", "a-b-c").returncode == 0
    assert kanhu("operator", "disable", "op18").returncode == 0
    rows = json.loads(kanhu("operator", "list", "--json").stdout)
    assert [(row["operator"], row["role"], row["region"], row["disabled"]) for row in rows] == [
        ("op17", "supervisor", "(all)", False),
        ("op18", "operator", "(all)", True),
    ]
    assert [row["logs in by"] for row in rows] == [["password"], ["openid"]]
    with_registry = Registry.open(tmp_path)
    operators = Operators(with_registry)
    kept = operators.hash_of("op17")
    assert verify("another long one", kept)
    assert not verify(SECRET, kept)
    found = operators.get("op17")
    assert found is not None
    assert found.epoch == 1  # a new password ends what is open
    assert kanhu("operator", "logout", "op17").returncode == 0
    assert with_registry.refresh()
    found = operators.get("op17")
    assert found is not None
    assert found.epoch == 2
    with_registry.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("add", "op1"), "could not log in"),
        (("add", "op1", "--password", SECRET), "shell's history"),
        (("add", "op1", "--password", "@/none"), "No such file"),
        (("add", "Op 1", "--subject", "x"), "1 to 32"),
        (("add", "op1", "--subject", "x", "--role", "king"), "operator, supervisor, viewer"),
        (("add", "op1", "--subject", "x", "--region", "Wuhan"), "path from country down"),
        (("disable", "nobody"), "kanhu operator list"),
        (("add", "op1", "--password", "-"), "must be 10"),
    ],
)
def test_what_is_wrong_is_one_line_that_tells_no_password(
    kanhu: Kanhu, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], why: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    done = kanhu("operator", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert SECRET not in done.stderr
    assert done.stderr.count("\n") == 1
