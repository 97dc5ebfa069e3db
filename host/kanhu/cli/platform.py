"""`kanhu platform`: the city platform's side at a terminal."""

from __future__ import annotations

import asyncio
import json
import logging
from enum import StrEnum
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from kanhu import platform
from kanhu.errors import KanhuError
from kanhu.platform import words
from kanhu.platform.commands import ANSWER_S, PONG_S
from kanhu.uplink.commands import CommandError, parse

app = typer.Typer(no_args_is_help=True)

BROKER = typer.Option(
    "mqtt://localhost:1883", "--broker", envvar="KANHU_BROKER", help="mqtt[s]://[user:password@]host[:port]"
)
CA = typer.Option(None, "--ca", help="PEM file of the authority behind the broker's certificate (mqtts).")
ALARM = typer.Argument(help='The alarm\'s name, "{hub_id}/{boot}-{seq}", as the events show it.')
OPERATOR = typer.Option(..., "--operator", help="Id of the person who acts.")
WAIT = typer.Option(ANSWER_S, "--timeout", min=0.1, help="Seconds to wait for the answer.")
ELSE = "Exit 1 when refused or not answered."
STYLES = {"p1": "bold red", "p2": "yellow", "p3": "magenta", "p4": "cyan", "p5": "dim"}


class Language(StrEnum):
    """Of the readable lines."""

    EN = "en"
    ZH = "zh"


def line(event: platform.Event, lang: str) -> Text:
    """One event for people: time, home/hub, class, what, further facts."""
    index = words.language(lang)
    style = STYLES.get(event.event_class, "")
    moment = event.time.astimezone().strftime("%m-%d %H:%M:%S") if event.time else words.UNKNOWN_TIME[index]
    where = words.printable(f"{event.home or '-'}/{event.hub}", 60)
    word = words.CLASSES[event.event_class][index]
    return Text.assemble(
        (f"{moment:<14}  ", "dim"),
        f"{where}  ",
        (f"{event.event_class.upper()} {word}  ", style),
        (words.what(event, lang), f"bold {style}" if event.event_class == "p1" else style),
        ("  " + words.facts(event, lang), "dim"),
    )


async def _watch(
    url: str, state: Path | None, acknowledge: bool, as_json: bool, lang: str, count: int, ca: Path | None
) -> None:
    console = Console(highlight=False, soft_wrap=True)
    shown = 0
    async with platform.connect(url, state=state, acknowledge=acknowledge, ca=ca) as stream:
        async for event in stream:
            if as_json:
                print(json.dumps(event.cloudevent | {"redelivered": event.redelivered}), flush=True)
            else:
                console.print(line(event, lang))
            await stream.done(event)
            shown += 1
            if shown == count:
                return


@app.command()
def watch(
    broker: str = BROKER,
    ack: bool = typer.Option(
        False, "--ack/--no-ack", help="Acknowledge what is shown, as the platform; otherwise only look on."
    ),
    as_json: bool = typer.Option(False, "--json", help="One CloudEvent a line."),
    state: Path = typer.Option(
        "kanhu-platform.db", "--state", help="With --ack: the file that remembers what was shown."
    ),
    lang: Language = typer.Option(Language.EN, "--lang", help="Of the readable lines."),
    count: int = typer.Option(0, "--count", min=0, help="End after this many events; 0: go on."),
    ca: Path | None = CA,
) -> None:
    """Follow the events, one line each."""
    logging.basicConfig(format="kanhu: %(message)s", level=logging.WARNING)
    asyncio.run(_watch(broker, state if ack else None, ack, as_json, lang.value, count, ca))


def _ask(broker: str, ca: Path | None, command: dict[str, str], timeout: float, done: str) -> None:
    wrong = parse(json.dumps([command]).encode())[0]
    if isinstance(wrong, CommandError):
        raise KanhuError(str(wrong))

    async def ask() -> None:
        async with platform.commands(broker, ca=ca) as commands:
            await commands.ask(command, timeout)

    try:
        asyncio.run(ask())
    except (platform.CommandRefused, platform.NoAnswer) as error:
        typer.echo(f"kanhu: {words.printable(error, 500)}", err=True)
        raise typer.Exit(1) from None
    typer.echo(done)


def _step(command: str, done: str, text: str) -> None:
    @app.command(command.replace("_", "-"), help=f"{text} {ELSE}")
    def step(
        alarm: str = ALARM,
        operator: str = OPERATOR,
        broker: str = BROKER,
        timeout: float = WAIT,
        ca: Path | None = CA,
    ) -> None:
        asked = {"command": command, "alarm": alarm, "operator": operator}
        _ask(broker, ca, asked, timeout, f"{alarm} {done} {operator}")


def _step_with(field: str, about: str, command: str, done: str, text: str) -> None:
    @app.command(command.replace("_", "-"), help=f"{text} {ELSE}")
    def step(
        alarm: str = ALARM,
        operator: str = OPERATOR,
        value: str = typer.Option(..., f"--{field}", help=about),
        broker: str = BROKER,
        timeout: float = WAIT,
        ca: Path | None = CA,
    ) -> None:
        asked = {"command": command, "alarm": alarm, "operator": operator, field: value}
        _ask(broker, ca, asked, timeout, f"{alarm} {done.format(value)} {operator}")


CODE = "A code or a short text, without personal data."
CORRECTED = "What it was after all, without personal data."
TO = "Id of the person who has it from now on."
_step("accept", "accepted by", "Take an alarm in a person's name; the elder is shown it.")
_step_with("reason", CODE, "close", "closed by", "Close an alarm with a reason.")
_step("dispatch", "dispatched by", "Say that somebody is on the way; the elder is shown it.")
_step("on_scene", "on scene, says", "Say that somebody has arrived.")
_step_with("to", TO, "hand_over", "handed over to {} by", "Give an accepted alarm to another person.")
_step_with("reason", CORRECTED, "correct", "corrected by", "Give a closed alarm another reason.")


@app.command()
def ping(
    hub: str = typer.Argument(help="The hub's id."),
    broker: str = BROKER,
    timeout: float = typer.Option(PONG_S, "--timeout", min=0.1, help="Seconds to wait for the hub."),
    ca: Path | None = CA,
) -> None:
    """Ask whether a hub is there. Exit 1 when it is not."""
    _ask(broker, ca, {"command": "ping", "hub": hub}, timeout, f"{hub} is there")
