"""All files of a report."""

from __future__ import annotations

from pathlib import Path

from kanhu.errors import DataError
from kanhu.qa import history as past
from kanhu.qa.model import Run
from kanhu.qa.report import files
from kanhu.qa.report.junit import junit
from kanhu.qa.report.page import render

PAGE, JUNIT = "report.html", "junit.xml"


def write(run: Run, folder: Path, history: Path | None = None, *, add: bool = True) -> None:
    """run.json first: whatever happens to the others can be made again from it. add: the run is a new one."""
    files.save(run, folder)
    if history is not None and add and run.tests:
        past.append(history, run)
    known = past.read(history) if history is not None else past.History()
    try:
        (folder / JUNIT).write_bytes(junit(run))
        (folder / PAGE).write_text(render(run, known), "utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from None
