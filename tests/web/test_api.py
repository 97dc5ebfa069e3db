"""The desk's API: who may do what with an alarm, and what is told of a person."""

from __future__ import annotations

import asyncio

import pytest

from helpers_desk import PASSWORD, Place, act, log_in_as, state_of
from helpers_intake import NOW_MS
from kanhu.care.condition import Condition, Reason
from kanhu.care.proofs import Proof
from kanhu.care.rules.values import Words
from kanhu.journal import JournalUnavailable
from kanhu_protocol import kinds as k

REGION = "cn/42/01/06"
STREET = f"{REGION}/03"


async def test_an_alarm_is_accepted_cared_for_and_closed(place: Place) -> None:
    home, hub = place.add_home(STREET)
    li = await place.operator("li", REGION)
    alarm = await place.call(hub)
    place.clock.now_ms += 42_000
    await asyncio.sleep(0.4)
    (row,) = (await state_of(li))["alarms"]
    expected = {
        "name": str(alarm), "kind": "call", "state": "open", "class": "p1", "level": 1, "region": STREET,
        "home": home, "raised_ms": NOW_MS, "accepted_by": None, "mine": False, "incident": None, "rule": None,
        "explanation": {"en": "help is wanted", "zh": "需要帮助"}, "ask_until_ms": None,
    }  # fmt: skip
    assert {key: row[key] for key in expected} == expected
    answer = await act(li, alarm, "accept")
    assert answer.status_code == 200
    accepted = answer.json()["alarm"]
    assert (accepted["state"], accepted["accepted_by"], accepted["mine"]) == ("accepted", "li", True)
    assert accepted["age_s"] == 42
    for what, state in (("dispatch", "dispatched"), ("on_scene", "on_scene")):
        answer = await act(li, alarm, what)
        assert (answer.status_code, answer.json()["alarm"]["state"]) == (200, state)
    assert (await act(li, alarm, "close")).status_code == 400  # a reason is needed
    answer = await act(li, alarm, "close", reason="helped")
    assert (answer.status_code, answer.json()["alarm"]["state"]) == (200, "closed")
    steps = [what for _, what, _, _ in place.alarms.history(alarm.name)]
    assert steps == ["opened", "accepted", "dispatched", "on_scene", "closed"]
    await asyncio.sleep(0.4)
    (row,) = (await state_of(li))["alarms"]  # a shift can still see what has been closed
    assert (row["state"], row["reason"], row["closed_by"]) == ("closed", "helped", "li")


async def test_of_two_who_accept_at_once_one_has_it_and_the_other_sees_who(place: Place) -> None:
    _, hub = place.add_home(STREET)
    li, wang = await place.operator("li", REGION), await place.operator("wang", REGION)
    for _ in range(5):
        alarm = await place.call(hub)
        answers = await asyncio.gather(act(li, alarm, "accept"), act(wang, alarm, "accept"))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        lost = next(answer for answer in answers if answer.status_code == 409).json()
        won = next(answer for answer in answers if answer.status_code == 200).json()["alarm"]
        assert lost["accepted_by"] == won["accepted_by"] in ("li", "wang")
        assert lost["code"] == "taken"
        found = place.alarms.get(alarm.name)
        assert found is not None
        assert found.accepted_by == won["accepted_by"]


async def test_accepting_twice_is_accepting_once(place: Place) -> None:
    _, hub = place.add_home(STREET)
    li = await place.operator("li", REGION)
    alarm = await place.call(hub)
    assert (await act(li, alarm, "accept")).status_code == 200
    assert (await act(li, alarm, "accept")).status_code == 200
    assert [what for _, what, _, _ in place.alarms.history(alarm.name)] == ["opened", "accepted"]


async def test_only_who_has_it_or_a_supervisor_acts_on_an_accepted_alarm(place: Place) -> None:
    _, hub = place.add_home(STREET)
    li, wang = await place.operator("li", REGION), await place.operator("wang", REGION)
    chief = await place.operator("chief", REGION, "supervisor")
    alarm = await place.call(hub)
    for what in ("dispatch", "on_scene", "close"):  # nobody has it yet
        answer = await act(wang, alarm, what, reason="helped")
        assert (answer.status_code, answer.json()["accepted_by"]) == (409, None)
    await act(li, alarm, "accept")
    for what in ("dispatch", "on_scene", "hand_over", "close"):
        answer = await act(wang, alarm, what, reason="helped", to="wang")
        assert (answer.status_code, answer.json()["accepted_by"]) == (409, "li")
    assert (await act(chief, alarm, "hand_over", to="wang")).status_code == 200
    assert (await act(wang, alarm, "close", reason="helped")).status_code == 200
    assert (await act(li, alarm, "correct", reason="was_away")).status_code == 403
    answer = await act(chief, alarm, "correct", reason="was_away")
    assert (answer.status_code, answer.json()["alarm"]["reason"]) == (200, "was_away")


