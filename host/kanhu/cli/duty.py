"""`kanhu duty`: who is asked when an alarm waits, by level, region and time."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from kanhu.care.duty import is_on
from kanhu.cli.show import DATA_DIR, AsJson, DataDir, open_registry, said, show
from kanhu.config import minute_of_day
from kanhu.errors import KanhuError
from kanhu.registry.duty import DAY_MIN, Shift
from kanhu_protocol import names

app = typer.Typer(no_args_is_help=True)

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LEVELS = {name: number for number, name in names.LEVELS.items()}
NONE = "no duty lists: nobody can be missed, and time alone escalates; add one with kanhu duty add"


def days_mask(text: str) -> int:
    """Mask (Monday 1) of "mon-fri", "sat,sun" or "daily"; KanhuError."""
    if text == "daily":
        return 127
    mask = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise KanhuError(f"days {text!r}: write mon-fri, sat,sun or daily, of {', '.join(DAYS)}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        for step in range((end - begin) % 7 + 1):
            mask |= 1 << (begin + step) % 7
    return mask


def _days(mask: int) -> str:
    return "daily" if mask == 127 else ",".join(day for at, day in enumerate(DAYS) if mask >> at & 1)


def _minute(text: str, what: str) -> int:
    try:
        return DAY_MIN if text == "24:00" and what == "until" else minute_of_day(text)
    except ValueError as error:
        raise KanhuError(f"--{what}: {error}") from None


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _shift(shift: Shift, now_ms: int) -> dict[str, Any]:
    return {
        "shift": shift.id, "operator": shift.operator, "level": names.LEVELS[shift.level],
        "region": shift.region or "everywhere", "days": _days(shift.days), "from": _clock(shift.from_min),
        "until": _clock(shift.until_min), "time_zone": shift.time_zone,
        "now": "on duty" if is_on(shift, now_ms) else "",
    }  # fmt: skip


@app.command("list")
def list_(data_dir: DataDir = DATA_DIR, as_json: AsJson = False) -> None:
    """All shifts of operators who are not disabled, and who of them is on duty now."""
    now_ms = time.time_ns() // 1_000_000
    with open_registry(data_dir, "read") as registry:
        show([_shift(one, now_ms) for one in registry.shifts()], as_json, NONE)


@app.command("add")
def add(
    operator: str,
    level: Annotated[str, typer.Argument(help="community, street, district or city.")],
    region: Annotated[str, typer.Option(help="Whose alarms: this region and below; else everywhere.")] = "",
    days: Annotated[str, typer.Option(help="Days on which the shift begins: mon-fri, sat,sun.")] = "daily",
    begin: Annotated[str, typer.Option("--from", help="HH:MM.")] = "00:00",
    until: Annotated[str, typer.Option(help="HH:MM; at or before --from: on the next day.")] = "24:00",
    time_zone: Annotated[str, typer.Option(help="IANA name.")] = "Asia/Shanghai",
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Put an operator on duty; a running daemon sees it within a second."""
    if level not in LEVELS:
        raise KanhuError(f"level {level!r}: must be one of {', '.join(LEVELS)}")
    mask, from_min, until_min = days_mask(days), _minute(begin, "from"), _minute(until, "until")
    with open_registry(data_dir, "change") as registry:
        made = registry.add_shift(operator, LEVELS[level], region, mask, from_min, until_min, time_zone)
    said({"shift": made}, as_json, f"shift {made}: {operator} is on duty for {level}")


@app.command("remove")
def remove(
    shift: Annotated[int, typer.Argument(help="Number, as kanhu duty list shows it.")],
    data_dir: DataDir = DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Take a shift out of the lists."""
    with open_registry(data_dir, "change") as registry:
        registry.remove_shift(shift)
    said({"removed": shift}, as_json, f"shift {shift} removed")
