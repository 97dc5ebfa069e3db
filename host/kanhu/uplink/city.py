"""The daemon's side towards the city: renders journal events, executes the platform's commands."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from kanhu.care import Alarms
from kanhu.care.visits import Visits
from kanhu.errors import KanhuError
from kanhu.journal import Event, Journal
from kanhu.registry import Home
from kanhu.uplink import commands
from kanhu.uplink.cloudevents import to_json
from kanhu.uplink.mqtt import Uplink
from kanhu_protocol import kinds as k

log = structlog.get_logger("kanhu.city")

PONG_LIMIT_S = 30.0  # how long a ping waits for the hub's own answer
MISSING_PAGE = 200  # events read, rendered and published before others have their turn
MISSING_MAX = 10_000  # events published again for one command


class Homes(Protocol):
    """What the city may know of a hub."""

    def home_of(self, hub_id: str) -> Home | None:
        """The home of a hub; None for an unknown one."""


class Hubs(Protocol):
    """Ways to make hubs do something."""

    async def order(self, hub_id: str, kind: int, fields: dict[int, Any]) -> asyncio.Future[None]:
        """Persist and send a command; the future ends when the hub has confirmed it."""


class _Row:
    __slots__ = ("boot", "daemon", "event", "hub_id", "n", "seq")

    def __init__(self, event: Event, daemon: bool) -> None:
        self.n, self.hub_id, self.boot, self.seq = event.n, event.hub, event.boot, event.seq
        self.daemon, self.event = daemon, event.fields


class City:
    """Renders events and answers commands; `uplink` and `visits` are set once they exist."""

    uplink: Uplink
    visits: Visits

    def __init__(self, journal: Journal, alarms: Alarms, homes: Homes, hubs: Hubs) -> None:
        self._journal = journal
        self._alarms = alarms
        self._homes = homes
        self._hubs = hubs
        self._tasks: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()  # of the commands that read much
        self.region_of_incident: Callable[[str], str | None] = lambda name: None
        self.commands: Counter[str] = Counter()  # by name; "refused" for what could not be done

    def render(self, event: Event) -> bytes:
        """The CloudEvent of an event, as JSON."""
        subject = event.hub
        daemon = event.hub == self._journal.daemon_id
        if daemon:
            subject = event.fields.get(k.SUBJECT, event.hub)
        home = self._homes.home_of(subject)
        region = home.region if home else None
        if daemon and k.INCIDENT in event.fields:
            region = self.region_of_incident(event.fields[k.INCIDENT])
        moment, status = self._journal.moment(event)
        return to_json(
            _Row(event, daemon),
            home=home.id if home else None,
            region=region,
            moment=moment,
            clockstatus=status,
        )

    def delivered(self, events: list[Event]) -> asyncio.Future[None]:
        """The platform has these for certain; done when that is on disk, else they are published again."""

        def marked(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                log.error(
                    "a delivery could not be recorded; the events will be published again", error=str(error)
                )
                self.uplink.unrecorded(events)

        done = self._journal.mark_delivered(events)
        done.add_done_callback(marked)
        return done

    # Commands

    def command(self, payload: bytes) -> Sequence[asyncio.Future[None]]:
        """One message of the commands topic; never raises. What it changes on disk is there, or refused, when
        all of the futures are done; carried out twice it changes nothing more."""
        try:
            parsed = commands.parse(payload)
        except commands.CommandError as error:
            self._refuse(error.id, str(error))
            return ()
        steps: list[asyncio.Future[None]] = []
        for one in parsed:
            if isinstance(one, commands.CommandError):
                self._refuse(one.id, str(one))
                continue
            self.commands[commands.name_of(one)] += 1
            if isinstance(one, commands.Acknowledge):
                steps += self._acknowledge(one)
                continue
            task = self._start(self._obey(one))
            if isinstance(one, commands.Answer | commands.Visit):
                steps.append(task)
        return steps

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _refuse(self, command_id: str | None, sentence: str) -> None:
        self.commands["refused"] += 1
        log.warning("a command of the platform was refused", id=command_id, error=sentence)
        self.uplink.reply(commands.reply(command_id, sentence))

    def _done(self, command_id: str | None) -> None:
        if command_id is not None:
            self.uplink.reply(commands.reply(command_id))

    def _acknowledge(self, command: commands.Acknowledge) -> Sequence[asyncio.Future[None]]:
        events: list[Event] = []
        unknown = 0
        try:
            for identity in command.events:
                hub, boot, seq = identity.hub_id, identity.boot, identity.seq
                event = self.uplink.acknowledged((hub, boot, seq)) or self._journal.find(hub, boot, seq)
                if event is None or identity.daemon != (event.hub == self._journal.daemon_id):
                    unknown += 1
                    self.uplink.unrecorded([event] if event else [])
                else:
                    events.append(event)
            done = self.delivered(events)
        except sqlite3.Error as error:
            self.uplink.unrecorded(events)
            self._refuse(command.id, f"The journal could not be read: {error}.")
            return ()

        def answer(done: asyncio.Future[None]) -> None:
            if done.cancelled():
                return
            if (error := done.exception()) is not None:
                self._refuse(command.id, f"The acknowledgement could not be kept: {error}.")
            elif unknown:
                self._refuse(
                    command.id, f"{unknown} of the acknowledged events were never published from here."
                )
            else:
                self._done(command.id)

        done.add_done_callback(answer)
        return (done,)

    async def _obey(
        self, command: commands.Answer | commands.Visit | commands.Missing | commands.Ping
    ) -> None:
        try:
            if isinstance(command, commands.Answer):
                await self._answer(command)
            elif isinstance(command, commands.CheckOut):
                await self.visits.check_out(command.hub, command.who)
            elif isinstance(command, commands.CheckIn):
                await self._check_in(command)
            elif isinstance(command, commands.Missing):
                await self._missing(command)
            else:
                await self._ping(command.hub)
        except KanhuError as error:
            self._refuse(command.id, str(error))
        except TimeoutError:
            self._refuse(command.id, f"The hub did not answer within {PONG_LIMIT_S:.0f} s.")
        except Exception:
            log.exception("a command of the platform failed", command=type(command).__name__)
            self._refuse(command.id, "The daemon failed at this command; its log says why.")
        else:
            self._done(command.id)

    async def _answer(self, command: commands.Answer) -> None:
        alarm = (command.alarm.hub_id, command.alarm.boot, command.alarm.seq)
        match command:
            case commands.Accept(operator=who):
                await self._alarms.accept(alarm, who)
            case commands.Dispatch(operator=who):
                await self._alarms.dispatch(alarm, who)
            case commands.OnScene(operator=who):
                await self._alarms.on_scene(alarm, who)
            case commands.HandOver(operator=who, to=to):
                await self._alarms.hand_over(alarm, who, to)
            case commands.Close(operator=who, reason=reason):
                await self._alarms.close(alarm, who, reason)
            case commands.Correct(operator=who, reason=reason):
                await self._alarms.correct(alarm, who, reason)

    async def _check_in(self, command: commands.CheckIn) -> None:
        if command.code is None:
            await self.visits.check_in(command.hub, command.who)
        else:
            await self.visits.check_in_by_code(command.hub, command.who, command.code)

    def _must_know(self, hub_id: str) -> None:
        if hub_id not in self._journal.hubs():
            raise KanhuError(f"hub {hub_id} has never been heard here")

    async def _missing(self, command: commands.Missing) -> None:
        self._must_know(command.hub)
        async with self._one_at_a_time:
            await self._publish_again(command)
        wanted = self._journal.missing(command.hub, 16)
        if wanted and command.hub != self._journal.daemon_id:
            await self._hubs.order(command.hub, k.REQUEST_MISSING, {k.RANGES: [list(one) for one in wanted]})

    async def _publish_again(self, command: commands.Missing) -> None:
        left = MISSING_MAX
        for boot, first, last in command.ranges:
            await asyncio.sleep(0)
            position = first
            while page := self._journal.held(command.hub, boot, position, last, MISSING_PAGE):
                if len(page) > left:
                    raise KanhuError(
                        f"{MISSING_MAX - left} events were published again and more than {MISSING_MAX} asked "
                        f"for: go on with another command, from [{boot}, {position}, {last}]"
                    )
                left -= len(page)
                await self.uplink.again(page)
                position = page[-1].seq + 1

    async def _ping(self, hub_id: str) -> None:
        self._must_know(hub_id)
        done = await self._hubs.order(hub_id, k.PING, {})
        async with asyncio.timeout(PONG_LIMIT_S):
            await done

    async def settle(self) -> None:
        """At a graceful stop: let started commands end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)
