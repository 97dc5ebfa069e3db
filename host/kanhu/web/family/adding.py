"""A new sensor: the hub listens, what it hears appears, a person picks it and says where it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import room_words
from kanhu.errors import KanhuError
from kanhu.pairing import WINDOW_S, Heard, PairingError, Window
from kanhu.registry import RegistryError, Sensor, checks
from kanhu.registry.sensors import MAX_SENSORS, MONITORS
from kanhu_protocol import names

from . import words_sensors as words
from .seen import bars
from .sensors import entered, key_in, kind, line, place, room_in, title, wearer_in
from .visit import NotHere, Page, Problem, Visit

if TYPE_CHECKING:
    from .family import Family

# Longest silence that a family's sensor may keep, where people do not know it: the hub says sensor.silent
# after three of them, so after a day (EN 50134-2). Buttons, doors and monitors may be silent for longer.
SUPERVISION_S = dict.fromkeys(("motion", "smoke", "gas", "carbon_monoxide", "moisture"), 28_800)

SLOW_S = 10  # ours: a hub that is connected has answered by then


class AddingPages:
    """From the open window to a sensor in the hub's table."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._replacing: dict[
            str, tuple[int, int]
        ] = {}  # by hub: in the window that ends then, which one goes

    def routes(self) -> list[Page]:
        """What is here."""
        return [
            Page("/add", self.hubs, self.open),
            Page("/add/{hub}/live", self.live),
            Page("/add/{hub}", self.listen, self.close),
            Page("/add/{hub}/{address}", self.form, self.take),
        ]

    async def hubs(self, visit: Visit) -> Response:
        """Near which hub it is."""
        rooms = {
            hub: [visit.say(room_words(one.room)) for one in self.family.registry.devices_of(hub) if one.room]
            for hub in visit.hubs
        }
        found = [(hub, "、".join(dict.fromkeys(rooms[hub])) or hub) for hub in visit.hubs]
        return self.family.render(visit, "family/add_hub.html", words.TEXT, here="sensors", hubs=found)

    async def open(self, visit: Visit) -> Response:
        """Let a hub listen at once; where there are several, it is chosen first."""
        family = self.family
        hub = visit.form.get("hub", "") or (visit.hubs[0] if len(visit.hubs) == 1 else "")
        if not hub:
            return await self.hubs(visit)
        if not visit.owns(hub):
            raise NotHere
        old = visit.form.get("replace", "")
        gone = self._sensor(hub, old) if old else None
        if gone is None and len(family.registry.sensors(hub)) >= MAX_SENSORS:
            raise Problem(words.PAIRING["full"], 409, ("sensors",))
        await family.keep(visit, "family_pair_open", hub)
        try:
            window = await family.pairing.open(hub, WINDOW_S)
        except PairingError as error:
            raise problem(error, ("sensors",)) from None
        self._replacing.pop(hub, None)
        if gone is not None:
            self._replacing[hub] = window.ends_ms, gone.index
        return RedirectResponse(visit.path("add", hub), 303)

    async def close(self, visit: Visit) -> Response:
        """The hub need not listen any longer."""
        hub = visit.hub_of_path()
        if is_open(self.family, hub):
            await self.family.pairing.close(hub)
        return RedirectResponse(visit.path("sensors"), 303)

    async def listen(self, visit: Visit) -> Response:
        """What is heard."""
        hub = visit.hub_of_path()
        gone = self._gone(hub)
        return self.family.render(
            visit, "family/add.html", words.TEXT, here="sensors", hub=hub, parts=self._parts(visit, hub),
            live=visit.path("add", hub, "live") if is_open(self.family, hub) else "",
            gone=None if gone is None else self._name(visit, gone),
        )  # fmt: skip

    async def live(self, visit: Visit) -> Response:
        """The same as it changes."""
        hub = visit.hub_of_path()
        return self.family.live(visit, lambda: self._parts(visit, hub))

    async def form(self, visit: Visit) -> Response:
        """What is to be known of one that was heard."""
        hub, found = self._found(visit)
        return self._form(visit, hub, found)

    async def take(self, visit: Visit) -> Response:
        """Into the hub's table with it, and on to its test."""
        hub, found = self._found(visit)
        gone = self._gone(hub)
        if (gone is None) != ("role" in visit.form):
            return self._form(visit, hub, found)  # another phone has begun something else since
        key = None
        if found.advertised is not None:
            key = key_in(visit.form.get("secret", ""))
            if key is None:
                return self._form(visit, hub, found, words.PAIRING["key_needed"])
        try:
            sensor = await (
                self._add(visit, hub, found, key) if gone is None else self._replace(visit, gone, found, key)
            )
        except PairingError as error:
            if error.code in ("wrong_key", "key_needed", "no_role"):
                return self._form(visit, hub, found, words.pairing(error.code))
            raise problem(error, ("add", hub)) from None
        except RegistryError:
            raise Problem(words.PAIRING["not_added"], 409, ("add", hub)) from None
        self._replacing.pop(hub, None)
        return await prove(self.family, visit, hub, sensor.index)

    async def _add(self, visit: Visit, hub: str, found: Heard, key: bytes | None) -> Sensor:
        back = ("add", hub, found.address.hex())
        role = visit.form.get("role", "") or names.ROLES.get(found.role or 0, "")
        if role not in words.ROLE:
            raise PairingError("the page was given no role", "no_role")
        monitor = checks.role(role) in MONITORS
        name, room = line(visit, "name", back), room_in(visit, back)
        wearer = wearer_in(visit, back) if monitor else ""
        await self.family.keep(visit, "family_pair", hub, role)
        return self.family.pairing.pair(
            hub, found.mac, role, name or visit.say(kind(role)), "" if monitor else room, wearer, key,
            SUPERVISION_S.get(role, 0),
        )  # fmt: skip

    async def _replace(self, visit: Visit, gone: Sensor, found: Heard, key: bytes | None) -> Sensor:
        if found.role not in (None, gone.role):
            raise PairingError("the page was given another role", "another_kind")
        await self.family.keep(visit, "family_replace", gone.hub, f"device {gone.index}")
        return self.family.pairing.replace(gone.hub, gone.index, found.mac, key)

    # What is heard

    def _window(self, hub: str) -> Window | None:
        try:
            return self.family.pairing.window(hub)
        except PairingError:
            return None

    def _gone(self, hub: str) -> Sensor | None:
        """The sensor in whose place the new one is to come, if any."""
        ends_ms, index = self._replacing.get(hub, (0, 0))
        window = self._window(hub)
        if window is None or window.ends_ms != ends_ms:
            return None
        return next((one for one in self.family.registry.sensors(hub) if one.index == index), None)

    def _sensor(self, hub: str, index: str) -> Sensor:
        for one in self.family.registry.sensors(hub):
            if str(one.index) == index:
                return one
        raise NotHere

    def _found(self, visit: Visit) -> tuple[str, Heard]:
        hub, text = visit.hub_of_path(), str(visit.request.path_params["address"])
        try:
            address = checks.mac(text)
        except RegistryError:
            raise NotHere from None
        window = self._window(hub)
        found = window.heard.get(address) if window is not None else None
        if found is None:
            raise Problem(words.PAIRING["no_window"], 409, ("sensors",))
        whose = self.family.pairing.whose(hub, address)
        if whose:
            raise Problem(words.pairing(whose), 409, ("add", hub))
        return hub, found

    def _form(self, visit: Visit, hub: str, found: Heard, wrong: Words | None = None) -> Response:
        gone = self._gone(hub)
        role = visit.form.get("role", "") or visit.request.query_params.get("role", "")
        role = role or names.ROLES.get(found.role or 0, "")
        card = self._card(visit, hub, found)
        if gone is None and role not in words.ROLE:
            roles = [(key, visit.say(text)) for key, text in words.ROLE.items()]
            return self.family.render(
                visit, "family/add_kind.html", words.TEXT, here="sensors", hub=hub, found=card, roles=roles
            )
        offered = place(self.family, visit, None, None, role)
        if visit.form:
            offered |= entered(visit, offered)
        return self.family.render(
            visit, "family/add_form.html", words.TEXT, 422 if wrong else 200, here="sensors", hub=hub,
            found=card, place=offered, role=role, kind=visit.say(kind(role)),
            wrong=visit.say(wrong) if wrong else "", gone=None if gone is None else self._name(visit, gone),
        )  # fmt: skip

    def _name(self, visit: Visit, sensor: Sensor) -> str:
        (device,) = [one for one in self.family.registry.devices_of(sensor.hub) if one.index == sensor.index]
        return title(visit, device)

    def _parts(self, visit: Visit, hub: str) -> Mapping[str, str]:
        window, gone = self._window(hub), self._gone(hub)
        now_ms = self.family.journal.clock()
        # In the order in which they came: a card must not move away from under a finger.
        cards = [self._card(visit, hub, one) for one in list(window.heard.values())] if window else []
        if gone is not None:
            for card in cards:
                if not card["whose"] and card["role"] not in (None, names.ROLES.get(gone.role)):
                    card["whose"] = visit.say(words.TEXT["another_kind"])
        state = window.state if window is not None else "closed"
        why = "" if state != "closed" else visit.say(words.window_over(window.why if window else ""))
        left_s = max(0, (window.ends_ms - now_ms + 999) // 1000) if window is not None else 0
        values: dict[str, Any] = {
            "slow": WINDOW_S - left_s >= SLOW_S,
            "hub": hub, "state": state, "why": why, "left": f"{left_s // 60}:{left_s % 60:02}",
            "cards": [card for card in cards if not card["whose"]],
            "others": [card for card in cards if card["whose"]], "gone": gone,
        }  # fmt: skip
        return {
            part: self.family.part(visit, f"family/_add_{part}.html", words.TEXT, **values)
            for part in ("left", "heard")
        }

    def _card(self, visit: Visit, hub: str, one: Heard) -> dict[str, Any]:
        role = names.ROLES.get(one.role or 0)
        whose = self.family.pairing.whose(hub, one.address)
        level = bars(one.rssi)
        return {
            "address": one.address.hex(), "mac": one.mac, "role": role, "kind": visit.say(kind(role)),
            "name": one.name, "bars": level, "signal": visit.say(words.SIGNAL[level]),
            "battery": one.battery, "encrypted": one.advertised is not None,
            "whose": visit.say(words.WHOSE[whose]) if whose else "",
        }  # fmt: skip


async def prove(family: Family, visit: Visit, hub: str, index: int) -> Response:
    """Begin the test of a sensor and show it."""
    try:
        if is_open(family, hub):
            await family.pairing.close(hub)  # the lamp is to say that it waits for the test, or nothing
        await family.pairing.prove(hub, index)
    except KanhuError as error:
        raise problem(error, ("sensors", hub, index)) from None
    return RedirectResponse(visit.path("test", hub), 303)


def is_open(family: Family, hub: str) -> bool:
    """Whether a hub listens for new sensors."""
    try:
        return family.pairing.window(hub).state != "closed"
    except PairingError:
        return False


def problem(error: KanhuError, back: tuple[object, ...]) -> Problem:
    """What pairing says, in words a family understands."""
    return Problem(words.pairing(getattr(error, "code", "")), 409, back)
