"""Surveys: how well hubs hear their sensors, asked of them and collected as they answer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from kanhu.downlink import Command
from kanhu.errors import KanhuError
from kanhu.journal import Event
from kanhu.journal.commands import Commands
from kanhu.registry import Registry
from kanhu_protocol import kinds as k
from kanhu_protocol import names

MAX_S = 600  # the longest that a hub takes
ANSWER_S = 30.0  # for the hub to begin, and to tell at its end
KEPT_S = 600.0  # one that is over can still be looked at
REFUSALS = {
    "unknown": "its firmware knows no survey yet: update it",
    "no_such_device": "it has no radio",
    "busy": "pairing is under way there: end it first",
}


class SurveyError(KanhuError):
    """A survey is not possible so; one line."""


class Down(Protocol):
    """What surveys need of kanhu.downlink."""

    def command(self, hub_id: str, command: Command) -> None:
        """Send now and again until confirm()."""

    def confirm(self, hub_id: str, number: int) -> Command | None:
        """Send it no more."""


@dataclass
class Survey:
    """One hub's. state: asked, running, done or failed, and why. heard: the survey events by device."""

    hub: str
    number: int
    devices: frozenset[int]
    until: float  # monotonic s: nothing is waited for any longer
    seconds: int
    state: Literal["asked", "running", "done", "failed"] = "asked"
    why: str = ""
    busy: bool = False  # the hub listens for something else; that may be over at once
    answer: tuple[int, int] = (0, 0)  # (boot, seq) of the hub's: what it said before is of another survey
    heard: dict[int, dict[int, Any]] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether anything more can come of it."""
        return self.state in ("done", "failed")


class Surveys:
    """At most one a hub, in memory only; call in the thread of the journal's loop."""

    def __init__(self, registry: Registry, commands: Commands, downlink: Down) -> None:
        self._registry = registry
        self._commands = commands
        self._downlink = downlink
        self._of: dict[str, Survey] = {}

    async def begin(self, hub: str, seconds: int) -> Survey:
        """Ask a hub to count for so long; returns at once. SurveyError, RegistryError."""
        if not 1 <= seconds <= MAX_S:
            raise SurveyError(f"{seconds} s: a survey takes 1 to {MAX_S} s")
        devices = frozenset(sensor.index for sensor in self._registry.sensors(hub))
        if not self._registry.knows(hub):
            raise SurveyError(f"hub {hub}: is revoked")
        self._forget_old()
        before = self._of.get(hub)
        if before is not None:
            self._downlink.confirm(hub, before.number)
        number = await self._commands.number(hub)
        survey = Survey(hub, number, devices, time.monotonic() + seconds + ANSWER_S, seconds)
        self._of[hub] = survey
        # Not kept: whoever has asked is gone when it comes late.
        self._downlink.command(hub, Command(number, k.SURVEY_FOR, {k.SURVEY_MS: seconds * 1000}))
        return survey

    def of(self, hub: str) -> Survey:
        """A hub's newest; SurveyError when there was none lately."""
        survey = self._of.get(hub)
        if survey is None:
            raise SurveyError(f"hub {hub}: no survey is under way; begin again")
        if not survey.over and time.monotonic() >= survey.until:
            silent = survey.state == "asked"
            self._end(survey, "the hub did not answer: is it connected?" if silent else "")
        return survey

    def stored(self, events: Iterable[Event]) -> None:
        """Events are on disk."""
        for event in events:
            survey = self._of.get(event.hub)
            if survey is not None and not survey.over and event.sealed is not None:
                self._take(survey, event)

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._of.pop(hub, None)

    def _take(self, survey: Survey, event: Event) -> None:
        fields = event.fields
        if event.kind in (k.COMMAND_DONE, k.COMMAND_REFUSED) and fields.get(k.COMMAND) == survey.number:
            if event.kind == k.COMMAND_DONE:
                survey.state, survey.answer = "running", (event.boot, event.seq)
                survey.until = time.monotonic() + survey.seconds + ANSWER_S
            else:
                detail = names.DETAILS[k.COMMAND_REFUSED].get(fields.get(k.DETAIL, 0), "")
                survey.busy = detail == "busy"
                self._end(survey, f"the hub refuses: {REFUSALS.get(detail, detail or 'no reason given')}")
        elif event.kind == k.BOOT and survey.state == "running":
            self._end(survey, "the hub has restarted")
        elif event.kind == k.SURVEY and survey.state == "running" and (event.boot, event.seq) > survey.answer:
            survey.heard[fields.get(k.DEVICE, 0)] = fields
        if survey.state == "running" and survey.devices <= survey.heard.keys():
            self._end(survey, "")

    def _end(self, survey: Survey, why: str) -> None:
        survey.state, survey.why = "failed" if why else "done", why
        survey.until = time.monotonic() + KEPT_S
        self._downlink.confirm(survey.hub, survey.number)

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._of = {hub: one for hub, one in self._of.items() if not one.over or now < one.until}
