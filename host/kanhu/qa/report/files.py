"""run.json on disk, and the lines it can be put together from when a run ended without a word."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kanhu.errors import DataError
from kanhu.qa.model import FORMAT, Run, Test

RUN, PARTIAL = "run.json", "run.partial*.jsonl"
CUT_OFF = "the suite ended without a word: killed, or the computer lost power"


def save(run: Run, folder: Path) -> Path:
    """Write run.json whole or not at all; DataError when the folder takes none."""
    path = folder / RUN
    fresh = folder / f".{RUN}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh.write_text(run.model_dump_json(indent=1) + "\n", "utf-8")
        os.replace(fresh, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error}") from None
    return path


def load(path: Path) -> Run:
    """A run from run.json, a report's folder, or the lines that a run left that was cut off; DataError."""
    if path.is_dir():
        if not (path / RUN).exists() and list(path.glob(PARTIAL)):
            return recover(path)
        path = path / RUN
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give a run.json or the folder of a report") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def parse(text: str, where: str) -> Run:
    """A run from the text of its JSON; DataError names the place and what is wrong there."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: no JSON: {error}") from None
    if not isinstance(value, dict) or "format" not in value:
        raise DataError(f"{where}: no record of a run: it has no format")
    if not isinstance(value["format"], int) or not 1 <= value["format"] <= FORMAT:
        raise DataError(
            f"{where}: format {value['format']!r} is not known here (up to {FORMAT}): use a newer kanhu"
        )
    return _run(value, where)


def _run(value: Any, where: str) -> Run:
    try:
        return Run.model_validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the record"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise DataError(f"{where}: {place}: {first['msg']}{more}") from None


class Partial:
    """Each finished test at once on disk, so that a killed run is not a lost one."""

    def __init__(self, folder: Path, worker: str = "") -> None:
        self.path = folder / PARTIAL.replace("*", f".{worker}" if worker else "")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path in [folder / RUN] if worker else [folder / RUN, *folder.glob(PARTIAL)]:
                path.unlink(missing_ok=True)  # of a run before this one
        except OSError as error:
            raise DataError(f"{folder}: cannot take a report: {error}") from None

    def head(self, run: Run) -> None:
        """The run without its tests; a later one takes the place of an earlier."""
        self._line({"run": run.model_dump(mode="json", exclude={"tests"})})

    def test(self, test: Test) -> None:
        """One test that is over."""
        self._line({"test": test.model_dump(mode="json")})

    def _line(self, value: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value, ensure_ascii=False) + "\n")


def recover(folder: Path, interrupted: str = CUT_OFF) -> Run:
    """The run that the partial files of a folder tell of; DataError when they hold no run's beginning."""
    head: dict[str, Any] | None = None
    tests: list[Any] = []
    boards: dict[str, Any] = {}
    broken = 0
    for path in sorted(folder.glob(PARTIAL)):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            try:
                kind, value = next(iter(json.loads(line).items()))
            except (ValueError, AttributeError, StopIteration):
                broken += 1  # the last line of a file whose writer was killed
                continue
            if kind == "test":
                tests.append(value)
            else:
                head = value
                boards.update({one["name"]: one for one in value.get("boards", [])})
    if head is None:
        raise DataError(f"{folder}: no {RUN} in it, and no beginning of a run")
    run = _run({**head, "tests": tests, "boards": list(boards.values())}, str(folder))
    if broken:
        run.notes = [*run.notes, f"{broken} lines of the partial record were cut off"]
    run.interrupted = interrupted
    run.verdict = run.judge()
    return run


def clear_partial(folder: Path) -> None:
    """Put the lines away once run.json holds them."""
    for path in folder.glob(PARTIAL):
        path.unlink(missing_ok=True)