async def test_an_alarm_is_handed_over_to_whom_it_can_be(place: Place) -> None:
    _, hub = place.add_home(STREET)
    li, wang = await place.operator("li", REGION), await place.operator("wang", "cn")
    await place.operator("far", "cn/42/02", log_in=False)
    await place.operator("wall", "cn", "viewer", log_in=False)
    await place.operator("gone", "cn", log_in=False)
    place.desk.operators.disable("gone")
    found = (await li.get("/desk/api/operators")).json()
    assert [one["id"] for one in found] == ["li", "wang"]
    alarm = await place.call(hub)
    await act(li, alarm, "accept")
    for nobody in ("far", "wall", "gone", "unknown"):
        assert (await act(li, alarm, "hand_over", to=nobody)).status_code == 400
    assert (await act(li, alarm, "hand_over")).status_code == 400
    assert (await act(li, alarm, "hand_over", to="wang")).status_code == 200
    await asyncio.sleep(0.4)
    (row,) = (await state_of(wang))["alarms"]
    assert (row["mine"], row["accepted_by_name"]) == (True, "Wang")
    assert (await act(li, alarm, "close", reason="helped")).status_code == 409


async def test_a_person_is_shown_while_the_alarm_is_open_and_never_unseen(place: Place) -> None:
    home, hub = place.add_home(STREET, "王秀兰", address="中北路 12 号", phones=("+86 27 8888 1234",))
    place.add_past(hub, NOW_MS - 4 * 60_000)
    place.conditions[home] = Condition(
        "attention", (Reason(Words("an open call", "有未结呼叫"), NOW_MS),), NOW_MS
    )
    place.proofs[hub] = Proof(NOW_MS - 3_600_000, 800, 0)
    li = await place.operator("li", REGION)
    alarm = await place.call(hub)
    answer = await li.get(f"/desk/api/alarms/{alarm}/person")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    person = answer.json()
    assert (person["name"], person["address"], person["phones"]) == (
        "王秀兰", "中北路 12 号", ["+86 27 8888 1234"]
    )  # fmt: skip
    assert (person["last_movement"]["room"], "4 min ago" in person["last_movement"]["en"]) == (
        "kitchen",
        True,
    )
    assert person["condition"]["state"] == "attention"
    assert person["condition"]["reasons"][0]["words"]["zh"] == "有未结呼叫"
    assert "0.8 s" in person["proof"]["en"]
    assert person["sensors"][0] == {"device": 1, "role": "call", "room": "", "name": "", "pressed": True}
    assert [step["what"] for step in person["history"]] == ["opened"]
    (seen, *_) = place.desk.audit.page()
    assert (seen["operator"], seen["what"], seen["hub"], seen["detail"]) == ("li", "person", hub, str(alarm))
    await act(li, alarm, "accept")
    await act(li, alarm, "close", reason="helped")
    answer = await li.get(f"/desk/api/alarms/{alarm}/person")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_open")
    assert "王秀兰" not in answer.text
    assert (await place.desk.audit.verify()).broken == ()


