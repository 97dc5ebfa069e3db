"""An incident becomes a test: kept as a file, and what must hold of it on the firmware of the sources."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from kanhu.qa.incidents.compare import Comparison, compare
from kanhu.qa.incidents.form import Incident, IncidentError, Kept, dumps
from kanhu.qa.incidents.outcomes import bad, missing, still
from kanhu.qa.incidents.programs import Program
from kanhu.qa.incidents.replay import Played, play
from kanhu.qa.incidents.script import infer
from kanhu.qa.incidents.show import moment, verdict

Expect = Literal["reproduced", "fixed"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def adopt(incident: Incident, name: str, expect: Expect, folder: Path, replace: bool = False) -> Path:
    """Keep it under a name in a folder of adopted incidents; IncidentError when it would test nothing."""
    if not _NAME.fullmatch(name):
        raise IncidentError(
            f"name {name[:60]!r}: use small letters, digits, - and _, such as call-in-broker-restart"
        )
    found = bad(incident, infer(incident).away)
    if expect == "fixed" and not found:
        raise IncidentError(
            "the record shows nothing bad that could be fixed: adopt it as reproduced, or take it again with "
            "--pressed (a press that people tell of) or --log (what the lamp showed)"
        )
    kept = incident.model_copy(
        update={"kept": Kept(name=name, expect=expect, bad=found if expect == "fixed" else [])}
    )
    path = folder / f"{name}.json"
    if not folder.is_dir():
        raise IncidentError(f"no folder {folder}: run this in a checkout of Kanhu, or name another --tests")
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        with open(os.open(path, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(dumps(kept))
    except FileExistsError:
        raise IncidentError(f"{path}: there already; choose another --name, or --replace it") from None
    except OSError as error:
        raise IncidentError(f"{path}: {error.strerror}") from None
    return path


class Judged(NamedTuple):
    """wrong: "" when what was expected holds, else in words."""

    wrong: str
    played: Played
    found: Comparison


def judge(incident: Incident, program: Program) -> Judged:
    """Whether an adopted incident holds on a firmware; IncidentError when it was never adopted."""
    if incident.kept is None:
        raise IncidentError("this incident was not adopted: kanhu qa incident adopt it first")
    played = play(incident, program)
    found = compare(incident, played.record)
    if incident.kept.expect == "reproduced":
        wrong = "" if found.first is None else verdict(found)
        return Judged(wrong, played, found)
    again = [f"again at {moment(one.at_ms)}: {one.text}" for one in still(incident.kept.bad, played.bad)]
    again += [f"{one.name} of device {one.device} never happens" for one in missing(incident, played.record)]
    return Judged("; ".join(again), played, found)
