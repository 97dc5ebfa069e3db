"""The replay says what the live rules would have said, sees nothing of the future, and measures silence."""

from __future__ import annotations

import json
import math
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from helpers_cli import Kanhu, runner
from helpers_intake import NOW_MS, Clock, Host, HubVoice
from kanhu.care.backtest import made_up, sums
from kanhu.care.backtest.recording import MOVEMENT, Recording
from kanhu.care.backtest.replay import SETTLE_MS, Outcome, Try, cut_moments, replay
from kanhu.care.backtest.sensors import Place
from kanhu.care.backtest.tables import read_file
from kanhu.care.rules import RULES
from kanhu.care.settings import check
from kanhu.errors import ConfigError
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR_MS = 3_600_000
MINUTE_MS = 60_000
FIRST = datetime(2026, 3, 2, tzinfo=SHANGHAI).date()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine days of somebody made up."""
    path = tmp_path_factory.mktemp("made") / "home.csv"
    path.write_text("".join(made_up.write(9, 3, SHANGHAI, FIRST)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def recording(home: Path) -> Recording:
    return read_file(home, SHANGHAI)


def attempt(rule: str, label: str = "", **values: Any) -> Try:
    return Try(RULES[rule], check(RULES[rule], values), label)


SHORT = {"day_minutes": 45, "out_hours": 2}
ALONE = {"day_minutes": 45, "out_hours": 0}


def test_the_replay_says_what_looking_every_minute_would(recording: Recording) -> None:
    """Against the naive way: the whole past is filled in first, and asked at each minute."""
    one = attempt("inactivity", **ALONE)
    (found,) = replay(recording, [one])
    past = recording.past()
    for step in recording.steps:
        recording.put(past, step)
    naive: dict[int, int] = {}
    states: dict[int, str] = {}
    for now_ms in range(recording.from_ms, recording.from_ms + 3 * 24 * HOUR_MS, MINUTE_MS):
        verdict = one.rule.evaluate(past, one.settings, now_ms)
        states[now_ms] = verdict.state
        if verdict.state == "raise":
            assert verdict.since_ms is not None
            naive.setdefault(verdict.since_ms, now_ms)
    assert naive
    mine = {
        finding.since_ms: finding.at_ms
        for finding in found.findings
        if finding.at_ms < recording.from_ms + 3 * 24 * HOUR_MS
    }
    assert mine.keys() == naive.keys()
    for since_ms, at_ms in mine.items():
        assert naive[since_ms] - MINUTE_MS < at_ms <= naive[since_ms] + SETTLE_MS


def test_nothing_of_the_future_is_seen(recording: Recording) -> None:
    """What was said up to a moment does not change with what came after it."""
    tries = [attempt("inactivity", **SHORT), attempt("overstay"), attempt("rhythm"), attempt("no_return")]
    whole = replay(recording, tries)
    middle_ms = recording.from_ms + 5 * 24 * HOUR_MS
    steps = [step for step in recording.steps if step.at_ms <= middle_ms]
    cut = Recording(
        "cut", recording.zone, recording.devices, steps, recording.from_ms, middle_ms, gap_ms=recording.gap_ms
    )
    for early, late in zip(replay(cut, tries), whole, strict=True):
        known = [(one.since_ms, one.at_ms) for one in early.findings if one.at_ms < middle_ms - HOUR_MS]
        later = [(one.since_ms, one.at_ms) for one in late.findings if one.at_ms < middle_ms - HOUR_MS]
        assert known == later
    assert whole[0].findings


def test_the_times_of_all_states_are_the_length_of_the_recording(recording: Recording) -> None:
    for outcome in replay(recording, [attempt(name) for name in RULES]):
        assert outcome.spans.total() == recording.until_ms - recording.from_ms
        assert outcome.evaluations < 40_000


def test_a_gap_is_cannot_tell_and_raises_nothing(home: Path, tmp_path: Path) -> None:
    lines = home.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not "2026-03-05T12" < line < "2026-03-08T09"]
    path = tmp_path / "gap.csv"
    path.write_text("".join(kept))
    found = read_file(path, SHANGHAI)
    (outcome,) = replay(found, [attempt("inactivity", **SHORT)])
    from_ms = round(datetime(2026, 3, 5, 13, tzinfo=SHANGHAI).timestamp() * 1000)
    until_ms = round(datetime(2026, 3, 8, 8, tzinfo=SHANGHAI).timestamp() * 1000)
    assert any(start <= from_ms and until_ms <= end for start, end in outcome.unknown)
    assert not [one for one in outcome.findings if from_ms <= one.at_ms <= until_ms]


def test_silence_put_in_is_noticed_by_the_rules_own_limit(recording: Recording) -> None:
    tries = [
        attempt("inactivity", str(minutes), day_minutes=minutes, out_hours=0) for minutes in (120, 240, 480)
    ]
    outcomes = replay(recording, tries, cuts=25, seed=5)
    medians = []
    for outcome, limit in zip(outcomes, (120, 240, 480), strict=True):
        assert len(outcome.noticed_ms) == 25
        # Who last moved in the night is missed in the morning: at 10:00, six hours after 04:00.
        assert all(ms >= min(limit, 360) * MINUTE_MS for ms in outcome.noticed_ms)
        assert not any(map(math.isinf, outcome.noticed_ms))  # sensors alive, nobody moves: all are noticed
        medians.append(sorted(outcome.noticed_ms)[12])
    assert medians == sorted(medians)
    again = replay(recording, tries[:1], cuts=25, seed=5)[0]
    assert again.noticed_ms == outcomes[0].noticed_ms  # the seed is all its chance
    quiet = replay(recording, tries[:1])[0]
    assert [one[:3] for one in quiet.findings] == [
        one[:3] for one in outcomes[0].findings
    ]  # no trace is left


def test_cuts_are_where_somebody_was_active(recording: Recording) -> None:
    found = cut_moments(recording, 40, 2)
    assert len(found) == 40
    assert found == sorted(found)
    assert all(recording.steps[at].what == MOVEMENT for at in found)
    assert min(recording.steps[at].at_ms for at in found) >= recording.from_ms + 2.9 * 24 * HOUR_MS
    assert cut_moments(recording, 40, 3) != found
    assert cut_moments(recording, 0, 2) == []


def test_a_rule_that_does_not_rest_on_movement_is_not_measured_by_silence(recording: Recording) -> None:
    outcome = replay(recording, [attempt("vitals")], cuts=5)[0]
    assert outcome.noticed_ms == []


def test_why_a_silence_was_not_noticed_is_said(home: Path, tmp_path: Path) -> None:
    """Somebody looked into the spare room once: two days later nobody knows whether its sensor sees."""
    path = tmp_path / "spare.csv"
    text = home.read_text(encoding="utf-8")
    path.write_text(f"{text}{FIRST} 12:00:00,motion_spare,ON\n", encoding="utf-8")
    tries = [
        attempt("inactivity", str(hours), proven_hours=hours, out_hours=0, ignore_rooms=rooms)
        for hours, rooms in ((48, ()), (336, ()), (48, ("spare",)))
    ]
    listed = {"motion_spare": Place("motion", "spare")}
    spare = read_file(path, SHANGHAI, listed)
    blind, patient, ignored = replay(spare, tries, cuts=12, seed=5)
    assert sum(map(math.isinf, blind.noticed_ms)) == 12
    assert blind.said == {"cannot tell: motion_spare: nothing shows that it still sees movement": 12}
    assert not patient.said
    assert patient.noticed_ms == ignored.noticed_ms  # a sensor that nobody passes does not make it later
    (row,) = sums.rows([(spare, [blind])], 0)
    assert (row.not_noticed, sum(row.said.values())) == (12, 12)


# Sums


def test_sums(recording: Recording) -> None:
    outcome = Outcome(attempt("inactivity", "day_minutes=45", **SHORT))
    first = replay(recording, [outcome.attempt], cuts=9)[0]
    ask_ms = 600_000
    (row,) = sums.rows([(recording, [first])], ask_ms)
    asked = len(first.findings)
    raised = len([one for one in first.findings if one.until_ms - one.at_ms >= ask_ms])
    months = recording.days / (365.25 / 12)
    assert (row.asked, row.raised, row.homes, row.cuts) == (asked, raised, 1, 9)
    assert row.per_month == round(raised / months, 2)
    assert row.median_h == round((sorted(first.noticed_ms)[4] + ask_ms) / HOUR_MS, 2)
    (both,) = sums.rows([(recording, [first]), (recording, [first])], ask_ms)
    assert (both.homes, both.raised, both.cuts) == (2, 2 * raised, 18)
    assert both.per_month == pytest.approx(row.per_month, abs=0.01)
    assert sums.quantile([1.0, math.inf], 0.9) is None
    assert sums.quantile([], 0.5) is None


def test_settings_to_compare() -> None:
    rule = RULES["inactivity"]
    asked = sums.parse_settings(["day_minutes=60,120", "grace_minutes=30", "night_hours=9"])
    tries = sums.tries_of(rule, {"wake_by": "08:00"}, asked)
    assert [one.label for one in tries] == [
        "day_minutes=60 grace_minutes=30",
        "day_minutes=120 grace_minutes=30",
    ]
    assert {getattr(one.settings, "wake_by", "") for one in tries} == {"08:00"}
    with pytest.raises(Exception, match="day_minutes"):
        sums.tries_of(rule, {}, {"day_minutes": ["many"]})
    with pytest.raises(ConfigError, match="at most 50"):
        sums.tries_of(rule, {}, {"day_minutes": [str(n) for n in range(60, 120)]})
    for wrong in ("day_minutes", "=5", "day_minutes="):
        with pytest.raises(ConfigError, match="key=value"):
            sums.parse_settings([wrong])


# The command


@pytest.fixture
def kanhu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


def test_the_command_prints_and_draws(kanhu: Kanhu, home: Path, tmp_path: Path) -> None:
    words = ("--rule", "inactivity", "--set", "day_minutes=90,240", "--cuts", 8)
    done = kanhu("rules", "backtest", home, *words, "--plot", "p.png", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["homes"][0]["made_up"] is True
    assert [row["settings"] for row in found["rules"]] == ["day_minutes=90", "day_minutes=240"]
    strict, lax = found["rules"]
    assert strict["per_month"] >= lax["per_month"]
    assert strict["median_h"] < lax["median_h"]
    assert {one["words"]["zh"] for one in found["alarms"]}
    picture = (tmp_path / "p.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    text = kanhu("rules", "backtest", home, *words).stdout
    assert "made up, nobody lived this" in text
    assert "alarms per home-month" in text


def test_the_command_says_what_is_odd_about_sensors(kanhu: Kanhu, tmp_path: Path) -> None:
    (tmp_path / "cups.csv").write_text(
        "".join(f"2026-03-0{day} 09:00:00,cupboard,ON\n" for day in range(2, 8)), encoding="utf-8"
    )
    (tmp_path / "sensors.csv").write_text("cupbord,motion,kitchen\n", encoding="utf-8")
    words = ("cups.csv", "--sensors", "sensors.csv", "--rule", "inactivity", "--cuts", 2)
    text = kanhu("rules", "backtest", *words).stdout
    assert "no motion sensor: rules of movement stay off" in text
    assert "in the list of sensors, and in no row: cupbord" in text
    assert "not noticed, 2 of 2; it said off: no movement sensor in this home" in text
    assert json.loads(kanhu("rules", "backtest", *words, "--json").stdout)["unheard"] == ["cupbord"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing.csv"], "No such file"),
        (["HOME", "--rule", "weather"], "rule 'weather': not known; there are inactivity"),
        (["HOME", "--set", "daytime=5", "--rule", "inactivity"], "daytime: no such setting"),
        (["HOME", "--set", "day_minutes=-5", "--rule", "inactivity"], "day_minutes"),
        (["HOME", "--time-zone", "Mars/Olympus"], "IANA"),
        (["HOME", "--cuts", "-1"], "--cuts 0 to 10000"),
        (["."], "no journal in"),
        (["HOME", "--sensors", "none.csv"], "none.csv: No such file"),
        (["HOME", "--cuts", "0", "--rule", "vitals", "--plot", "no/such/p.png"], "--plot no/such/p.png"),
    ],
)
def test_what_is_wrong_is_one_line(kanhu: Kanhu, home: Path, words: list[str], why: str) -> None:
    done = kanhu("rules", "backtest", *(home if word == "HOME" else word for word in words))
    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_matplotlib_one_line_says_what_to_install(
    kanhu: Kanhu, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    done = kanhu("rules", "backtest", home, "--rule", "vitals", "--cuts", 0, "--plot", "p.png")
    assert done.returncode == 2
    assert "pip install 'kanhu[plot]'" in done.stderr


def test_rules_are_set_for_a_home_and_listed(kanhu: Kanhu, tmp_path: Path) -> None:
    at = ("--data-dir", tmp_path / "data")
    with closing(Registry.open(tmp_path / "data")) as registry:
        home = registry.add_home()
    assert kanhu("rules", "set", "all", "inactivity", *at).returncode == 0
    assert (
        kanhu("rules", "set", home, "inactivity", "day_minutes=240", 'ignore_rooms=["attic"]', *at).returncode
        == 0
    )
    assert kanhu("rules", "set", home, "overstay", "--off", *at).returncode == 0
    rows = {row["rule"]: row for row in json.loads(kanhu("rules", "list", home, *at, "--json").stdout)}
    assert rows["inactivity/1"]["on"] is True
    assert "day_minutes=240" in rows["inactivity/1"]["settings"]
    assert rows["overstay/1"]["on"] is rows["vitals/1"]["on"] is False
    for words, why in (
        (["day_minutes=0"], "day_minutes"), (["colour=red"], "no such setting"),
        (["day_minutes"], "key=value"), (["--forget", "day_minutes=240"], "give none beside it"),
    ):  # fmt: skip
        done = kanhu("rules", "set", home, "inactivity", *words, *at)
        assert done.returncode == 2
        assert why in done.stderr
    assert kanhu("rules", "set", "0000000000", "inactivity", *at).returncode == 2
    assert kanhu("rules", "set", home, "inactivity", "--forget", *at).returncode == 0
    with closing(Registry.open(tmp_path / "data", "read")) as registry:
        assert registry.rules(home) == {"inactivity": {}, "overstay": {"enabled": False}}


# A journal


async def test_a_journal_is_a_recording_of_its_own(tmp_path: Path, kanhu: Kanhu) -> None:
    with closing(Registry.open(tmp_path / "data")) as registry:
        home = registry.add_home(time_zone="Asia/Shanghai")
        hub = HubVoice(*registry.add_hub(home))
        registry.set_rule(home, "inactivity", {"day_minutes": 240}, "test")
    noon_ms = NOW_MS // (24 * HOUR_MS) * 24 * HOUR_MS + 24 * HOUR_MS  # 08:00 in Shanghai
    clock = Clock(noon_ms)
    host = Host(tmp_path / "data", hub, clock=clock)
    await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
    for minute in range(0, 10 * 60, 5):  # ten hours of heartbeats; from the third nobody moves
        clock.now_ms = noon_ms + minute * MINUTE_MS
        up_ms = minute * MINUTE_MS + 5000
        times = {k.UTC_MS: clock.now_ms, k.CLOCK: 1}
        said = hub.say(k.HEARTBEAT, BEAT | times, up_ms)
        if minute <= 180:
            said += hub.say(k.MOTION, {k.DEVICE: 2} | times, up_ms + 1)
        await host.intake.receive(hub.hub_id, said, "mqtt")
    await host.journal.host_event(k.SENSOR_UNPROVEN, {k.SUBJECT: "0000000000", k.DEVICE: 2, k.SPAN_MS: 1})
    await host.journal.close()
    done = kanhu("rules", "backtest", tmp_path / "data", "--rule", "inactivity", "--cuts", 0, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (one,) = found["homes"]
    assert (one["home"], one["supervised"], one["wrong"]) == (home, True, {})
    assert [row["rule"] for row in found["rules"]] == ["inactivity/1"]
    (alarm,) = found["alarms"]
    last = datetime.fromtimestamp((noon_ms + 180 * MINUTE_MS) / 1000, SHANGHAI)
    raised = datetime.fromisoformat(alarm["found"])
    assert 240 <= (raised - last).total_seconds() / 60 < 242  # the home's own setting
    assert "11:00" in alarm["words"]["en"]


BEAT: dict[int, Any] = {
    k.RESET: 1, k.HEAP: [90_000, 40_000], k.LINK: 1, k.OUTBOX: [0, 0], k.DROPS: [0] * 5, k.RADIO: [100, 9],
    k.FIRMWARE: "0.1.0", k.POWER: [True, None], k.VERSIONS: [1, 0], k.REFUSED: [0, 0, 0],
}  # fmt: skip
