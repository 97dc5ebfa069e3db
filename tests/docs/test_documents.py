"""The documents say what is there: links resolve, both languages agree, commands and make targets exist."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from kanhu.cli import app
from kanhu.cli.later import Later
from kanhu_protocol import names
from kanhu_protocol.checks import is_id

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")

CODE_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_code(text: str) -> str:
    return CODE_BLOCK.sub("", text)


def anchors(path: Path) -> set[str]:
    """The anchors a Markdown page's headings get: lower case, punctuation dropped, spaces to hyphens."""
    headings = HEADING.findall(without_code(path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_links_resolve(document: Path) -> None:
    broken = []
    for target in LINK.findall(without_code(document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def commands(text: str) -> list[str]:
    """Shell lines of a page's code blocks, comments left out, continued lines joined."""
    blocks = [body for language, body in CODE_BLOCK.findall(text) if language in ("sh", "bash", "console")]
    lines = [
        re.sub(r"\s+#\s.*$", "", line).strip() for line in "".join(blocks).replace("\\\n", " ").splitlines()
    ]
    return [line for line in lines if line and not line.startswith("#")]


def test_both_languages_show_the_same() -> None:
    def shape(text: str) -> list[int]:
        return [len(marks) for marks, _ in HEADING.findall(without_code(text))]

    def rows(text: str) -> int:
        return len(re.findall(r"^\|", text, re.MULTILINE))

    assert shape(ENGLISH) == shape(CHINESE)
    assert commands(ENGLISH) == commands(CHINESE)
    assert rows(ENGLISH) == rows(CHINESE)
    assert len(LINK.findall(ENGLISH)) == len(LINK.findall(CHINESE))


def test_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_glossary_rows_are_complete() -> None:
    """English, Chinese or a name that needs none, the standard where there is one, and always a meaning."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith("| English")
    ]
    assert len(rows) >= 50
    assert [row for row in rows if len(row) != 4 or not row[0] or not row[3]] == []
    terms = [row[0] for row in rows]
    assert len(terms) == len(set(terms))


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = set()
    for document in DOCUMENTS:
        for line in commands(document.read_text(encoding="utf-8")):
            words = shlex.split(line)
            if words[0] == "make":
                used.add(words[1])
    assert {"demo", "test"} <= used <= targets


def test_ci_runs_the_documented_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[-1] == "make test"
    assert "make test" in commands(ENGLISH)


def test_make_passes_arguments_on_and_names_its_targets() -> None:
    def make(*words: str) -> str:
        done = subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    assert "scripts/check.sh -k 'a or b' -x\n" in make("-n", "test", "ARGS=-k 'a or b' -x")
    assert "kanhu demo --seconds 30 --json\n" in make("-n", "demo", "ARGS=--seconds 30 --json")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = set(re.findall(r"^make (\w+)", make("help"), re.MULTILINE))
    assert named == set(phony.split()) - {"help"}


def test_the_check_runs_each_test_once_or_those_of_the_arguments() -> None:
    script = (ROOT / "scripts" / "check.sh").read_text(encoding="utf-8")
    timed = re.search(r"^TIMED=\((.+)\)$", script, re.MULTILINE)
    assert timed
    assert all((ROOT / path).exists() for path in timed[1].split())
    assert re.findall(
        r"^ *(?:nice -n 19 )?((?:pytest|wait) .*?)(?: \|\| status=1| \\)$", script, re.MULTILINE
    ) == [
        'pytest --durations=15 "$@"',
        'pytest -n auto --dist=loadfile --no-loadscope-reorder --durations=8 tests "${TIMED[@]/#/--ignore=}"',
        'pytest --durations=15 "${TIMED[@]}"',
        'wait "$beside"',
    ]
    assert script.splitlines()[-1] == "exit $status"


def lamp_patterns() -> dict[str, tuple[str, str]]:
    source = (ROOT / "firmware" / "kanhu_hub" / "indicator.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PATTERNS":
            return ast.literal_eval(node.value)
    raise AssertionError("indicator.py has no PATTERNS")


@pytest.mark.parametrize(("text", "column"), [(ENGLISH, 0), (CHINESE, 1)], ids=["en", "zh"])
def test_lamp_table_is_the_firmwares(text: str, column: int) -> None:
    def picture(pattern: str) -> str:
        return f"`{pattern.ljust(20, '.').replace('#', '█').replace('.', '·')}`"

    rows = {
        f"| {names.LAMP[name][column]} | {picture(lamp)} | {picture(buzzer)} |"
        for name, (lamp, buzzer) in lamp_patterns().items()
    }
    assert rows == {line for line in text.splitlines() if line.startswith("|") and "█" in line}


def kanhu_commands() -> list[tuple[str, list[str]]]:
    found = []
    for document in DOCUMENTS:
        for line in commands(document.read_text(encoding="utf-8")):
            for part in line.split("|"):
                words = shlex.split(part)
                if words[:2] == ["sudo", "-u"]:
                    words = words[3:]
                if words[:1] == ["systemctl"]:
                    continue  # there kanhu is the unit
                for place, word in enumerate(words[:4]):
                    if word == "kanhu" or word.endswith("/bin/kanhu"):
                        found.append((f"{document.name}: {part.strip()}", words[place + 1 :]))
                        break
    return found


def test_documented_commands_parse() -> None:
    """Every documented `kanhu` line names a command that exists, with options and arguments it takes."""
    wrong = []
    documented = kanhu_commands()
    for where, words in documented:
        command, rest = get_command(app), list(words)
        while isinstance(command, TyperGroup) and rest and rest[0] in command.commands:
            command = command.commands[rest.pop(0)]
            command = command.loaded() if isinstance(command, Later) else command
        if isinstance(command, TyperGroup):
            wrong.append(f"{where}: no such command: {' '.join(rest)}")
            continue
        try:
            command.make_context(where, rest)
        except TyperException as error:
            wrong.append(f"{where}: {error.format_message()}")
    assert wrong == []
    assert len(documented) >= 10


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "docs" / "wiring.md"], ids=ids
)
def test_documented_registry_lines_run(document: Path, tmp_path: Path) -> None:
    """In order, on an empty data_dir, with the ids that earlier lines print instead of those in the text."""
    environment = {
        **os.environ,
        "KANHU_DATA_DIR": str(tmp_path / "data"),
        "KANHU_WIFI_PASSWORD": "a password",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "kanhu", *words],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"kanhu {shlex.join(words)}: {done.stderr}"
        return done.stdout

    lines = [shlex.split(line) for line in commands(document.read_text(encoding="utf-8"))]
    lines = [words[1:] for words in lines if words[:2] == ["kanhu", "registry"]]
    assert len(lines) >= 2
    real: dict[str, str] = {}  # in the text -> printed
    printed: list[str] = []
    if document.name == "wiring.md":  # it begins where the README ends
        home = json.loads(run("registry", "home", "add", "--json"))["home"]
        printed.append(json.loads(run("registry", "hub", "add", home, "--json"))["hub"])
    for words in lines:
        for word in words:
            if is_id(word) and word not in real:
                real[word] = printed.pop(0)
        said = run(*(real.get(word, word) for word in words))
        if words[2] == "add" and words[1] in ("home", "hub"):
            printed += re.findall(rf"^{words[1]} (\w+) added", said)
    assert not printed
    hub = real["7q8k2m3x9a"]
    settings = json.loads(run("registry", "hub", "settings", hub, "--json"))
    assert settings["buttons"] == [[1, 4, 5], [3, 6, None]]
    if document.name != "wiring.md":
        assert "A4:C1:38:0B:5E:9D" in run("registry", "sensor", "list", hub)


def test_documented_home_ids_are_ids() -> None:
    """Of the examples in JSON and YAML, which nobody runs."""
    files = [*DOCUMENTS, ROOT / "protocol" / "platform.asyncapi.yaml"]
    shown = [
        found
        for file in files
        for found in re.findall(
            r"\"home\":\s*\"(.*?)\"|^\s+home: ([\w-]+)$", file.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert len(shown) >= 2
    assert [one for one in shown if not is_id(one[0] or one[1])] == []


def test_every_metric_is_explained() -> None:
    host = ROOT / "host" / "kanhu"
    source = "".join(file.read_text(encoding="utf-8") for file in sorted(host.rglob("*.py")))
    page = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    made = re.findall(r"(Counter|Gauge)MetricFamily\(\s*\"(kanhu_\w+)\"", source)
    assert len(made) >= 15
    explained = {name + ("_total" if kind == "Counter" else "") for kind, name in made}
    assert set(re.findall(r"`(kanhu_\w+)", page)) == explained
