"""What is promised of hub and host, and which test proves each promise (docs/promises.md)."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kanhu.errors import KanhuError

LIST = Path("hil_tests/promises.toml")
SUITE = Path("hil_tests")
PAGE = Path("docs/promises.md")
SIZE_MAX = 1_000_000  # bytes
ID = re.compile(r"[A-Z]-\d{2}")
AREAS = {
    "D": "Delivery",
    "L": "Lamp and buzzer",
    "A": "Alarms",
    "I": "Wired inputs",
    "B": "Sensors on Bluetooth",
    "M": "Health monitors",
    "P": "Power",
    "K": "Links",
    "S": "Sealing",
    "T": "Technical faults",
    "Z": "Time",
    "U": "Updates",
    "C": "Commissioning and pairing",
    "O": "Host",
}
HEAD = """# Promises

What Kanhu promises of a hub and its host, each in one sentence, and the tests that prove it. Written by
`kanhu qa promises --write` out of `hil_tests/promises.toml` and the tests' own marks. A test fails when this
page is older than they are, when a promise has no test, and when a test names a promise that there is not.

A test of `hil_tests/` runs against a bench of simulated boards and against real ones alike ([QA](qa.md)).
When it fails it says which promise was broken. *Elsewhere* are tests of this repository that prove it
without a bench, or go further than a bench can.
"""


class PromisesError(KanhuError):
    """promises.toml, or a test's mark, is not what it should be; one line."""


class Promise(BaseModel):
    """One sentence that the documents say, and where; also: tests outside the suite that prove it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: str
    text: Annotated[str, Field(min_length=20, max_length=240)]
    where: Annotated[str, Field(pattern=r"^[\w./-]+\.md#[\w-]+$")]
    also: list[Annotated[str, Field(pattern=r"^[\w./-]+\.py::test_\w+$")]] = []


@dataclass(frozen=True)
class Proof:
    """A test of the suite that carries promise(...): where it stands and what it proves."""

    file: Path  # below the tree
    name: str
    promises: tuple[str, ...]


def load(path: Path) -> dict[str, Promise]:
    """Every promise of the file by its id, in the file's order; PromisesError."""
    try:
        with path.open("rb") as file:
            text = file.read(SIZE_MAX + 1)
        if len(text) > SIZE_MAX:
            raise PromisesError(f"{path}: more than {SIZE_MAX} bytes")
        found = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise PromisesError(f"{path}: {error.strerror}: run it where hil_tests is, or give --tree") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PromisesError(f"{path}: {error}") from None
    promises = {}
    for name, table in found.items():
        if not ID.fullmatch(name) or name[0] not in AREAS or not isinstance(table, Mapping):
            raise PromisesError(f"{path}: {name}: a promise is a table named such as [D-01]")
        try:
            promises[name] = Promise(id=name, **table)
        except (ValidationError, TypeError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
            raise PromisesError(f"{path}: {name}: {why}") from None
    return promises


def proofs(tree: Path) -> list[Proof]:
    """The suite's tests that carry promise(...), read without running them; PromisesError."""
    found = []
    for file in sorted((tree / SUITE).rglob("test_*.py")):
        place = file.relative_to(tree)
        try:
            module = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            raise PromisesError(f"{place}: {error}") from None
        for test, marks in _tests(module):
            if ids := [one for mark in marks for one in _ids(mark, place)]:
                found.append(Proof(place, test, tuple(dict.fromkeys(ids))))
    return found


def troubles(tree: Path) -> list[str]:
    """Why list, tests and page do not agree, one line each; PromisesError where they cannot be read."""
    promises, shown = load(tree / LIST), proofs(tree)
    proven = {one for proof in shown for one in proof.promises}
    wrong = [
        f"{proof.file}::{proof.name}: there is no promise {one}"
        for proof in shown
        for one in proof.promises
        if one not in promises
    ]
    for promise in promises.values():
        if promise.id not in proven and not promise.also:
            wrong.append(f"{promise.id}: no test proves it")
        wrong += [
            f"{promise.id}: there is no test {name}" for name in promise.also if not _exists(tree, name)
        ]
        page, _, section = promise.where.partition("#")
        if not (tree / page).is_file() or section not in _sections(tree / page):
            wrong.append(f"{promise.id}: there is no {promise.where}")
    if not wrong:
        try:
            written = (tree / PAGE).read_text(encoding="utf-8")
        except FileNotFoundError:
            written = ""
        if written != page_of(promises, shown):
            wrong.append(f"{PAGE} is not up to date: kanhu qa promises --write")
    return wrong


def page_of(promises: Mapping[str, Promise], shown: Iterable[Proof]) -> str:
    """docs/promises.md."""
    by_id: dict[str, list[Proof]] = {}
    for proof in shown:
        for one in proof.promises:
            by_id.setdefault(one, []).append(proof)
    on_bench = sum(one in by_id for one in promises)
    lines = [HEAD, f"{len(promises)} promises; {on_bench} of them are proven on a bench, all by a test.", ""]
    for letter, area in AREAS.items():
        rows = [promise for promise in promises.values() if promise.id[0] == letter]
        if not rows:
            continue
        lines += [
            f"## {area}",
            "",
            "| promise | | made in | on a bench | elsewhere |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(promise, by_id.get(promise.id, [])) for promise in rows]
        lines.append("")
    return "\n".join(lines)


def _row(promise: Promise, shown: Iterable[Proof]) -> str:
    page, _, section = promise.where.partition("#")
    link = page.removeprefix("docs/") if page.startswith("docs/") else f"../{page}"
    here = "<br>".join(_test(proof.file.relative_to(SUITE).as_posix(), proof.name) for proof in shown)
    there = "<br>".join(_test(*name.split("::")) for name in promise.also)
    made = f"[{Path(page).name}]({link}#{section})"
    return f"| {promise.id} | {promise.text} | {made} | {here or '-'} | {there or '-'} |"


def _test(file: str, name: str) -> str:
    return f"{name.removeprefix('test_').replace('_', ' ')} (`{file}`)"


def _exists(tree: Path, name: str) -> bool:
    file, _, test = name.partition("::")
    path = tree / file
    return path.is_file() and bool(
        re.search(rf"^(?:async )?def {test}\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    )


def _sections(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _tests(module: ast.Module) -> Iterator[tuple[str, list[ast.expr]]]:
    """Each test function with the marks of its module, its class and its own."""
    shared: list[ast.expr] = []
    for node in module.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
        ):
            shared += node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    for node in module.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        marks = shared + (node.decorator_list if isinstance(node, ast.ClassDef) else [])
        for one in inside:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_"):
                yield one.name, marks + one.decorator_list


def _ids(mark: ast.expr, place: Path) -> list[str]:
    if not (isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute)):
        return []
    if mark.func.attr != "promise":
        return []
    ids = [one.value for one in mark.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    if not ids or len(ids) != len(mark.args) or mark.keywords:
        raise PromisesError(f'{place}:{mark.lineno}: write promise("D-01"), with the ids as plain text')
    return ids
