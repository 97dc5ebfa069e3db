"""The demo's picture: home on the left, city on the right, receipts lighting up with their times."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kanhu.care.condition import STATE_WORDS, Condition
from kanhu.demo.pages import OPERATOR
from kanhu.demo.scenario import Scenario
from kanhu.platform import Event
from kanhu.sim.town import Home
from kanhu.sim.watch import STAGES, Receipts

COLOURS = {
    "well": "green",
    "cannot_tell": "yellow",
    "fault": "yellow",
    "heard": "cyan",
    "stored": "blue",
    "delivered": "magenta",
    "unanswered": "bold red",
    "not_saved": "bold red",
    "accepted": "bold green",
}
CONDITION_COLOURS = {"well": "green", "attention": "bold red", "cannot_tell": "yellow"}
STAGE_WORDS = {
    "heard": ("heard: in the hub's flash", "已记录"),
    "stored": ("stored: on the host's disk", "已保存"),
    "delivered": ("delivered: the city has it", "已送达"),
    "accepted": ("accepted: a person answers", "已有人受理"),
}
CLASS_COLOURS = {"p1": "bold red", "p2": "yellow", "p3": "magenta", "p4": "cyan", "p5": "bright_black"}
KEYS = (
    "c call 呼叫   a accept 受理   m measure 测量   h hub's button 主机按钮   b broker down   "
    "d daemon killed   p power cut   q quit"
)


def _receipts(receipts: list[Receipts]) -> RenderableType:
    if not receipts:
        return Text("no call yet 尚无呼叫", "bright_black")
    grid = Table.grid(padding=(0, 2))
    for stage in STAGES:
        took = receipts[-1].after(stage)
        english, chinese = STAGE_WORDS[stage]
        if took is None:
            grid.add_row(*(Text(text, "bright_black") for text in ("○", english, chinese, "")))
        else:
            shown = f"{took * 1000:.0f} ms" if took < 1 else f"{took:.1f} s"
            grid.add_row(*(Text(text, COLOURS[stage]) for text in ("●", english, chinese, shown)))
    return grid


def _condition(condition: Condition) -> Text:
    english, chinese = STATE_WORDS[condition.state]
    why = f": {condition.reasons[0].words.en}" if condition.reasons else ""
    return Text(
        f"home {english} {chinese}{why}",
        CONDITION_COLOURS[condition.state],
        no_wrap=True,
        overflow="ellipsis",
    )


def _home(scenario: Scenario, home: Home, receipts: list[Receipts], condition: Condition) -> RenderableType:
    if home.hub.running:
        name, english, chinese = scenario.lamp(home)
        lamp = Text(f"lamp ● {english}  {chinese}", COLOURS.get(name, "white"))
    else:
        lamp = Text("lamp ● dark: no power  断电", "bright_black")
    link = "serial cable" if home.name == "south" else "MQTT over Wi-Fi"
    boots = f"{home.hub.boots} start{'s' if home.hub.boots != 1 else ''}"
    title = f"home {home.name}: hub {home.hub_id}, {link}, {boots}"
    return Panel(Group(lamp, _condition(condition), _receipts(receipts)), title=title, title_align="left")


def _machine(scenario: Scenario) -> RenderableType:
    def state(well: bool) -> Text:
        return Text("up", "green") if well else Text("DOWN", "bold red")

    grid = Table.grid(padding=(0, 2))
    grid.add_row("broker (nats-server)", state(scenario.town.broker.running))
    grid.add_row("daemon (journal on disk)", state(scenario.town.daemon.running))
    faults = ", ".join(f"{name.replace('_', ' ')} x{count}" for name, count in scenario.faults.items())
    grid.add_row("call desk", Text(scenario.pages.desk, "bold"))
    grid.add_row("", Text(f"operator {OPERATOR}, password {scenario.pages.password}", "bright_black"))
    grid.add_row("faults so far", Text(faults or "none", "bright_black"))
    family = Text.assemble("north's family  ", (scenario.pages.family, "bold"), no_wrap=True)
    return Panel(Group(grid, family), title="between", title_align="left")


def describe(event: Event, homes: dict[str, str]) -> Text:
    """One event in one line: class, what, which home and device, count."""
    text = Text(f"{event.event_class.upper()} ", CLASS_COLOURS[event.event_class])
    text.append(f"{event.name:<16}")
    where = homes.get(event.hub, "daemon")
    if device := event.data.get("device"):
        where += f", device {device}"
    text.append(f" {where}", "bright_black")
    if (count := event.data.get("count", 1)) != 1:
        text.append(f" x{count}")
    for one in event.data.get("values", ()):
        text.append(f" {one.get('name', one['code'])} {one['value']} {one.get('unit', '')}".rstrip(), "bold")
    if operator := event.data.get("operator"):
        text.append(f" by {operator}")
    return text.append(f"  {event.id}", "bright_black")


def _city(scenario: Scenario, rows: int) -> RenderableType:
    now = time.monotonic()
    homes = {home.hub_id: name for name, home in scenario.town.homes.items()}
    with scenario.city.lock:
        waiting = dict(scenario.city.waiting)
        log = scenario.city.log[-rows:]
        classes = dict(scenario.city.tally.by_class)
    parts: list[RenderableType] = []
    for name, since in waiting.items():
        where = homes.get(name.split("/")[0], name)
        parts.append(
            Text(f"☎ {where}: nobody has answered 尚无人应答, {now - since:.1f} s (press a)", "bold red")
        )
    if not waiting:
        parts.append(Text(f"no call waits; {scenario.city.accepted} taken by a person", "green"))
    parts += [describe(event, homes) for _, event in log[-max(1, rows - len(parts)) :]]
    counts = "  ".join(f"{name} {classes.get(name, 0)}" for name in ("P1", "P2", "P3", "P4", "P5"))
    return Panel(Group(*parts), title=f"city platform   {counts}", title_align="left")


def draw(scenario: Scenario, height: int) -> Layout:
    """The whole picture for a terminal of that many rows."""
    receipts = scenario.receipts()
    layout = Layout()
    layout.split_column(
        Layout(name="top"), Layout(name="story", size=max(5, height // 4)), Layout(name="keys", size=1)
    )
    layout["top"].split_row(Layout(name="left"), Layout(name="right"))
    conditions = scenario.conditions()
    homes = [
        _home(scenario, home, receipts.get(name, []), conditions[name])
        for name, home in scenario.town.homes.items()
    ]
    layout["left"].update(Group(*homes, _machine(scenario)))
    layout["right"].update(_city(scenario, height - height // 4 - 6))
    lines = list(scenario.story)[-(max(5, height // 4) - 2) :]
    story = Group(*(Text.assemble((f"{when:6.1f} s  ", "bright_black"), text) for when, text in lines))
    layout["story"].update(Panel(story, title="what happens", title_align="left"))
    layout["keys"].update(Text(KEYS, "reverse", no_wrap=True))
    return layout
