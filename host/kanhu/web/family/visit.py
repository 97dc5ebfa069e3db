"""One request of somebody who has a hub's link: to which home it leads, in which language, what it may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from kanhu.care.rules.values import Words
from kanhu.registry import Home, Hub

from .words import Language


class NotHere(Exception):
    """There is no such thing in this home: the page that shows nothing."""


class Problem(Exception):
    """What a person can put right; words says how. back: a path of the visit to go on from."""

    def __init__(self, words: Words, status: int = 400, back: tuple[object, ...] = ()) -> None:
        super().__init__(words.en)
        self.words, self.status, self.back = words, status, back


@dataclass
class Visit:
    """home and hub are those of the link; let_in: whether this browser has shown the family's PIN."""

    request: Request
    token: str
    home: Home
    hub: Hub
    hubs: list[str]  # the home's, those that are not revoked, the link's first
    language: Language
    let_in: bool
    form_key: str  # what every form has to bring back as `key`
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The home's."""
        return ZoneInfo(self.home.time_zone)

    def path(self, *parts: object) -> str:
        """A path on this page."""
        return "/".join((f"/f/{self.token}", *(quote(str(part), safe="") for part in parts)))

    def say(self, words: Words) -> str:
        """In the visitor's language."""
        return words.zh if self.language == "zh" else words.en

    def owns(self, hub: str) -> bool:
        """Whether a hub is one of this home's."""
        return hub in self.hubs

    def hub_of_path(self) -> str:
        """The hub that the URL names; NotHere."""
        hub = str(self.request.path_params["hub"])
        if not self.owns(hub):
            raise NotHere
        return hub


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True)
class Page:
    """What is at a path below the link; is_open: also for those who are not let in."""

    path: str  # as Starlette writes it, "" for the link itself
    get: Handler | None = None
    post: Handler | None = None
    is_open: bool = False
