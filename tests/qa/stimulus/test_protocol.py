"""What a stimulus makes of what comes in at its console: every line is answered, wrong ones are counted."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers_stimulus import WAIT, Two
from kanhu.qa.stimulus import Stimulus, StimulusError

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's

KNOWN = ("press", "set", "pulse", "stick", "rest", "edges", "hello", "ping", "status", "deadman")
LINES = ("button", "button2", "cancel", "pir", "mains", "power", "lamp", "buzzer", "", "GPIO0")
CTRL_C = 3  # leaves to the REPL, at any place
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(LINES)
)
TREES = st.recursive(
    VALUES, lambda more: st.lists(more, max_size=3) | st.dictionaries(st.text(max_size=5), more, max_size=3)
)
NOISE = st.binary(min_size=1, max_size=120).map(
    lambda data: bytes(byte for byte in data if byte not in (CTRL_C, 10, 13)) or b"x"
)
# Short ones, that end before the next example.
REQUESTS = st.fixed_dictionaries(
    {"do": st.sampled_from((*KNOWN, "reboot ", "", "__init__")) | TREES},
    optional={
        "n": VALUES,
        "line": st.sampled_from(LINES) | TREES,
        "ms": st.integers(-2, 20) | TREES.filter(lambda value: not isinstance(value, int) or value < 20),
        "level": st.sampled_from((0, 1, None, 2, True)) | TREES,
        "on": st.booleans() | TREES,
        "bounce": st.booleans() | TREES,
        "seconds": st.integers(60, 3600) | st.sampled_from((0, -1, 3601, None, "60")),
        "extra": VALUES,
    },
)
SENT = st.one_of(
    NOISE,
    TREES.map(lambda tree: json.dumps(tree).encode()),
    REQUESTS.map(lambda request: json.dumps(request).encode()),
    REQUESTS.flatmap(lambda request: st.integers(1, 60).map(lambda cut: json.dumps(request).encode()[:cut])),
)


class Raw:
    """Lines as they are, and the answers to them."""

    def __init__(self, stimulus: Stimulus) -> None:
        self.stimulus = stimulus

    def send(self, line: bytes) -> dict[str, Any]:
        """The one answer to a line."""
        mark = len(self.answers())
        self.stimulus.dialog.port.write(line + b"\n")
        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            if found := self.answers()[mark:]:
                return found[0]
            time.sleep(0.002)
        raise TimeoutError(f"no answer to {line!r}: {self.stimulus.lines()[-10:]}")

    def answers(self) -> list[dict[str, Any]]:
        """To lines of this test: their numbers are none of the client's."""
        return self._found

    def listen(self) -> None:
        self._found: list[dict[str, Any]] = []
        before = self.stimulus.dialog._on_answer

        def on_answer(message: dict[str, Any], now: float) -> None:
            number = message["n"]
            with self.stimulus.dialog._lock:
                own = number in self.stimulus.dialog._waiting
            if own:
                before(message, now)
            else:
                self._found.append(message)

        self.stimulus.dialog._on_answer = on_answer  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def raw(shared: Two) -> Raw:
    found = Raw(shared.stimulus)
    found.listen()
    return found


def counts(stimulus: Stimulus) -> dict[str, int]:
    return dict(stimulus.status()["counts"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SENT, min_size=1, max_size=4))
def test_every_line_is_answered_once_and_wrong_ones_are_counted(raw: Raw, lines: list[bytes]) -> None:
    before = counts(raw.stimulus)
    answers = [raw.send(line) for line in lines]
    wrong = [answer for answer in answers if "error" in answer]
    for answer in answers:
        assert ("ok" in answer) != ("error" in answer), answer
        assert answer["n"] is None or 0 <= answer["n"] <= 1 << 30
    assert all(isinstance(one["error"], str) and one["error"] for one in wrong)
    after = counts(raw.stimulus)
    assert after["bad"] - before["bad"] == len(wrong)
    assert after["failed"] == before["failed"] == 0
    raw.stimulus.settle()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"hello", "a request is a JSON object on one line"),
        (b"[]", "a request is a JSON object"),
        (b'{"n":1', "a request is a JSON object"),
        (b'{"n":1,"do":"jump"}', "no command 'jump': there is "),
        (b'{"n":-1,"do":"ping"}', "n: a whole number from 0"),
        (b'{"n":true,"do":"ping"}', "n: a whole number from 0"),
        (b'{"do":"press","line":"lamp"}', "line: one of button, button2, cancel"),
        (b'{"do":"press","line":"pir"}', "pir is no contact; use set or pulse"),
        (b'{"do":"press","line":"button","seconds":1}', "press has no field 'seconds': there is line, ms"),
        (b'{"do":"press","line":"button","ms":0}', "ms: a whole number from 1"),
        (b'{"do":"press","line":"button","ms":1e3}', "ms: a whole number from 1"),
        (b'{"do":"set","line":"pir"}', "level: 0, 1 or null"),
        (b'{"do":"set","line":"pir","level":2}', "level: a whole number from 0 to 1"),
        (b'{"do":"stick","line":"pir","on":1}', "on: true or false"),
        (b'{"do":"stick","line":"pir","on":true,"bounce":true}', "pir is no contact"),
        (b'{"do":"deadman","seconds":0}', "seconds: a whole number from 1 to 3600"),
        (b"x" * 5000, "a request has at most 4096 bytes"),
        (b'{"do":"ping","n":1}' + b" " * 5000, "a request has at most 4096 bytes"),
    ],
)
def test_what_is_wrong_is_said(raw: Raw, line: bytes, says: str) -> None:
    answer = raw.send(line)
    assert says in answer.get("error", answer)


def test_long_requests_do_not_hold_up_short_ones_and_there_is_an_end_to_them(raw: Raw) -> None:
    stimulus = raw.stimulus
    mark = len(raw.answers())
    begun = time.monotonic()
    for _ in range(20):
        stimulus.dialog.port.write(b'{"n":1000000,"do":"press","line":"button","ms":10000}\n')
    end = time.monotonic() + WAIT
    while len(raw.answers()) < mark + 4 and time.monotonic() < end:
        time.sleep(0.01)
    early = raw.answers()[mark:]
    assert all("at work; wait for their answers" in answer["error"] for answer in early), early
    assert time.monotonic() - begun < 10
    deadline = time.monotonic() + WAIT
    while len(raw.answers()) < mark + 20 and time.monotonic() < deadline:
        time.sleep(0.05)
    late = raw.answers()[mark + 4 :]
    assert sum("ok" in answer for answer in late) == 1  # the newest press; the others lost their line to it
    assert sum("another request took button" in answer.get("error", "") for answer in late) == 15
    stimulus.ping()


def test_answers_of_the_board_become_errors_of_the_client(boards: Two) -> None:
    with pytest.raises(StimulusError, match=r"rfc2217://\S+: press: line: one of button"):
        boards.stimulus.press("doorbell")
    with pytest.raises(StimulusError, match=r"did not answer 'press' in 0 s: see that it is the stimulus"):
        boards.stimulus.ask("press", line="button", ms=300, timeout=0.05)
