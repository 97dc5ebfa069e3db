"""The table of `kanhu pair` on a terminal: what is typed, what is chosen, what names from the air do."""

from __future__ import annotations

import os
import pty
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from kanhu.cli import pair_table
from kanhu.cli.show import show
from kanhu.errors import KanhuError

EVERY_S, LOOKS = 0.05, 10  # the terminal hands over what is typed when it comes to it


def one(number: int, **more: Any) -> dict[str, Any]:
    return {
        "address": f"A4:C1:38:00:00:{number:02X}", "role": "call", "name": "", "rssi_dbm": -60 - number,
        "battery_percent": 90, "encrypted": False, "heard_ms": int(time.time() * 1000), "whose": "", **more,
    }  # fmt: skip


class Person:
    """At a terminal: keys[n] is typed while the n-th look is shown."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80, rows: int = 24) -> None:
        self.master, slave = pty.openpty()
        self.terminal = os.fdopen(slave)
        monkeypatch.setattr("sys.stdin", self.terminal)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", str(rows))

    def choose(
        self, heard: list[dict[str, Any]], *keys: str, moves: bool = False, state: str = "open"
    ) -> tuple[dict[str, Any] | None, bool]:
        def looks() -> Iterator[dict[str, Any]]:
            for typed in keys:
                os.write(self.master, typed.encode())
                for _ in range(LOOKS):
                    yield {"state": state, "ends_ms": (time.time() + 60) * 1000, "heard": heard}

        return pair_table.choose(looks(), EVERY_S, moves)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    made = Person(monkeypatch)
    yield made
    made.terminal.close()
    os.close(made.master)


def test_a_number_and_enter_choose_what_a_mistake_and_a_wrong_number_do_not(
    person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = [one(1), one(2), one(3)]
    assert person.choose(heard, "9\n") == (None, True)
    assert "there is no number 9" in capsys.readouterr().out
    found, _ = person.choose(heard, "9\n", "x王\n", "\n", "33\x7f\x7f", "2", "\n")
    assert found == heard[1]
    assert person.echoes()


@pytest.mark.parametrize(("whose", "said"), [("elsewhere", "another home"), ("here", "this hub already")])
def test_what_cannot_be_had_is_said_at_once(
    person: Person, capsys: pytest.CaptureFixture[str], whose: str, said: str
) -> None:
    assert person.choose([one(1, whose=whose)], "1\n", "") == (None, True)
    assert said in capsys.readouterr().out
    found, _ = person.choose([one(1, whose=whose)], "1\n", "", moves=True)
    assert (found is not None) == (whose == "here")


def test_a_number_stays_a_sensors_whoever_goes_and_comes(person: Person) -> None:
    heard = [one(1), one(2)]

    def looks() -> Iterator[dict[str, Any]]:
        ends_ms = (time.time() + 60) * 1000
        yield {"state": "open", "ends_ms": ends_ms, "heard": heard}
        heard[:] = [one(3), heard[1]]  # the first is heard no more, a stronger one is
        os.write(person.master, b"1\n2\n")
        yield {"state": "open", "ends_ms": ends_ms, "heard": heard}

    found, _ = pair_table.choose(looks(), 0.05, False)
    assert found is not None
    assert found["address"].endswith(":02")


def test_names_from_the_air_are_shown_as_they_are(person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["[/red]王", "[bold]体温计", ":smile:", "<b>", "\\[x]"]
    person.choose([one(number, name=name) for number, name in enumerate(names)], "", "")
    shown = capsys.readouterr().out
    for name in names:
        assert name in shown
    show([{"name": name} for name in names], False, "")
    assert all(name in capsys.readouterr().out for name in names[:1])


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (60, 20), (60, 10)])
def test_every_size_of_terminal_shows_whole_addresses_and_no_more_than_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int, rows: int
) -> None:
    person = Person(monkeypatch, columns, rows)
    person.choose([one(number, role="blood_pressure", name="血压计") for number in range(64)], "")
    shown = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in shown) <= columns
    listed = [line for line in shown if "A4:C1:38:00:00:" in line]
    assert 3 <= len(listed) <= rows
    assert "A4:C1:38:00:00:00" in listed[0]  # the strongest
    assert any("weaker ones" in line for line in shown)


def test_a_hub_that_does_not_answer_is_asked_about(
    person: Person, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_table, "SILENT_S", 0)
    assert person.choose([], "", state="asked") == (None, False)
    assert "is it connected?" in capsys.readouterr().out


def test_a_terminal_that_goes_away_ends_it(person: Person) -> None:
    with pytest.raises(KanhuError, match="nobody to ask"):
        person.choose([one(1)], "\x04", "")
    assert person.echoes()
