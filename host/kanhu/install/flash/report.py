"""What became of each board, for other programs: JSON, CSV and JUnit XML. Nothing in it is secret."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from kanhu.errors import KanhuError
from kanhu.install.flash.plan import Plan, Result

COLUMNS = (
    "port", "serial", "mac", "chip", "flash_size", "hub", "generation", "board", "version", "state",
    "sentence", "baud", "attempts", "seconds",
)  # fmt: skip
KINDS = ("json", "csv", "xml")


class ReportError(KanhuError):
    """The report cannot be written; says why."""


def kind_of(target: Path) -> str:
    """json, csv or xml by a file's name; "" for a folder. ReportError for another file."""
    suffix = target.suffix.lower().lstrip(".")
    if suffix and suffix not in KINDS and not target.is_dir():
        raise ReportError(f"--report {target}: name a folder, or a file that ends in .json, .csv or .xml")
    return suffix if suffix in KINDS else ""


def write(target: Path, results: Sequence[Result], plan: Plan, seconds: float) -> list[Path]:
    """One file, or all three in a folder; ReportError."""
    kind = kind_of(target)
    files = {target: kind} if kind else {target / f"flash.{one}": one for one in KINDS}
    texts = {"json": as_json, "csv": as_csv, "xml": as_junit}
    try:
        for path, one in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[one](results, plan, seconds), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{error.filename}: {error.strerror}; the boards are as the table says") from None
    return list(files)


def plain(results: Sequence[Result], plan: Plan, seconds: float) -> dict[str, Any]:
    """All of it as plain values."""
    return {
        "bundles": [
            {"board": one.board, "chip": one.chip, "version": one.version, "digest": one.digest}
            for one, _ in plan.bundles.values()
        ],
        "seconds": round(seconds, 3),
        "summary": dict(sorted(Counter(result.state for result in results).items())),
        "boards": [asdict(result) | {"seconds": round(result.seconds, 3)} for result in results],
    }


def as_json(results: Sequence[Result], plan: Plan, seconds: float) -> str:
    """One object: bundles, summary, boards with what the self-test found."""
    return json.dumps(plain(results, plan, seconds), indent=2, ensure_ascii=False) + "\n"


def as_csv(results: Sequence[Result], plan: Plan, seconds: float) -> str:
    """A line for each board."""
    out = io.StringIO()
    rows = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
    rows.writeheader()
    for row in plain(results, plan, seconds)["boards"]:
        rows.writerow({name: _no_formula(row[name]) for name in COLUMNS})
    return out.getvalue()


def _no_formula(value: Any) -> Any:
    # A board's USB serial number is whatever it says, and spreadsheets calculate what begins so.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def as_junit(results: Sequence[Result], plan: Plan, seconds: float) -> str:
    """A test case for each board; refused and failed ones are failures, others that are not good errors."""
    counts = Counter(result.state for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="kanhu flash",
        tests=str(len(results)),
        failures=str(counts["refused"] + counts["failed"]),
        errors=str(counts["aborted"] + counts["missing"]),
        time=f"{seconds:.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"kanhu.flash.{result.board or result.chip or 'unknown'}",
            name=result.mac or result.port,
            time=f"{result.seconds:.3f}",
        )
        if not result.good:
            kind = "failure" if result.state in ("refused", "failed") else "error"
            wrong = ElementTree.SubElement(case, kind, type=result.state, message=result.sentence)
            wrong.text = f"{result.port}: {result.sentence}"
        said = ElementTree.SubElement(case, "system-out")
        said.text = json.dumps({"hub": result.hub, "regions": result.regions, "facts": result.facts})
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
