"""`kanhu bench doctor` at simulated benches, sound ones and some whose wires are wrong on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from helpers_cli import Kanhu
from helpers_miswired import moved, swapped, touching, without
from kanhu.qa import locks
from kanhu.qa.lines import LINES, Line
from kanhu.sim import Bench

pytestmark = pytest.mark.timeout(300)
Stand = Callable[..., AbstractContextManager[tuple[Path, Bench]]]
SOUND = ["stimulus", "hub", *(name for name in LINES if name != "power"), "reset", "power", "radio"]


def doctor(kanhu: Kanhu, file: Path) -> tuple[int, dict[str, str], dict[str, str]]:
    """Exit code, what is right and what is wrong, by name."""
    done = kanhu("bench", "doctor", "--bench", file, "--json")
    found = json.loads(done.stdout)
    assert found["ok"] is (done.returncode == 0)
    rows = {one["name"]: one for one in found["findings"]}
    assert len(rows) == len(found["findings"])
    right = {name: one["says"] for name, one in rows.items() if one["ok"]}
    return done.returncode, right, {name: one["says"] for name, one in rows.items() if not one["ok"]}


def test_a_sound_bench_is_right_in_all_and_runs_on(stand: Stand, kanhu: Kanhu) -> None:
    with stand() as (file, bench):
        code, right, bad = doctor(kanhu, file)
        assert (code, bad) == (0, {})
        assert list(right) == SOUND
        hub, stimulus = bench.boards["hub"], bench.boards["stimulus"]
        hub.wait_hub(60).wait_log("kanhu: hub", 60)
        stimulus.wait_hub(60)
        # Nobody holds the boards any more: the table, on the same bench, finds the same.
        done = kanhu("bench", "doctor", "--bench", file)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("ok ") == len(SOUND)


def test_no_pin_of_another_board_than_the_one_that_was_named_is_moved(stand: Stand, kanhu: Kanhu) -> None:
    with stand() as (file, _):
        text = file.read_text(encoding="utf-8")
        hub, sep, rest = text.partition("[stimulus]")
        file.write_text(f'{hub}mac = "240ac40000ff"\n{sep}{rest}', encoding="utf-8")
        code, right, bad = doctor(kanhu, file)
    assert (code, list(right), list(bad)) == (1, ["stimulus"], ["hub"])
    assert bad["hub"].endswith("and bench.toml says 240ac40000ff: no pin was moved")


def test_swapped_and_missing_wires_are_named(stand: Stand, kanhu: Kanhu) -> None:
    lines = swapped("button", "button2") | {
        name: line for name, line in swapped("lamp", "buzzer").items() if name in ("lamp", "buzzer")
    }
    with stand({name: line for name, line in lines.items() if name not in ("pir", "power")}) as (file, _):
        code, right, bad = doctor(kanhu, file)
    assert code == 1
    assert bad.pop("button") == "stimulus GPIO 25 reaches hub GPIO 17 (button2's); swap the wires"
    assert bad.pop("button2") == "stimulus GPIO 26 reaches hub GPIO 4 (button's); swap the wires"
    assert bad.pop("pir").startswith("nothing arrives")
    assert bad.pop("lamp").startswith("lamp and buzzer are swapped")
    assert bad.pop("buzzer").startswith("lamp and buzzer are swapped")
    assert bad.pop("power").startswith("no supply switch")
    assert bad == {}
    assert {"cancel", "mains", "reset", "radio"} <= set(right)


def test_touching_and_misplaced_wires_are_named(stand: Stand, kanhu: Kanhu) -> None:
    lines = touching("button", "cancel") | {
        "mains": moved("mains", 19)["mains"],
        "lamp": moved("lamp", 23)["lamp"],
    }
    with stand(lines, power="none") as (file, _):
        code, right, bad = doctor(kanhu, file)
    assert code == 1
    assert bad.pop("button").endswith("moves hub GPIO 4 and 14 (cancel's); part the wires that touch")
    assert bad.pop("cancel").endswith("moves hub GPIO 14 and 4 (button's); part the wires that touch")
    assert bad.pop("mains").endswith("reaches hub GPIO 19; move the wire to hub GPIO 21")
    assert bad.pop("lamp").endswith("is wired to hub GPIO 23; move the wire to hub GPIO 2")
    assert bad == {}
    assert right["power"] == "no supply switch: tests that cut the supply are skipped"


def test_boards_without_any_wire_have_no_common_ground(stand: Stand, kanhu: Kanhu) -> None:
    nothing: Mapping[str, Line] = without(*LINES)
    with stand(nothing, power="none") as (file, _):
        code, _, bad = doctor(kanhu, file)
    assert code == 1
    assert list(bad) == ["ground"]
    assert "join the grounds" in bad["ground"]


def test_exchanged_ports_are_said_and_a_board_in_use_is_left_alone(stand: Stand, kanhu: Kanhu) -> None:
    with stand() as (file, bench):
        urls = [bench.boards[name].url for name in ("hub", "stimulus")]
        text = file.read_text()
        with locks.held("hub", urls[0]):
            done = kanhu("bench", "doctor", "--bench", file)
            assert done.returncode == 2
            assert "in use by pid" in done.stderr
            assert done.stderr.count("\n") == 1
        bench.boards["hub"].wait_hub(60).wait_log("kanhu: hub", 60)
        file.write_text(text.replace(urls[0], "x").replace(urls[1], urls[0]).replace('"x"', f'"{urls[1]}"'))
        code, _, bad = doctor(kanhu, file)
        assert code == 1
        assert "exchange their ports" in bad["stimulus"]


def test_a_bare_stimulus_is_flashed(stand: Stand, kanhu: Kanhu) -> None:
    with stand() as (file, bench):
        board = bench.boards["stimulus"]
        board.cut_power()
        board.image.write_bytes(b"\xff" * board.image.stat().st_size)
        board.power_on()
        code, _, bad = doctor(kanhu, file)
        assert code == 1
        assert "kanhu bench flash" in bad["stimulus"]
        done = kanhu("bench", "flash", "--bench", file)
        assert done.returncode == 0, done.stderr
        assert "240ac40000a2" in done.stdout
        code, _, bad = doctor(kanhu, file)
        assert (code, bad) == (0, {})


def test_a_bare_hub_is_said(stand: Stand, kanhu: Kanhu) -> None:
    with stand() as (file, bench):
        board = bench.boards["hub"]
        board.cut_power()
        board.image.write_bytes(b"\xff" * board.image.stat().st_size)
        board.power_on()
        code, right, bad = doctor(kanhu, file)
    assert code == 1
    assert list(right) == ["stimulus"]
    assert "kanhu flash" in bad["hub"]


def test_a_bench_without_a_stimulus_or_a_file_is_said(tmp_path: Path, kanhu: Kanhu) -> None:
    done = kanhu("bench", "doctor", "--bench", tmp_path / "none.toml")
    assert done.returncode == 2
    assert "none.toml" in done.stderr
    file = tmp_path / "bench.toml"
    file.write_text('[wifi]\nname = "x"\n[[hub]]\nboard = "esp32"\nport = "/dev/ttyUSB9"\n')
    code, _, bad = doctor(kanhu, file)
    assert code == 1
    assert "no [stimulus]" in bad["stimulus"]
    done = kanhu("bench", "flash", "--bench", file)
    assert done.returncode == 2
    assert "no [stimulus]" in done.stderr
