"""What commands and metrics say of homes is what the daemon's condition says, and nothing when it is old."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from kanhu.care.condition import STATES, Condition, Reason
from kanhu.care.rules.values import Words
from kanhu.care.shown import AGAIN_S, FRESH_MS, NAME, Shown, read
from kanhu.cli.operate import STATE_COLOURS

HOME = "70s6ht24er"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def well(at_ms: int) -> Condition:
    return Condition("well", (Reason(Words("proven 07:02, 0.8 s", "07:02 自检通过，0.8 秒"), 5),), at_ms)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    said = {HOME: well(now_ms())}
    Shown(tmp_path).write(said, now_ms(), 0.0)
    assert read(tmp_path, [HOME], running=True) == said
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    (other,) = read(tmp_path, ["2b8dr5w9tn"], running=True).values()
    assert other.state == "cannot_tell"


@pytest.mark.parametrize("age_ms", [FRESH_MS + 1000, -FRESH_MS - 1000])
def test_what_is_old_or_from_the_future_is_not_shown(tmp_path: Path, age_ms: int) -> None:
    Shown(tmp_path).write({HOME: well(now_ms())}, now_ms() - age_ms, 0.0)
    assert read(tmp_path, [HOME], running=True)[HOME].state == "cannot_tell"


def test_without_a_daemon_nobody_watches(tmp_path: Path) -> None:
    Shown(tmp_path).write({HOME: well(now_ms())}, now_ms(), 0.0)
    (found,) = read(tmp_path, [HOME], running=False).values()
    assert found.state == "cannot_tell"
    assert "no daemon" in found.reasons[0].words.en


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"at_ms": "now", "homes": {}}', '{"homes": {}}',
        '{"at_ms": NOW, "homes": []}', '{"at_ms": NOW, "homes": {"70s6ht24er": 5}}',
        '{"at_ms": NOW, "homes": {"70s6ht24er": ["fine", [], 1]}}',
        '{"at_ms": NOW, "homes": {"70s6ht24er": ["well", [["a"]], 1]}}',
        '{"at_ms": NOW, "homes": {"70s6ht24er": [["well"], [], 1]}}',
    ],
)  # fmt: skip
def test_a_file_that_is_none_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text.replace("NOW", str(now_ms())))
    assert read(tmp_path, [HOME], running=True)[HOME].state == "cannot_tell"


def test_a_change_is_written_soon_and_the_same_again_seldom(tmp_path: Path) -> None:
    shown = Shown(tmp_path)
    said = {HOME: well(1)}
    assert shown.is_due(said, 100.0)
    shown.write(said, now_ms(), 100.0)
    assert not shown.is_due(dict(said), 105.0)
    assert shown.is_due(dict(said), 100.0 + AGAIN_S)
    assert shown.is_due({HOME: well(2)}, 102.0)
    assert not shown.is_due({HOME: well(2)}, 100.5)
    assert AGAIN_S * 1000 < FRESH_MS


def test_as_json(tmp_path: Path) -> None:
    assert json.loads(json.dumps(well(7).as_dict(), ensure_ascii=False)) == {
        "state": "well",
        "reasons": [{"en": "proven 07:02, 0.8 s", "zh": "07:02 自检通过，0.8 秒", "since_ms": 5}],
        "at_ms": 7,
    }


def test_every_state_has_a_colour_and_only_well_is_green() -> None:
    assert set(STATE_COLOURS) == set(STATES)
    assert [state for state, colour in STATE_COLOURS.items() if colour == "green"] == ["well"]
