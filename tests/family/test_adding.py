"""A new sensor from a phone: the window, what is heard in it, the form, its place in the hub's table."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from helpers_family import Place
from kanhu.web.family import words_sensors as words
from kanhu.web.family.sensors import key_in
from kanhu_protocol import kinds as k

BUTTON, CUFF, PIR, SEALED = (bytes.fromhex(f"a4c1380000{number:02x}") for number in (1, 2, 3, 4))
KEY = bytes(range(1, 17))
ZH = {"accept-language": "zh-CN"}


def encrypted(address: bytes) -> bytes:
    counter = b"\x07\x00\x00\x00"
    sealed = AESCCM(KEY, tag_length=4).encrypt(address + b"\xd2\xfc\x41" + counter, b"\x3a\x01", None)
    return b"\x41" + sealed[:-4] + counter + sealed[-4:]


@pytest.fixture
async def phone(place: Place) -> httpx2.AsyncClient:
    """Let in, reading English, at a hub that speaks."""
    place.clock.now_ms = int(time.time() * 1000)
    place.client.headers["accept-language"] = "en"
    await place.start_hub()
    return await place.let_in()


async def hear(place: Place, address: bytes, **fields: Any) -> None:
    more = {getattr(k, name): value for name, value in fields.items()}
    await place.say(k.SENSOR_HEARD, {k.ADDRESS: address, k.FLAGS: k.UNVERIFIED, **more})


async def opened(place: Place, **fields: str) -> str:
    """Tap "Add a sensor"; returns where it leads, with the hub listening."""
    answer = await place.post(place.client, place.path("add"), fields, form_at=place.path("sensors"))
    assert answer.status_code == 303, answer.text
    await place.confirm()
    return answer.headers["location"]


async def see(place: Place, path: str) -> str:
    answer = await place.client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_button_from_the_list_to_its_test(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await opened(place)
    assert at == place.path("add", place.hub)
    assert place.down.said[-1].fields[k.PAIR_MS] == 120_000
    page = await see(place, at)
    assert "The hub is listening" in page
    assert "2:00" in page
    assert "Nothing heard yet" in page
    await hear(place, BUTTON, ROLE=1, RSSI=-50, BATTERY=90, NAME="<b>SBBT</b>")
    page = await see(place, at)
    card = place.path("add", place.hub, BUTTON.hex())
    for said in ("Call button", "very good", "90 %", "A4:C1:38:00:00:01", "&lt;b&gt;SBBT", f'href="{card}"'):
        assert said in page
    form = await see(place, card)
    assert 'value="Call button 2"' in form  # the hub's own is one
    answer = await place.post(phone, card, {"role": "call", "name": "吊坠 ", "room": "bedroom"}, form_at=card)
    assert (answer.status_code, answer.headers["location"]) == (303, place.path("test", place.hub))
    (sensor,) = place.registry.sensors(place.hub)
    assert (sensor.name, sensor.room, sensor.role, sensor.address) == ("吊坠", "bedroom", 1, BUTTON)
    assert sensor.supervision_s == 0
    proof = place.pairing.proof(place.hub)
    assert (proof.sensor.index, proof.state) == (sensor.index, "waiting")
    assert place.pairing.window(place.hub).state == "closed"
    done = [one["what"] for one in place.family.audit.page()]
    assert {"family_pair_open", "family_pair"} <= set(done)


async def test_what_another_home_has_is_not_to_be_had(place: Place, phone: httpx2.AsyncClient) -> None:
    far = place.add_hub(place.registry.add_home(name="陌生人"))
    place.registry.add_sensor(far, "door", "A4:C1:38:00:00:01", name="secret name")
    own = place.registry.add_sensor(place.hub, "motion", "A4:C1:38:00:00:03")
    at = await opened(place)
    await hear(place, BUTTON, ROLE=3, RSSI=-50)
    await hear(place, PIR, ROLE=2, DEVICE=own)
    page = await see(place, at)
    assert "belongs to another home" in page
    assert "is here already" in page
    assert f"{at}/{BUTTON.hex()}" not in page
    assert f"{at}/{PIR.hex()}" not in page
    assert "secret name" not in page
    assert "陌生人" not in page
    for address in (BUTTON, PIR):
        assert (await phone.get(f"{at}/{address.hex()}")).status_code == 409
        answer = await place.post(phone, f"{at}/{address.hex()}", {"role": "door"}, form_at=at)
        assert answer.status_code == 409
    assert [one.index for one in place.registry.sensors(place.hub)] == [own]
    # Nor are others' hubs to be spoken to.
    before = len(place.down.said)
    answer = await place.post(phone, place.path("add"), {"hub": far}, form_at=at)
    assert answer.status_code == 404
    for path in (("add", far), ("add", far, BUTTON.hex()), ("test", far), ("sensors", far, "1")):
        assert (await phone.get(place.path(*path))).status_code == 404
    assert len(place.down.said) == before


async def test_one_that_encrypts_needs_its_key(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await opened(place)
    await hear(place, SEALED, RSSI=-90, ADVERTISED=encrypted(SEALED))
    card = f"{at}/{SEALED.hex()}"
    assert "It needs its key" in await see(place, at)
    kinds = await see(place, card)
    assert "What is it?" in kinds
    assert f'href="{card}?role=call"' in kinds
    form = await see(place, f"{card}?role=call")
    assert 'name="secret"' in form
    fields = {"role": "call", "name": "pendant", "room": "kitchen"}
    for secret, said in (
        ("", "Its key is needed"),
        ("00" * 15 + "01", "does not fit"),
        ("12345", "is needed"),
    ):
        answer = await place.post(phone, card, {**fields, "secret": secret}, form_at=f"{card}?role=call")
        assert answer.status_code == 422
        assert said in answer.text
        assert 'value="pendant"' in answer.text  # nothing else has to be entered again
        assert 'value="kitchen" checked' in answer.text
        assert not secret or secret not in answer.text
    assert not place.registry.sensors(place.hub)
    pasted = f"MAC a4c138000004\nBindkey: {KEY.hex().upper()}\n"
    answer = await place.post(phone, card, {**fields, "secret": pasted}, form_at=f"{card}?role=call")
    assert answer.status_code == 303
    assert place.registry.device_table(place.hub)[1][0][4] == KEY
    rows = place.journal.reader.rows("SELECT detail FROM audit")
    assert KEY.hex() not in str(rows).lower()


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (KEY.hex(), True),
        (f" {KEY.hex().upper()}\n", True),
        (KEY.hex(" "), True),
        (KEY.hex("-"), True),
        (f"A4C1380B5E9D {KEY.hex()}", True),
        (f"A4:C1:38:0B:5E:9D; key={KEY.hex()};", True),
        (f"{KEY.hex()} and again {KEY.hex().upper()}", True),
        (f"{KEY.hex()} or {'ab' * 16}", False),
        (KEY.hex() + "0", False),
        (KEY.hex()[:-1], False),
        ("0" * 32, False),
        ("", False),
    ],
)
def test_a_key_is_found_in_what_is_pasted(text: str, fits: bool) -> None:
    assert key_in(text) == (KEY if fits else None)


async def test_a_cuff_of_two_people(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await opened(place)
    await hear(place, CUFF, ROLE=11, NAME="UA-651BLE", RSSI=-70)
    card = f"{at}/{CUFF.hex()}"
    form = await see(place, card)
    assert 'value="王秀兰" checked' in form  # whose home it is
    assert "Where is it?" not in form
    sent = {"role": "blood_pressure", "name": "", "wearer_1": "王秀兰", "wearer_other": "李建国, 王秀兰"}
    assert (await place.post(phone, card, sent, form_at=card)).status_code == 303
    (sensor,) = place.registry.sensors(place.hub)
    assert (sensor.wearer, sensor.name, sensor.room) == ("王秀兰、李建国", "Blood pressure monitor", "")


async def test_a_movement_sensor_is_watched(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await opened(place)
    await hear(place, PIR, ROLE=2)
    card = f"{at}/{PIR.hex()}"
    answer = await place.post(
        phone, card, {"role": "motion", "room": "hall", "room_other": "阳台"}, form_at=card
    )
    assert answer.status_code == 303
    (sensor,) = place.registry.sensors(place.hub)
    assert (sensor.room, sensor.supervision_s) == ("阳台", 28_800)


async def test_the_new_one_takes_the_old_ones_place(place: Place, phone: httpx2.AsyncClient) -> None:
    old = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:09", name="pendant", room="bedroom")
    at = await opened(place, hub=place.hub, replace=str(old))
    await hear(place, BUTTON, ROLE=1)
    await hear(place, PIR, ROLE=2)
    page = await see(place, at)
    assert "pendant" in page
    assert "of another kind" in page
    assert f"{at}/{PIR.hex()}" not in page
    refused = await place.post(phone, f"{at}/{PIR.hex()}", form_at=at)
    assert refused.status_code == 409
    card = f"{at}/{BUTTON.hex()}"
    assert "takes its name" in await see(place, card)
    assert (await place.post(phone, card, form_at=card)).status_code == 303
    (sensor,) = place.registry.sensors(place.hub)
    assert (sensor.index, sensor.address, sensor.name, sensor.room) == (old, BUTTON, "pendant", "bedroom")
    # The next window is for a new one again.
    at = await opened(place)
    await hear(place, PIR, ROLE=2)
    assert "Where is it?" in await see(place, f"{at}/{PIR.hex()}")
    answer = await place.post(phone, place.path("add"), {"hub": place.hub, "replace": "77"}, form_at=at)
    assert answer.status_code == 404


async def test_two_phones_at_once_neither_add_what_was_to_replace_nor_the_other_way_round(
    place: Place, phone: httpx2.AsyncClient
) -> None:
    old = place.registry.add_sensor(place.hub, "call", "A4:C1:38:00:00:09", name="pendant")
    at = await opened(place, hub=place.hub, replace=str(old))
    await hear(place, BUTTON, ROLE=1)
    card = f"{at}/{BUTTON.hex()}"
    added = {"role": "call", "name": "new one", "room": "kitchen"}
    answer = await place.post(phone, card, added, form_at=card)  # of a phone that came to add one
    assert answer.status_code == 200
    assert "takes its name" in answer.text
    await opened(place)
    answer = await place.post(phone, card, form_at=card)  # of the phone that came to replace
    assert answer.status_code == 200
    assert "Where is it?" in answer.text
    assert [(one.index, one.mac[-2:]) for one in place.registry.sensors(place.hub)] == [(old, "09")]


@pytest.mark.parametrize(
    ("ends", "said"),
    [("time", "The time is over"), ("alarm", "There was a call"), ("refused", "clock is being set"),
     ("restart", "has started again"), ("ended", "The search was ended")],
)  # fmt: skip
async def test_when_the_window_closes_the_page_says_why(
    place: Place, phone: httpx2.AsyncClient, ends: str, said: str
) -> None:
    answer = await place.post(phone, place.path("add"), form_at=place.path("sensors"))
    at = answer.headers["location"]
    assert "Asking the hub to listen" in await see(place, at)
    place.clock.now_ms += 11_000
    assert "does not answer yet" in await see(place, at)
    if ends == "refused":
        await place.say(k.COMMAND_REFUSED, {k.COMMAND: place.down.said[-1].number, k.DETAIL: 4})
    else:
        await place.confirm()
    if ends == "time":
        place.clock.now_ms += 120_000
        await place.pairing._round()
    elif ends == "alarm":
        await place.say(k.PAIRING_CLOSED, {k.DETAIL: 4})
    elif ends == "restart":
        await place.intake.submit(place.hub, place.voices[place.hub].start(2, (1, 2)), "mqtt")
    elif ends == "ended":
        assert (await place.post(phone, at, form_at=at)).status_code == 303
    page = await see(place, at)
    assert said in page
    assert "Once more" in page
    assert "data-live" not in page
    await opened(place)
    assert "The hub is listening" in await see(place, at)


async def test_a_home_of_two_hubs_is_asked_which(place: Place, phone: httpx2.AsyncClient) -> None:
    second = place.add_hub(place.home, {"buttons": [], "pirs": [[2, 5]], "places": {"2": ["阁楼", ""]}})
    answer = await place.post(phone, place.path("add"), form_at=place.path("sensors"))
    assert answer.status_code == 200
    assert not place.down.said
    assert "Which hub" in answer.text
    assert "阁楼" in answer.text
    await place.start_hub(second)
    answer = await place.post(phone, place.path("add"), {"hub": second}, form_at=place.path("add"))
    assert answer.headers["location"] == place.path("add", second)


async def test_a_full_hub_says_so(place: Place, phone: httpx2.AsyncClient) -> None:
    for number in range(28):
        place.registry.add_sensor(place.hub, "door", f"A4:C1:38:00:01:{number:02X}")
    answer = await place.post(phone, place.path("add"), form_at=place.path("sensors"))
    assert (answer.status_code, "holds no more sensors" in answer.text) == (409, True)
    assert not place.down.said


async def test_odd_input_is_answered_in_words(place: Place, phone: httpx2.AsyncClient) -> None:
    at = await opened(place)
    await hear(place, BUTTON, ROLE=1)
    card = f"{at}/{BUTTON.hex()}"
    for fields, status in (
        ({"name": "x" * 201}, 422), ({"name": "a\u202eb"}, 422), ({"room": "\x00"}, 422),
        ({"role": "toaster"}, 200),
    ):  # fmt: skip
        answer = await place.post(phone, card, {"role": "call", **fields}, form_at=card)
        assert answer.status_code == status, answer.text
    for path, status in (("nonsense", 404), ("00" * 6, 404), (PIR.hex(), 409), ("a" * 500, 404)):
        assert (await phone.get(f"{at}/{path}")).status_code == status
    assert not place.registry.sensors(place.hub)
    answer = await phone.post(card, data={"key": "x", "role": "call"})
    assert answer.status_code == 403
    assert not place.registry.sensors(place.hub)


async def test_chinese_is_chinese(place: Place, phone: httpx2.AsyncClient) -> None:
    phone.headers["accept-language"] = "zh-CN"
    at = await opened(place)
    await hear(place, SEALED, ROLE=1, ADVERTISED=encrypted(SEALED))
    for path in (place.path("sensors"), at, f"{at}/{SEALED.hex()}"):
        page = await see(place, path)
        for english in ("Call button", "signal", "Signal", "weak", "Where", "key is", "hub"):
            assert english not in page.replace(place.hub, "").replace('name="hub"', ""), (path, english)


def test_every_reason_has_words() -> None:
    from kanhu.pairing import REFUSALS
    from kanhu_protocol import names

    for code in (
        *(f"refused_{detail}" for detail in REFUSALS), *names.DETAILS[k.PAIRING_CLOSED].values(),
        "not_heard", "elsewhere", "here", "home", "no_key", "key_needed", "wrong_key", "no_role", "revoked",
        "no_window", "no_answer", "no_proof", "replaced", "ended", "unpaired", "restarted", "alarm",
        "nothing", "no_platform", "proving", "expired",
    ):  # fmt: skip
        assert code in words.PAIRING, code
    assert set(words.ROLE) == set(names.ROLES.values())
