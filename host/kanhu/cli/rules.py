"""`kanhu rules`: which rules watch a home, and what they would have said over its past."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from kanhu.care.rules import RULES
from kanhu.care.settings import check
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show
from kanhu.errors import ConfigError
from kanhu.registry import checks
from kanhu.registry.care import ALL_HOMES

if TYPE_CHECKING:
    from kanhu.care.backtest.recording import Recording
    from kanhu.care.backtest.replay import Outcome
    from kanhu.care.backtest.sums import Row
    from kanhu.care.rules.values import Rule

app = typer.Typer(no_args_is_help=True)
ENABLED = "enabled"  # of every rule's settings
SAID = 3  # reasons shown why a silence was not noticed, of each rule and setting
ALL = "all"  # in place of a home: for every home that has no setting of its own

Values = Annotated[list[str] | None, typer.Argument(help="key=value; the rest keeps its defaults.")]


def _rule(name: str) -> Rule[Any]:
    found = RULES.get(name.partition("/")[0])
    if found is None:
        raise ConfigError(f"rule {name!r}: not known; there are {', '.join(RULES)}")
    return found


def _home(home: str) -> str:
    return ALL_HOMES if home == ALL else home


@app.command("list")
def list_rules(
    home: Annotated[str, typer.Argument(help="A home, or all.")] = ALL,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """The rules, whether they are on, and the settings that hold for a home."""
    if home == ALL and not (data_dir / "registry.db").exists():
        stored: dict[str, dict[str, Any]] = {}
    else:
        with open_registry(data_dir, "read") as registry:
            stored = registry.rules(registry.home(home).id if home != ALL else ALL_HOMES)
    rows = []
    for rule in RULES.values():
        own = stored.get(rule.name, {})
        settings = check(rule, own)
        rows.append(
            {
                "rule": rule.id, "on": rule.name in stored and bool(getattr(settings, ENABLED)),
                "says": rule.title.en, "说明": rule.title.zh,
                "settings": ", ".join(
                    f"{key}={_text(value)}" for key, value in settings.model_dump(mode="json").items()
                ),
            }
        )  # fmt: skip
    show(rows, as_json, "no rules")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command("set")
def set_rule(
    home: Annotated[str, typer.Argument(help="A home, or all.")],
    rule: Annotated[str, typer.Argument(help="Its name, such as inactivity.")],
    values: Values = None,
    off: Annotated[bool, typer.Option("--off", help="This rule does not watch the home.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="As for all homes, or nobody's.")] = False,
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let a rule watch a home, with these settings; a running daemon follows within a second."""
    found = _rule(rule)
    wanted: dict[str, Any] | None = None
    if not forget:
        given = dict(_pair(one) for one in values or ()) | ({ENABLED: False} if off else {})
        wanted = check(found, given).model_dump(mode="json", include=set(given))
    elif values or off:
        raise ConfigError("--forget takes back all settings: give none beside it")
    with open_registry(data_dir, "change") as registry:
        registry.set_rule(_home(home), found.name, wanted, getpass.getuser())
    state = "as for all homes" if wanted is None else "on" if wanted.get(ENABLED, True) else "off"
    said(
        {"home": home, "rule": found.id, "settings": wanted},
        as_json,
        f"rule {found.id} for {'all homes' if home == ALL else f'home {home}'}: {state}",
    )


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text!r}: write key=value")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


