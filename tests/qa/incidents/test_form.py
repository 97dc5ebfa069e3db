"""Whatever is in a file, it is an incident or one sentence; and every incident can be looked at."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kanhu.qa.incidents.compare import compare
from kanhu.qa.incidents.console import read
from kanhu.qa.incidents.form import Incident, IncidentError, dumps, loads
from kanhu.qa.incidents.outcomes import bad
from kanhu.qa.incidents.script import infer

LOGGED = "2025-10-09T08:53:23Z"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def look(incident: Incident) -> None:
    script = infer(incident)
    bad(incident, script.away)
    compare(incident, incident)


def taken(data: bytes) -> Incident | None:
    try:
        return loads(data)
    except IncidentError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 300
    return None


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    taken(data)


@given(ANYTHING)
def test_any_json(value: Any) -> None:
    taken(json.dumps(value).encode())
    taken(json.dumps({"kanhu_incident": 1, "hub": value}).encode())


@MANY
@given(data=st.data())
def test_one_field_is_another(quick: Incident, data: st.DataObject) -> None:
    plain: Any = copy.deepcopy(quick.model_dump(mode="json"))
    spot = plain
    for _ in range(data.draw(st.integers(0, 5))):
        if not isinstance(spot, dict | list) or not spot:
            break
        place = data.draw(st.sampled_from(sorted(spot) if isinstance(spot, dict) else range(len(spot))))
        if not isinstance(spot[place], dict | list) or data.draw(st.booleans()):
            if data.draw(st.booleans()):
                spot[place] = data.draw(ANYTHING | st.integers(-10, 300))
            else:
                del spot[place]
            break
        spot = spot[place]
    incident = taken(json.dumps(plain).encode())
    if incident is not None:
        look(incident)


@MANY
@given(cut=st.integers(0, 20_000))
def test_a_file_cut_short(quick: Incident, cut: int) -> None:
    data = dumps(quick).encode()
    if cut < len(data) - 1:
        assert taken(data[:cut]) is None


@given(st.text(max_size=300))
def test_any_console(text: str) -> None:
    kept = read(text, 1_760_000_000_000, 60_000, "7m3k0xq2fz")
    assert len(kept.lines) <= len(text.splitlines())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"{}", "no incident"),
        (b'{"kanhu_incident": 2}', "install a newer one"),
        (b'{"kanhu_incident": 1}', "hub: Field required"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe", "no JSON"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, said: str) -> None:
    with pytest.raises(IncidentError, match=said):
        loads(data)


def test_it_comes_back_as_it_was(quick: Incident) -> None:
    assert loads(dumps(quick).encode()) == quick


def test_a_console_tells_no_names() -> None:
    lines = [
        "2025-10-09T08:53:20.500+00:00 kanhu: lamp heard",
        "2025-10-09T08:53:21Z kanhu: mqtt: broker.wang.cn: [Errno 113] EHOSTUNREACH",
        "2025-10-09T08:53:22Z kanhu: task bulk failed: OSError('wang-home',)",
        "2025-10-09T08:53:22Z OSError: wang-home",
        "2025-10-09T08:53:22Z Grandmother Wang, 13800000000",
        "kanhu: lamp stored",
        "2025-10-08T08:53:22Z kanhu: lamp well",
        *(
            json.dumps({"event": "hub log", "hub": hub, "line": "kanhu: lamp well", "timestamp": LOGGED})
            for hub in ("7m3k0xq2fz", "0000000000")
        ),
    ]
    kept = read("\n".join(lines), 1_760_000_000_000, 60_000, "7m3k0xq2fz")
    assert [(one.at_ms, one.text) for one in kept.lines] == [
        (500, "lamp heard"),
        (1000, "mqtt: not connected"),
        (2000, "task bulk failed: OSError"),
        (2000, "OSError"),
        (None, "lamp stored"),
        (3000, "lamp well"),
    ]
    assert kept.left_out == {
        "log lines of no known form": 1,
        "log lines of another time": 1,
        "lines of a log that are not this hub's": 1,
    }
