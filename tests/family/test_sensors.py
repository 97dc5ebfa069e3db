"""The list of sensors, one sensor, and its end."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest

from helpers_family import SETTINGS, Place
from kanhu_protocol import kinds as k

MAC = "A4:C1:38:00:00:01"
KEY = bytes(range(1, 17))


@pytest.fixture
async def phone(place: Place) -> httpx2.AsyncClient:
    place.clock.now_ms = int(time.time() * 1000)
    place.client.headers["accept-language"] = "en"
    await place.start_hub()
    return await place.let_in()


async def say(place: Place, kind: int, device: int, **fields: Any) -> None:
    more = {getattr(k, name): value for name, value in fields.items()}
    await place.say(kind, {k.UTC_MS: place.clock.now_ms, k.CLOCK: 1, k.DEVICE: device, **more})


async def has_table(place: Place) -> None:
    await place.has_table()
    await place.pairing._round()


async def see(place: Place, *parts: object) -> str:
    answer = await place.client.get(place.path(*parts))
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_who_needs_a_person_stands_first(place: Place, phone: httpx2.AsyncClient) -> None:
    door = place.registry.add_sensor(place.hub, "door", MAC, name="阳台门", room="balcony")
    button = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:02", name="pendant")
    await has_table(place)
    await say(place, k.CALL, 1)
    await say(place, k.MOTION, 2)
    await say(place, k.CALL, button, BATTERY=9, RSSI=-80)
    await place.deliver()
    page = await see(place, "sensors")
    order = [page.index(name) for name in ("pendant", "阳台门", "Movement sensor")]
    assert order == sorted(order)
    for said in (
        "needs you",
        "Its battery is low",
        "cannot tell",
        "Never heard since",
        "balcony",
        "works",
        "Battery 9 %",
    ):
        assert said in page
    assert page.index("Add a sensor") < page.index("pendant")
    assert place.path("walk") in page
    assert f'href="{place.path("sensors", place.hub, door)}"' in page


async def test_what_is_shown_of_one(place: Place, phone: httpx2.AsyncClient) -> None:
    index = place.registry.add_sensor(place.hub, "call", MAC, name="<pendant>", room="bedroom")
    await has_table(place)
    await say(place, k.CALL, index, BATTERY=80, RSSI=-50)
    await place.deliver()
    page = await see(place, "sensors", place.hub, index)
    for said in (
        "&lt;pendant&gt;",
        "bedroom",
        "just now",
        "80 %",
        "very good",
        MAC,
        "Test it now",
        "Remove it",
    ):
        assert said in page
    wired = await see(place, "sensors", place.hub, 1)
    assert "wired to the hub" in wired
    assert "Remove it" not in wired
    assert "Replace it" not in wired


@pytest.mark.parametrize("wired", [False, True])
async def test_name_and_room_are_changed(place: Place, phone: httpx2.AsyncClient, wired: bool) -> None:
    index = 1 if wired else place.registry.add_sensor(place.hub, "motion", MAC, name="a", room="hall")
    version, _ = place.registry.device_table(place.hub)
    at = place.path("sensors", place.hub, index)
    answer = await place.post(
        phone, at, {"name": "  床头   按钮 ", "room": "bedroom", "room_other": ""}, form_at=at
    )
    assert (answer.status_code, answer.headers["location"]) == (303, at)
    (device,) = [one for one in place.registry.devices_of(place.hub) if one.index == index]
    assert (device.name, device.room) == ("床头 按钮", "bedroom")
    assert place.registry.settings(place.hub)["pirs"] == SETTINGS["pirs"]
    assert place.registry.device_table(place.hub)[0] == version  # the hub holds no names
    answer = await place.post(phone, at, {"name": "x", "room": "bedroom", "room_other": "阁楼"}, form_at=at)
    (device,) = [one for one in place.registry.devices_of(place.hub) if one.index == index]
    assert device.room == "阁楼"
    answer = await place.post(phone, at, {"name": "y" * 201}, form_at=at)
    assert (answer.status_code, "too long" in answer.text) == (422, True)


async def test_who_uses_a_monitor_is_changed(place: Place, phone: httpx2.AsyncClient) -> None:
    index = place.registry.add_sensor(place.hub, "blood_pressure", MAC, name="cuff", wearer="王秀兰、李建国")
    at = place.path("sensors", place.hub, index)
    page = (await phone.get(at)).text
    assert page.count('type="checkbox"') == page.count(" checked>") == 2
    await place.post(phone, at, {"name": "cuff", "wearer_2": "李建国", "wearer_other": "张三"}, form_at=at)
    assert place.registry.sensor(place.hub, index).wearer == "李建国、张三"


async def test_a_key_is_changed_and_never_shown(place: Place, phone: httpx2.AsyncClient) -> None:
    index = place.registry.add_sensor(place.hub, "call", MAC, bind_key=KEY)
    plain = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:02")
    at = place.path("sensors", place.hub, index)
    assert KEY.hex() not in (await phone.get(at)).text.lower()
    assert (await place.post(phone, at, {"secret": "nothing"}, form_at=at)).status_code == 422
    answer = await place.post(phone, at, {"secret": f"key {'ab' * 16}"}, form_at=at)
    assert answer.status_code == 303
    assert place.registry.device_table(place.hub)[1][0][4] == bytes.fromhex("ab" * 16)
    other = place.path("sensors", place.hub, plain)
    assert (await place.post(phone, other, {"secret": "ab" * 16}, form_at=other)).status_code == 404


async def test_an_end_is_asked_about_first(place: Place, phone: httpx2.AsyncClient) -> None:
    index = place.registry.add_sensor(place.hub, "call", MAC, name="pendant")
    at = place.path("sensors", place.hub, index, "unpair")
    page = (await phone.get(at)).text
    assert "nobody will come" in page
    assert "No, keep it" in page
    assert place.registry.sensors(place.hub)
    answer = await place.post(phone, at, form_at=at)
    assert (answer.status_code, answer.headers["location"]) == (303, place.path("sensors"))
    assert not place.registry.sensors(place.hub)
    assert (await phone.get(place.path("sensors", place.hub, index))).status_code == 404
    assert (await phone.get(place.path("sensors", place.hub, 1, "unpair"))).status_code == 404  # on a wire


async def test_nothing_of_it_without_the_pin_or_of_another_home(place: Place) -> None:
    await place.start_hub()
    index = place.registry.add_sensor(place.hub, "call", MAC, name="pendant")
    far_home = place.registry.add_home()
    far = place.add_hub(far_home)
    place.registry.add_sensor(far, "call", "A4:C1:38:00:00:02", index=index, name="theirs")
    await place.let_in(place.phone())
    paths = [
        ("sensors",), ("sensors", place.hub, index), ("sensors", place.hub, index, "unpair"), ("add",),
        ("add", place.hub), ("test", place.hub), ("walk",),
    ]  # fmt: skip
    for parts in paths:
        answer = await place.client.get(place.path(*parts))
        assert "pendant" not in answer.text
        assert 'name="pin"' in answer.text
    for parts in [*paths, ("sensors", place.hub, index, "test")]:
        answer = await place.client.post(place.path(*parts), data={"key": "", "name": "mine"})
        assert answer.status_code in (303, 404)
    assert place.registry.sensor(place.hub, index).name == "pendant"
    inside = await place.let_in()
    for parts in (("sensors", far, index), ("sensors", far, index, "unpair"), ("add", far), ("test", far)):
        for path in (place.path(*parts), place.path(*parts, token="x" * 22)):
            assert (await inside.get(path)).status_code == 404
            answer = await place.post(inside, path, {"name": "mine"})
            assert answer.status_code == 404
    assert place.registry.sensor(far, index).name == "theirs"
    assert not place.down.said


async def test_a_home_without_sensors(place: Place, phone: httpx2.AsyncClient) -> None:
    place.registry.set_settings(place.hub, {"buttons": [], "pirs": []})
    page = await see(place, "sensors")
    assert "No sensor is here yet" in page
    assert place.path("walk") not in page
    assert "No movement sensor" in await see(place, "walk")
    answer = await place.post(phone, place.path("walk"), form_at=place.path("walk"))
    assert answer.status_code == 404