@app.command("backtest")
def backtest(
    sources: Annotated[
        list[Path], typer.Argument(help="Recordings (time, sensor, state), one home each; or a data_dir.")
    ],
    rule: Annotated[
        list[str] | None, typer.Option("--rule", help="May be given again; all when left out.")
    ] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, or key=value,value,.. to compare.")
    ] = None,
    home: Annotated[list[str] | None, typer.Option(help="Of a data_dir: only these homes.")] = None,
    sensors: Annotated[
        Path | None, typer.Option(help="CSV of sensor, role (motion, item, door, window, ignore), room.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="What the columns are, such as date,clock,sensor,state; - for others.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Of moments that do not say theirs.")] = "Asia/Shanghai",
    gap_hours: Annotated[
        float, typer.Option(help="Nothing recorded for longer: it is not known what happened.")
    ] = 24.0,
    ask: Annotated[float, typer.Option(help="Seconds the elder is asked before it is an alarm.")] = 600.0,
    cuts: Annotated[int, typer.Option(help="Silences put in at random, of each home.")] = 100,
    seed: Annotated[int, typer.Option(help="Of the random moments.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="A picture: .png, .svg or .pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """What rules would have raised over a recorded past, and how soon they notice that nobody moves."""
    from kanhu.care.backtest import sums
    from kanhu.care.backtest.replay import replay

    if not 0 < gap_hours <= 24 * 30 or not 0 <= ask <= 3600 or not 0 <= cuts <= 10_000:
        raise ConfigError("--gap-hours is above 0 and at most 720, --ask 0 to 3600, --cuts 0 to 10000")
    zone = ZoneInfo(checks.time_zone(time_zone))
    rules = [_rule(name) for name in rule] if rule else list(RULES.values())
    asked = sums.parse_settings(values or ())
    for key in asked:
        if all(key not in one.settings.model_fields for one in rules):
            check(rules[0], {key: ""})  # says what there is
    done: list[tuple[Recording, list[Outcome]]] = []
    with _bar() as bar:
        for recording in _recordings(sources, zone, sensors, columns, int(gap_hours * 3_600_000), home, bar):
            tries = [
                attempt
                for one in rules
                for attempt in sums.tries_of(one, recording.settings.get(one.name, {}), asked)
            ]
            done.append((recording, replay(recording, tries, cuts, seed, bar(f"replaying {recording.name}"))))
    ask_ms = int(ask * 1000)
    rows = sums.rows(done, ask_ms)
    if plot:
        from kanhu.care.backtest.plot import draw

        draw(plot, rows, done, ask_ms)
    _report(done, rows, plot, as_json, _unheard(sensors, done))


_Tell = Any  # (what) -> (done, total) -> None


def _recordings(
    sources: list[Path], zone: ZoneInfo, sensors: Path | None, columns: str | None, gap_ms: int,
    homes: list[str] | None, bar: _Tell,
) -> Iterator[Recording]:  # fmt: skip
    from kanhu.care.backtest.sensors import load
    from kanhu.care.backtest.tables import read_file

    places = load(sensors) if sensors else None
    for source in sources:
        if source.is_dir():
            from kanhu.care.backtest.kept import read_journal

            yield from read_journal(source, homes, bar(f"reading {source.name}"))
        else:
            yield read_file(source, zone, places, columns, gap_ms, bar(f"reading {source.name}"))


def _unheard(sensors: Path | None, done: list[tuple[Recording, list[Outcome]]]) -> list[str]:
    """Sensors that a list names and no recording has: likely written otherwise."""
    from kanhu.care.backtest.sensors import load

    if sensors is None:
        return []
    heard = set().union(*(recording.account.sensors for recording, _ in done))
    return [name for name in load(sensors) if name not in heard]


@contextmanager
def _bar() -> Iterator[_Tell]:
    """A bar for each thing done, on a terminal; nothing where nobody looks."""
    shown = TextColumn("{task.description:32.32}"), BarColumn(), TimeRemainingColumn()
    with Progress(
        *shown, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as progress:

        def begin(what: str) -> Any:
            task: TaskID = progress.add_task(what, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield begin


def _report(
    done: list[tuple[Recording, list[Outcome]]], rows: list[Row], plot: Path | None, as_json: bool,
    unheard: list[str],
) -> None:  # fmt: skip
    homes = [_account(recording) for recording, _ in done]
    if as_json:
        found = {
            "homes": homes, "rules": [row.as_dict() for row in rows], "plot": str(plot) if plot else None,
            "alarms": _alarms(done), "unheard": unheard,
        }  # fmt: skip
        print(json.dumps(found, ensure_ascii=False))
        return
    for one in homes:
        if one["made_up"]:
            print(f"{one['home']}: made up, nobody lived this: its numbers say nothing of real homes")
        print(
            f"{one['home']}: {one['days']} days from {one['from']}, {one['used']} of {one['rows']} rows used"
            + "".join(f", {count} {why}" for why, count in {**one["ignored"], **one["wrong"]}.items())
            + (f", {one['out_of_order']} out of order" if one["out_of_order"] else "")
        )
        for line in one["shown"]:
            print(f"  {line}")
        print(f"  sensors: {'; '.join(one['sensors'])}")
        if one["usually_up_by"]:
            print(f"  usually up by {one['usually_up_by']}, nearly always by {one['nearly_always_by']}")
        if not one["relied_on"]:
            print("  no motion sensor: rules of movement stay off; say with --sensors which may be relied on")
        if not one["supervised"]:
            print("  nobody supervised these sensors: taken to be there as long as the recording goes on")
    if unheard:
        print(f"in the list of sensors, and in no row: {', '.join(unheard)}")
    columns = {
        "rule": "rule", "settings": "settings", "homes": "homes", "months": "home-months", "asked": "found",
        "raised": "alarms", "hints": "hints", "per_month": "alarms per home-month",
    }  # fmt: skip
    table = []
    for row in rows:
        values = row.as_dict()
        line = {title: values[key] for key, title in columns.items()}
        line["cannot tell"] = f"{100 * row.cannot_tell:.1f} %"
        line["off"] = f"{100 * row.off:.1f} %"
        line["noticed after (median, 90 %) h"] = (
            f"{_hours(row.median_h)}, {_hours(row.p90_h)}" if row.cuts else ""
        )
        line["not noticed"] = f"{row.not_noticed} of {row.cuts}" if row.cuts else ""
        table.append(line)
    show(table, False, "nothing was tried")
    for row in rows:
        for words, count in list(row.said.items())[:SAID]:
            label = f"{row.rule} {row.settings}".strip()
            print(f"{label}: not noticed, {count} of {row.cuts}; it said {words}")
    if plot:
        print(f"the picture is {plot}")


def _hours(hours: float | None) -> str:
    return "never" if hours is None else f"{hours:.1f}"


def _account(recording: Recording) -> dict[str, Any]:
    from kanhu.care.rules.hours import clock

    account, habit = recording.account, recording.habit()
    return {
        "home": recording.name, "made_up": recording.made_up, "supervised": recording.supervised,
        "days": round(recording.days, 1),
        "from": _when(recording.from_ms, recording.zone),
        "usually_up_by": clock(habit.usual_min % 1440) if habit else None,
        "nearly_always_by": clock(habit.late_min % 1440) if habit else None,
        "relied_on": sum(device.role == "motion" for device in recording.devices),
        "rows": account.rows, "used": account.used, "ignored": dict(account.ignored),
        "wrong": dict(account.wrong), "shown": account.shown, "out_of_order": account.out_of_order,
        "repeated_hour": account.repeated, "skipped_hour": account.skipped,
        "sensors": [
            f"{device.name or device.index} {device.role}{f' in {device.room}' if device.room else ''}"
            for device in recording.devices
        ],
    }  # fmt: skip


def _when(at_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="seconds")


def _alarms(done: list[tuple[Recording, list[Outcome]]]) -> list[dict[str, Any]]:
    return [
        {
            "home": recording.name, "rule": outcome.attempt.rule.id, "settings": outcome.attempt.label,
            "found": _when(one.at_ms, recording.zone),
            "ended_after_s": (one.until_ms - one.at_ms) // 1000, "room": one.room,
            "words": one.words._asdict(),
        }
        for recording, outcomes in done
        for outcome in outcomes
        for one in outcome.findings
    ]  # fmt: skip


@app.command("made-up")
def made_up(
    out: Annotated[Path, typer.Argument(help="A new CSV file.")],
    days: Annotated[int, typer.Option(min=1, max=3650)] = 60,
    seed: Annotated[int, typer.Option(help="Another one, another person.")] = 1,
    time_zone: Annotated[str, typer.Option(help="IANA name.")] = "Asia/Shanghai",
) -> None:
    """Write a recording that nobody lived, to try the backtest out; it says so of itself."""
    from kanhu.care.backtest import made_up as inventing

    zone = ZoneInfo(checks.time_zone(time_zone))
    first = date(2026, 3, 2)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.writelines(inventing.write(days, seed, zone, first))
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}") from None
    print(f"{days} made-up days are in {out}")
