"""The picture of a backtest: alarms against time to notice, and the days of one home with its alarms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from kanhu.errors import ConfigError

from .recording import MOVEMENT, Recording
from .replay import HORIZON_MS, Outcome
from .sums import Row, alarms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_DAYS = 120  # of the raster; of a longer recording its last ones
CHINESE = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "SimHei", "Microsoft YaHei", "PingFang SC", "Droid Sans Fallback",
)  # fmt: skip
INK, ALARM, UNKNOWN, FAINT = "#1f4e79", "#c0392b", "#b9bec6", "#8a8f98"
_MARKS = "osD^vP*X"


def draw(
    path: Path, rows: Sequence[Row], done: Sequence[tuple[Recording, Sequence[Outcome]]], ask_ms: int
) -> None:
    """Write a PNG, SVG or PDF, as path ends; ConfigError without matplotlib or for a path it cannot write."""
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
        from matplotlib.font_manager import fontManager
    except ImportError as error:
        raise ConfigError(
            f"--plot needs matplotlib: pip install 'kanhu[plot]'; missing: {error.name}"
        ) from None
    have = {font.name for font in fontManager.ttflist}
    chinese = next((name for name in CHINESE if name in have), None)
    words = _Words(chinese is not None)
    recording, outcome = _shown(done, ask_ms)
    days = min(MAX_DAYS, max(7, int(recording.days) + 2))
    settings: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    if chinese:
        settings["font.family"] = [chinese, "DejaVu Sans"]
    with pyplot.rc_context(settings):
        figure, (above, below) = pyplot.subplots(
            2,
            1,
            figsize=(10, 5.2 + 0.09 * days),
            height_ratios=(3.4, 1.2 + 0.09 * days),
            layout="constrained",
        )
        _trade(above, rows, words)
        _raster(below, recording, outcome, ask_ms, days, words)
        if any(one.made_up for one, _ in done):
            figure.suptitle(words("Made-up homes: nobody lived this", "虚构数据，并非真实住户"), color=ALARM)
        try:
            figure.savefig(path, dpi=110)
        except (OSError, ValueError) as error:
            raise ConfigError(f"--plot {path}: {error}") from None
        finally:
            pyplot.close(figure)


class _Words:
    """Labels in both languages where a font has Chinese."""

    def __init__(self, chinese: bool) -> None:
        self._chinese = chinese

    def __call__(self, english: str, chinese: str) -> str:
        return f"{english}  {chinese}" if self._chinese else english


def _shown(done: Sequence[tuple[Recording, Sequence[Outcome]]], ask_ms: int) -> tuple[Recording, Outcome]:
    """The home and try to be shown day by day: the one with the most alarms."""
    pairs = [(recording, outcome) for recording, outcomes in done for outcome in outcomes]
    return max(pairs, key=lambda pair: len(alarms(pair[1], ask_ms)))


def _trade(axes: Axes, rows: Sequence[Row], words: _Words) -> None:
    horizon_h = HORIZON_MS / 3_600_000
    points: dict[tuple[str, float, float], list[str]] = {}
    for row in rows:
        if row.per_month is None or not row.cuts:
            continue
        median = horizon_h if row.median_h is None else row.median_h
        points.setdefault((row.rule, median, row.per_month), []).append(row.settings)
    marks = {
        rule: _MARKS[place % len(_MARKS)]
        for place, rule in enumerate(dict.fromkeys(row.rule for row in rows))
    }
    for row in rows:
        if row.per_month is None or not row.cuts:
            continue
        median = horizon_h if row.median_h is None else row.median_h
        p90 = horizon_h if row.p90_h is None else row.p90_h
        axes.plot([median, p90], [row.per_month] * 2, color=FAINT, linewidth=1, zorder=1)
    listed = []
    for number, ((rule, median, per_month), labels) in enumerate(points.items(), 1):
        axes.scatter([median], [per_month], marker=marks[rule], color=INK, s=46, zorder=2)
        axes.annotate(str(number), (median, per_month), xytext=(6, 5), textcoords="offset points", color=INK)
        text = "; ".join(label for label in labels if label) or words("defaults", "默认设置")
        listed.append(f"{number}  {rule}  {text}")
    if points:
        axes.text(
            1.0,
            0.99,
            "\n".join(listed),
            transform=axes.transAxes,
            ha="right",
            va="top",
            color=INK,
            fontsize=8,
        )
    else:
        axes.text(
            0.5,
            0.5,
            words("no cuts: no time to notice", "未测试发现时间"),
            ha="center",
            transform=axes.transAxes,
        )
    axes.margins(x=0.12, y=0.14)
    top = axes.get_ylim()[1] * (1.05 + 0.06 * len(points))  # room for the list
    axes.set_ylim(-0.03 * top, top)
    axes.set_xlim(left=0)
    axes.set_xlabel(
        words(
            f"hours to notice a silence: median, line to 90 %; {horizon_h:.0f} = not noticed",
            "发现无活动所需小时：中位数，线至九成",
        )
    )
    axes.set_ylabel(words("alarms per home-month", "每户每月报警"))


def _raster(
    axes: Axes, recording: Recording, outcome: Outcome, ask_ms: int, days: int, words: _Words
) -> None:
    zone = recording.zone
    last = _local(recording.until_ms, zone).toordinal()
    first = max(_local(recording.from_ms, zone).toordinal(), last - days + 1)
    for from_ms, until_ms in outcome.unknown:
        for day, start, end in _by_day(from_ms, until_ms, zone):
            if day >= first:
                axes.barh(
                    day - first, end - start, left=start, height=1.0, color=UNKNOWN, zorder=1, linewidth=0
                )
    hours, places = [], []
    seen: set[tuple[int, int]] = set()
    for step in recording.steps:
        if step.what == MOVEMENT:
            moment = _local(step.at_ms, zone)
            key = moment.toordinal(), moment.hour * 60 + moment.minute
            if key[0] >= first and key not in seen:
                seen.add(key)
                hours.append(key[1] / 60)
                places.append(key[0] - first)
    axes.scatter(hours, places, marker="|", s=14, linewidths=0.6, color=INK, zorder=2)
    raised = [_local(at_ms, zone) for at_ms in alarms(outcome, ask_ms)]
    raised = [moment for moment in raised if moment.toordinal() >= first]
    axes.scatter(
        [moment.hour + moment.minute / 60 for moment in raised],
        [moment.toordinal() - first for moment in raised],
        marker="v", s=60, color=ALARM, zorder=3, edgecolor="white", linewidths=0.6,
    )  # fmt: skip
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3))
    axes.set_ylim(last - first + 0.7, -0.7)
    ticks = range(0, last - first + 1, max(1, (last - first) // 12))
    axes.set_yticks(ticks, [datetime.fromordinal(first + tick).strftime("%Y-%m-%d") for tick in ticks])
    axes.set_xlabel(
        words(
            "hour of the day: | movement, triangle alarm, grey cannot tell",
            "一天中的小时：竖线为活动，三角为报警，灰色为无法判断",
        )
    )
    attempt = outcome.attempt
    axes.set_title(f"{recording.name}: {attempt.rule.id} {attempt.label}".strip(), loc="left", fontsize=9)


def _local(at_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, zone)


def _by_day(from_ms: int, until_ms: int, zone: ZoneInfo) -> list[tuple[int, float, float]]:
    """(day, from hour, until hour) of a stretch, cut at each midnight."""
    start, end = _local(from_ms, zone), _local(until_ms, zone)
    first, last = start.toordinal(), end.toordinal()
    begin, finish = start.hour + start.minute / 60, end.hour + end.minute / 60
    return [
        (day, begin if day == first else 0.0, finish if day == last else 24.0)
        for day in range(first, last + 1)
    ]
