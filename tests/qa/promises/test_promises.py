"""Every promise has a test, every test that names one names one that there is, and the page is today's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kanhu.qa import promises

ROOT = Path(__file__).resolve().parents[3]
ONE = '[D-01]\ntext = "A press reaches the platform in seconds."\nwhere = "README.md#how"\n'
TEST = """
import pytest
pytestmark = pytest.mark.promise("D-02")
@pytest.mark.promise("D-01")
def test_a_press(): ...
class TestMore:
    @pytest.mark.needs("press")
    async def test_another(self): ...
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with one promise and nothing that proves it."""
    (tmp_path / "hil_tests").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "hil_tests" / "promises.toml").write_text(ONE)
    (tmp_path / "README.md").write_text("# How\n")
    return tmp_path


def test_ours_are_kept_and_shown() -> None:
    wrong = promises.troubles(ROOT)
    assert not wrong, "\n".join(wrong)
    made = promises.load(ROOT / promises.LIST)
    assert len(made) >= 50
    texts = [one.text for one in made.values()]
    assert len(set(texts)) == len(texts)


def test_a_promise_needs_a_test_and_the_test_a_promise(tree: Path) -> None:
    assert promises.troubles(tree) == ["D-01: no test proves it"]
    (tree / "hil_tests" / "test_it.py").write_text(TEST)
    found = [(proof.name, proof.promises) for proof in promises.proofs(tree)]
    assert found == [("test_a_press", ("D-02", "D-01")), ("test_another", ("D-02",))]
    assert promises.troubles(tree) == [
        "hil_tests/test_it.py::test_a_press: there is no promise D-02",
        "hil_tests/test_it.py::test_another: there is no promise D-02",
    ]


def test_what_is_named_has_to_exist(tree: Path) -> None:
    more = ONE.replace("#how", "#gone") + 'also = ["hil_tests/test_it.py::test_gone"]\n'
    (tree / "hil_tests" / "promises.toml").write_text(more)
    assert promises.troubles(tree) == [
        "D-01: there is no test hil_tests/test_it.py::test_gone",
        "D-01: there is no README.md#gone",
    ]


def test_a_page_of_yesterday_is_noticed(tree: Path) -> None:
    (tree / "hil_tests" / "test_it.py").write_text(TEST.replace("D-02", "D-01"))
    stale = [f"{promises.PAGE} is not up to date: kanhu qa promises --write"]
    assert promises.troubles(tree) == stale
    page = promises.page_of(promises.load(tree / promises.LIST), promises.proofs(tree))
    (tree / promises.PAGE).write_text(page)
    assert promises.troubles(tree) == []
    assert "| D-01 | A press reaches the platform in seconds. | [README.md](../README.md#how) |" in page
    (tree / promises.PAGE).write_text(page + " ")
    assert promises.troubles(tree) == stale


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "promises.toml: "),
        ("[d-1]\n", "d-1: a promise is a table named such as [D-01]"),
        ("D-01 = 3\n", "D-01: a promise is a table"),
        (ONE + "more = 1\n", "D-01: more: Extra inputs are not permitted"),
        (ONE + "id = 'D-02'\n", "multiple values"),
        ('[D-01]\ntext = "short"\nwhere = "README.md#how"\n', "D-01: text: String should have at least 20"),
        (ONE.replace("README.md#how", "README.md"), "D-01: where: String should match pattern"),
        (ONE + "also = ['elsewhere']\n", "D-01: also.0: String should match pattern"),
    ],
)
def test_a_list_that_is_none_is_one_line(tree: Path, text: str, said: str) -> None:
    (tree / "hil_tests" / "promises.toml").write_text(text)
    with pytest.raises(promises.PromisesError) as error:
        promises.load(tree / promises.LIST)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mark", ["promise(D)", "promise()", 'promise("D-01", *MORE)', 'promise(id="D-01")'])
def test_marks_are_plain_text(tree: Path, mark: str) -> None:
    (tree / "hil_tests" / "test_it.py").write_text(f"@pytest.mark.{mark}\ndef test_a(): ...\n")
    with pytest.raises(promises.PromisesError, match=r"test_it.py:1: write promise"):
        promises.troubles(tree)


def test_the_command_writes_the_page_and_says_what_is_wrong(
    tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kanhu.cli import main

    def ask(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["kanhu", "qa", "promises", "--tree", str(tree), *words])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    assert ask() == 1
    assert capsys.readouterr().err == "D-01: no test proves it\n"
    (tree / "hil_tests" / "test_it.py").write_text(TEST.replace("D-02", "D-01"))
    assert ask() == 1
    assert "kanhu qa promises --write" in capsys.readouterr().err
    assert ask("--write") == 0
    assert capsys.readouterr().out == "1 promises, 1 proven on a bench\n"
    os.remove(tree / promises.LIST)
    assert ask() == 2
    assert "run it where hil_tests is, or give --tree" in capsys.readouterr().err
