"""A home's sensors: how each is, what it is called, where it is, its key, and its end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response

from kanhu.care.rules.past import Device
from kanhu.care.rules.values import Words
from kanhu.care.rules.wording import known_room, room_words
from kanhu.registry import Sensor, checks
from kanhu.registry.families import wearers_of
from kanhu.registry.sensors import MONITORS
from kanhu.web.person import ago_words, clock_words
from kanhu_protocol import names

from . import seen
from . import words_sensors as words
from .visit import NotHere, Page, Problem, Visit

if TYPE_CHECKING:
    from .family import Family

MAX_NAME = 40  # characters of a name, a room, a person that a form takes: what fits a card
ALARMS = ("smoke", "gas", "carbon_monoxide", "moisture", "fall")
_KEY = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{32}(?![0-9A-Fa-f])")
_SPACED_KEY = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[\s:-]+){15}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")


class SensorPages:
    """The list, one sensor, and its end."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def routes(self) -> list[Page]:
        """What is here."""
        return [
            Page("/sensors", self.all),
            Page("/sensors/{hub}/{index:number}", self.one, self.change),
            Page("/sensors/{hub}/{index:number}/unpair", self.ask_unpair, self.unpair),
        ]

    async def all(self, visit: Visit) -> Response:
        """Every sensor of the home, those that need a person first."""
        family = self.family
        now_ms = family.journal.clock()
        found = await seen.look(family.registry, family.journal, visit.hubs, family.sources.past, now_ms)
        return family.render(
            visit, "family/sensors.html", words.TEXT, here="sensors",
            sensors=[row(visit, one, now_ms) for one in found],
            moving=any(one.device.role == "motion" for one in found),
        )  # fmt: skip

    async def one(self, visit: Visit) -> Response:
        """How one sensor is, and what can be done about it."""
        family = self.family
        hub, device, sensor = self._which(visit)
        now_ms = family.journal.clock()
        found = await seen.look(family.registry, family.journal, [hub], family.sources.past, now_ms)
        this = next((one for one in found if one.device.index == device.index), None)
        if this is None:  # gone meanwhile
            raise NotHere
        return family.render(
            visit, "family/sensor.html", words.TEXT, here="sensors", this=row(visit, this, now_ms),
            place=place(family, visit, device, sensor), wired=sensor is None,
            encrypted=sensor is not None and sensor.encrypted, mac=sensor.mac if sensor else "",
        )  # fmt: skip

    async def change(self, visit: Visit) -> Response:
        """Another name, place or wearer; or another key."""
        family = self.family
        hub, device, sensor = self._which(visit)
        if "secret" in visit.form:
            if sensor is None or not sensor.encrypted:
                raise NotHere
            key = key_in(visit.form["secret"])
            if key is None:
                raise Problem(words.PAIRING["key_needed"], 422, ("sensors", hub, device.index))
            await family.keep(visit, "family_key", hub, f"device {device.index}")
            family.registry.set_bind_key(hub, device.index, key)
        else:
            back = ("sensors", hub, device.index)
            name, room = line(visit, "name", back), room_in(visit, back)
            await family.keep(visit, "family_rename", hub, f"device {device.index}")
            if sensor is not None:
                wearer = wearer_in(visit, back) if sensor.role in MONITORS else sensor.wearer
                room = sensor.room if sensor.role in MONITORS else room
                family.registry.rename_sensor(hub, device.index, name, room, wearer)
            else:
                settings = family.registry.settings(hub)
                places = {**settings.get("places", {}), str(device.index): [room, name]}
                family.registry.set_settings(hub, {**settings, "places": places})
        return RedirectResponse(visit.path("sensors", hub, device.index), 303)

    async def ask_unpair(self, visit: Visit) -> Response:
        """What its end would mean."""
        hub, device, sensor = self._which(visit)
        if sensor is None:
            raise NotHere
        means = {"call": "unpair_call", **dict.fromkeys(ALARMS, "unpair_alarm")}.get(
            device.role, "unpair_other"
        )
        return self.family.render(
            visit, "family/unpair.html", words.TEXT, here="sensors", title=title(visit, device),
            means=visit.say(words.TEXT[means]), hub=hub, index=device.index,
        )  # fmt: skip

    async def unpair(self, visit: Visit) -> Response:
        """The hub listens to it no more."""
        hub, device, sensor = self._which(visit)
        if sensor is None:
            raise NotHere
        await self.family.keep(visit, "family_unpair", hub, f"device {device.index}")
        self.family.pairing.unpair(hub, device.index)
        return RedirectResponse(visit.path("sensors"), 303)

    def _which(self, visit: Visit) -> tuple[str, Device, Sensor | None]:
        return which(self.family, visit)


def which(family: Family, visit: Visit) -> tuple[str, Device, Sensor | None]:
    """(hub, device, its row in the table or None of a wire's) that the URL names; NotHere."""
    hub, index = visit.hub_of_path(), visit.request.path_params["index"]
    for device in family.registry.devices_of(hub):
        if device.index == index:
            sensors = [one for one in family.registry.sensors(hub) if one.index == index]
            return hub, device, sensors[0] if sensors else None
    raise NotHere


