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


def write(run: Run, folder: Path, history: Path | None = None) -> None:
    """run.json first: the others can be made again from it whatever happens. history: one line is added."""
    files.save(run, folder)
    if history is not None and run.tests:
        past.append(history, run)
    pages(run, folder, history)


def pages(run: Run, folder: Path, history: Path | None = None) -> Path:
    """What people and CI servers read, out of the record; the page's path. DataError."""
    known = past.read(history) if history is not None else past.History()
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JUNIT).write_bytes(junit(run))
        page.write_text(render(run, known), "utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from None
    return page
