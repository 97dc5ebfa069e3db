"""junit.xml from the record, for CI servers: one <testsuite> per folder of the suite."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from kanhu.qa.model import Run, Test

# What XML 1.0 has no way to hold; consoles of boards hold it all the same.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTPUT_MAX = 100_000  # characters of one test's logs: run.json has them whole


def plain(text: str) -> str:
    """Text that XML can hold; the rest as U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def junit(run: Run) -> bytes:
    """The document."""
    root = ET.Element("testsuites", name="kanhu", timestamp=run.started_utc.isoformat(timespec="seconds"))
    suites: dict[str, list[Test]] = {}
    for test in run.tests:
        suites.setdefault(test.suite, []).append(test)
    for name, tests in suites.items():
        _suite(root, run, name, tests)
    if run.problems or not run.tests:
        _problems(root, run)
    _count(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + bytes(ET.tostring(root, encoding="utf-8"))


def properties(run: Run) -> dict[str, str]:
    """What was tested, as a CI server lists it."""
    found = {
        "run": run.id, "verdict": run.verdict, "target": run.target, "host_version": run.host_version,
        "git": run.git, "seed": "" if run.seed is None else str(run.seed), "interrupted": run.interrupted,
    }  # fmt: skip
    for board in run.boards:
        for key in ("firmware_version", "firmware_sha256", "micropython", "chip", "mac"):
            found[f"{board.name}.{key}"] = getattr(board, key)
    return {key: plain(value) for key, value in found.items() if value}


def _suite(root: ET.Element, run: Run, name: str, tests: list[Test]) -> None:
    suite = ET.SubElement(root, "testsuite", name=plain(name))
    suite.set("timestamp", run.started_utc.isoformat(timespec="seconds"))
    suite.set("time", f"{sum(test.duration_s for test in tests):.3f}")
    table = ET.SubElement(suite, "properties")
    for key, value in properties(run).items():
        ET.SubElement(table, "property", name=key, value=value)
    for test in tests:
        _case(suite, test)
    _count(suite)


def _case(suite: ET.Element, test: Test) -> None:
    file, _, name = test.id.partition("::")
    where = file.removesuffix(".py").replace("/", ".")
    case = ET.SubElement(suite, "testcase", classname=plain(where), name=plain(name or test.id))
    case.set("time", f"{test.duration_s:.3f}")
    facts = ET.SubElement(case, "properties")
    for promise in test.promises:
        ET.SubElement(facts, "property", name="promise", value=plain(promise))
    for measure in test.measures:
        value = f"{measure.value:g} {measure.unit}"
        ET.SubElement(facts, "property", name=plain(measure.name), value=plain(value))
    if not len(facts):
        case.remove(facts)
    if test.outcome in ("failed", "error"):
        kind = "failure" if test.outcome == "failed" else "error"
        ET.SubElement(case, kind, message=plain(test.message)).text = plain(test.details or test.message)
    elif test.outcome in ("skipped", "quarantined"):
        why = test.message
        if test.outcome == "quarantined" and test.quarantine is not None:
            why = f"quarantine until {test.quarantine.until}, owner {test.quarantine.owner}: {why}"
        ET.SubElement(case, "skipped", message=plain(why))
    said = [f"--- {title} ---\n{text}" for title, text in (*test.sections.items(), *test.log.items()) if text]
    if said:
        text = plain("\n".join(said))
        cut = len(text) - _OUTPUT_MAX
        if cut > 0:
            text = f"({cut} characters are left out here: run.json has them)\n{text[-_OUTPUT_MAX:]}"
        ET.SubElement(case, "system-out").text = text


def _problems(root: ET.Element, run: Run) -> None:
    suite = ET.SubElement(root, "testsuite", name="run", time="0.000")
    for number, text in enumerate(run.problems or ["nothing ran"], 1):
        case = ET.SubElement(suite, "testcase", classname="run", name=f"problem {number}", time="0.000")
        ET.SubElement(case, "error", message=plain(text)).text = plain(text)
    _count(suite)


def _count(node: ET.Element) -> None:
    node.set("tests", str(len(list(node.iter("testcase")))))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        node.set(name, str(len(list(node.iter(tag)))))