# What is shown


def row(visit: Visit, one: seen.Seen, now_ms: int) -> dict[str, Any]:
    """A sensor as the templates show it."""
    heard = "" if one.heard_ms is None else visit.say(ago_words(now_ms - one.heard_ms))
    proven = "" if one.proven_ms is None else visit.say(clock_words(one.proven_ms, now_ms, visit.zone))
    wearer = one.sensor.wearer if one.sensor else ""
    return {
        "hub": one.hub, "index": one.device.index, "title": title(visit, one.device),
        "kind": visit.say(kind(one.device.role)), "role": one.device.role,
        "place": wearer or (visit.say(room_words(one.device.room)) if one.device.room else ""),
        "state": one.state, "state_word": visit.say(words.STATE[one.state]), "why": visit.say(one.why),
        "heard": heard, "proven": proven, "battery": one.battery, "bars": one.bars,
        "signal": visit.say(words.SIGNAL[one.bars]), "wired": one.sensor is None,
    }  # fmt: skip


def kind(role: str | None) -> Words:
    """What a sensor is."""
    return words.ROLE.get(role or "", words.UNKNOWN_ROLE)


def title(visit: Visit, device: Device) -> str:
    """What a family calls a sensor."""
    return device.name.strip() or visit.say(kind(device.role))


def place(
    family: Family, visit: Visit, device: Device | None, sensor: Sensor | None, role: str = ""
) -> dict[str, Any]:
    """What the form of name, room and wearer offers; of no device: of a new one of a role."""
    role = device.role if device is not None else role
    room = device.room.strip() if device is not None else ""
    known = known_room(room)
    worn = wearers_of(sensor.wearer) if sensor is not None else []
    wearers = list(dict.fromkeys((*worn, *wearers_of(visit.home.name))))
    for hub in visit.hubs:
        for other in family.registry.sensors(hub):
            wearers += [name for name in wearers_of(other.wearer) if name not in wearers]
    return {
        "name": title(visit, device) if device is not None else _new_name(family, visit, role),
        "monitor": role in {names.ROLES[number] for number in MONITORS},
        "rooms": [(visit.say(text), known == key) for key, text in words.ROOM.items()],
        "other_room": "" if known in words.ROOM else room,
        "wearers": [(name, name in worn or (device is None and len(wearers) == 1)) for name in wearers],
        "other_wearer": "",
        "longest": MAX_NAME,
    }  # fmt: skip


def _new_name(family: Family, visit: Visit, role: str) -> str:
    name = visit.say(kind(role)) if role else ""
    taken = {title(visit, one) for hub in visit.hubs for one in family.registry.devices_of(hub)}
    number = 1
    while name in taken:
        number += 1
        name = f"{visit.say(kind(role))} {number}"
    return name


# What is entered


def entered(visit: Visit, offered: dict[str, Any]) -> dict[str, Any]:
    """What place() offers with what was entered, for a form that has to be sent once more."""
    longest = offered["longest"]
    said = set(visit.form.values())
    return {
        "name": visit.form.get("name", "")[:longest],
        "rooms": [(room, room == visit.form.get("room")) for room, _ in offered["rooms"]],
        "other_room": visit.form.get("room_other", "")[:longest],
        "wearers": [(name, name in said) for name, _ in offered["wearers"]],
        "other_wearer": visit.form.get("wearer_other", "")[:longest],
    }


def line(visit: Visit, what: str, back: tuple[object, ...]) -> str:
    """One line of text of a form; Problem."""
    text = " ".join(visit.form.get(what, "").split())
    if len(text) > checks.MAX_TEXT or not text.isprintable():  # an installer may have given a longer one
        raise Problem(words.LONG, 422, back)
    return text


def room_in(visit: Visit, back: tuple[object, ...]) -> str:
    """The room that a form names; what is written goes before what is chosen. Problem."""
    return line(visit, "room_other", back) or line(visit, "room", back)


def wearer_in(visit: Visit, back: tuple[object, ...]) -> str:
    """Who uses a monitor, several names separated by "、"; Problem."""
    chosen = [line(visit, what, back) for what in visit.form if what.startswith("wearer_")]
    found = dict.fromkeys(name for text in chosen for name in wearers_of(text))
    wearer = "、".join(found)
    if len(wearer) > checks.MAX_TEXT:
        raise Problem(words.LONG, 422, back)
    return wearer


def key_in(text: str) -> bytes | None:
    """The key in whatever was pasted: the one stretch of 32 hexadecimal digits; None: none, or two."""
    for pattern in (_KEY, _SPACED_KEY):
        found = {re.sub(r"[\s:-]", "", one).lower() for one in pattern.findall(text)}
        if len(found) == 1:
            key = bytes.fromhex(found.pop())
            return key if any(key) else None
        if found:
            return None
    return None