async def test_what_cannot_be_kept_in_the_audit_is_not_shown(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, hub = place.add_home(STREET, "王秀兰")
    li = await place.operator("li", REGION)
    alarm = await place.call(hub)

    async def full(*_: object) -> None:
        raise JournalUnavailable("the disk of the journal is full")

    monkeypatch.setattr(place.desk.audit, "_write", full)
    answer = await li.get(f"/desk/api/alarms/{alarm}/person")
    assert (answer.status_code, "王秀兰" in answer.text) == (503, False)
    # But nobody is kept from the alarms.
    assert (await log_in_as(place.client(), "li")).status_code == 303
    assert (await act(li, alarm, "accept")).status_code == 200


async def test_a_person_is_not_shown_while_the_elder_is_only_being_asked(place: Place) -> None:
    _, hub = place.add_home(STREET, "王秀兰")
    li = await place.operator("li", REGION)
    name = await place.alarms.ask(hub, k.INACTIVITY, "inactivity/1", Words("no movement", "无活动"), 600_000)
    alarm = place.alarms.get(name)
    assert alarm is not None
    await asyncio.sleep(0.4)
    (row,) = (await state_of(li))["alarms"]
    assert (row["state"], row["ask_until_ms"], row["rule"]) == ("pre_alarm", NOW_MS + 600_000, "inactivity/1")
    answer = await li.get(f"/desk/api/alarms/{alarm}/person")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_open")
    assert (await act(li, alarm, "accept")).status_code == 409


async def test_a_wall_sees_numbers_and_no_home(place: Place) -> None:
    home, hub = place.add_home(STREET, "王秀兰")
    wall = await place.operator("wall", REGION, "viewer")
    alarm = await place.call(hub)
    await asyncio.sleep(0.4)
    answer = await wall.get("/desk/api/state")
    (row,) = answer.json()["alarms"]
    assert (row["home"], row["explanation"], row["may_act"]) == (None, None, False)
    assert home not in answer.text
    for what in ("accept", "dispatch", "on_scene", "hand_over", "close", "correct"):
        assert (await act(wall, alarm, what, reason="x", to="x")).status_code == 403
    for path in (f"alarms/{alarm}/person", "homes", "operators", "incidents/1", "audit"):
        assert (await wall.get(f"/desk/api/{path}")).status_code == 403
    assert (await wall.post(f"/desk/api/homes/{home}/mode", json={"mode": "away"})).status_code == 403
    answer = await wall.get("/desk")
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/wall")
    assert (await wall.get("/desk/wall")).status_code == 200


async def test_the_list_has_the_oldest_unanswered_first_and_life_before_welfare(place: Place) -> None:
    _, hub = place.add_home(STREET)
    _, other = place.add_home(STREET)
    li = await place.operator("li", REGION)
    welfare = await place.call(hub, k.INACTIVITY)
    place.clock.now_ms += 10_000
    older = await place.call(hub)
    place.clock.now_ms += 10_000
    newer = await place.call(other)
    asked = place.alarms.get(
        await place.alarms.ask(other, k.INACTIVITY, "inactivity/1", Words("a", "b"), 600_000)
    )
    held = await place.call(other, k.SMOKE)
    await act(li, held, "accept")
    await asyncio.sleep(0.4)
    rows = (await state_of(li))["alarms"]
    assert [row["name"] for row in rows] == [str(one) for one in (older, newer, welfare, held, asked)]


async def test_a_mode_is_set_for_a_home_and_ends_when_it_should(place: Place) -> None:
    home, hub = place.add_home(STREET)
    li = await place.operator("li", REGION)
    until = NOW_MS + 3_600_000
    answer = await li.post(f"/desk/api/homes/{home}/mode", json={"mode": "away", "until_ms": until})
    assert answer.status_code == 200
    mode = place.modes.at(hub, NOW_MS + 1)
    assert mode is not None
    assert (mode.mode, mode.until_ms) == (2, until)
    for body in (
        {},
        {"mode": "holiday"},
        {"mode": "away", "until_ms": "tomorrow"},
        {"mode": "away", "until_ms": 5},
    ):
        assert (await li.post(f"/desk/api/homes/{home}/mode", json=body)).status_code == 400
    assert (await li.post("/desk/api/homes/0000000000/mode", json={"mode": "away"})).status_code == 404
    assert place.desk.audit.page()[0]["what"] == "mode"


async def test_the_audit_is_a_supervisors_and_its_reading_is_in_it(place: Place) -> None:
    li = await place.operator("li")
    local = await place.operator("local", REGION, "supervisor")
    chief = await place.operator("chief", "", "supervisor")
    assert (await li.get("/desk/api/audit")).status_code == 403
    assert (await local.get("/desk/api/audit")).status_code == 403
    found = (await chief.get("/desk/api/audit")).json()
    assert found["broken"] == []
    assert [(row["operator"], row["what"]) for row in found["rows"]] == [
        ("chief", "audit"), ("chief", "login"), ("local", "login"), ("li", "login"),
    ]  # fmt: skip
    older = (await chief.get(f"/desk/api/audit?before={found['rows'][0]['id']}")).json()["rows"]
    assert [row["what"] for row in older] == ["login"] * 3


NOT_THERE = [
    ("GET", "alarms/nohub/1-0/person", 404),
    ("GET", "alarms/nohub/99999999999999999999999-0/person", 404),
    ("GET", "alarms/nohub/1-x/person", 404),
    ("GET", "incidents/99999999999999999999999", 404),
    ("GET", f"incidents/{'9' * 5000}", 404),  # more digits than Python reads
    ("GET", "incidents/1?after=x", 400),
    ("GET", "incidents/1?after=99999999999999999999", 400),
    ("GET", "nothing", 404),
    ("POST", "state", 405),
    ("POST", "alarms/nohub/1-0/accept", 404),
    ("PUT", "language", 405),
]


async def test_what_is_not_there_is_said_so(place: Place) -> None:
    li = await place.operator("li", "")
    for method, path, status in NOT_THERE:
        answer = await li.request(method, f"/desk/api/{path}", json={} if method == "POST" else None)
        assert answer.status_code == status, path


async def test_everybody_reads_their_own_language(place: Place) -> None:
    li = await place.operator("li")
    assert 'lang="en"' in (await li.get("/desk")).text
    assert (await li.post("/desk/api/language", json={"language": "zh"})).status_code == 200
    assert 'lang="zh-Hans"' in (await li.get("/desk")).text
    assert (await li.post("/desk/api/language", json={"language": "fr"})).status_code == 400
    assert PASSWORD not in (await li.get("/desk")).text
