"""The desk's API: who may do what with an alarm, and what is told of a person."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from helpers_desk import PASSWORD, Place, act, log_in_as, running, state_of
from helpers_intake import NOW_MS
from kanhu.care.condition import Condition, Reason
from kanhu.care.incidents import Incident
from kanhu.care.proofs import Proof
from kanhu.care.rules.values import Words
from kanhu.journal import JournalUnavailable
from kanhu.registry.notes import Notes
from kanhu.registry.operators import Operator
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


async def test_a_note_is_kept_for_an_open_alarm_by_who_has_it(place: Place) -> None:
    home, hub = place.add_home(STREET)
    li, wang = await place.operator("li", REGION), await place.operator("wang", REGION)
    chief, wall = await place.operator("chief", "", "supervisor"), await place.operator("wall", "", "viewer")
    far = await place.operator("far", "cn/42/02", "supervisor")
    alarm = await place.call(hub)
    note = "钥匙在邻居处，听力不好"
    assert (await act(li, alarm, "note", text=note)).json()["code"] == "state"  # nobody has it yet
    await act(li, alarm, "accept")
    for other, status in ((wang, 409), (wall, 403), (far, 404)):
        assert (await act(other, alarm, "note", text=note)).status_code == status
    for bad in ({}, {"text": 5}, {"text": "x" * 301}, {"text": "bell \x07"}):
        assert (await act(li, alarm, "note", **bad)).status_code == 400
    kept = (await act(li, alarm, "note", text=f"  {note}\n")).json()["note"]
    assert (kept["text"], kept["by"]) == (note, "li")
    assert (await wang.get(f"/desk/api/alarms/{alarm}/person")).json()["note"] == kept
    assert note not in (await li.get("/desk/api/state")).text
    row = next(one for one in place.desk.audit.page() if one["what"] == "note")
    assert (row["operator"], row["hub"], row["detail"]) == ("li", hub, str(alarm))  # and not its words
    await act(li, alarm, "close", reason="helped")
    assert (await act(li, alarm, "note", text="later")).json()["code"] == "not_open"
    again = await place.call(hub)
    assert (await act(chief, again, "note", text="")).json() == {"note": None}
    assert Notes(place.registry).of(home) is None


async def test_an_alarm_names_the_incident_of_its_home_while_its_own_fault_stands(tmp_path: Path) -> None:
    names = tmp_path / "regions.toml"
    names.write_text(f'"{REGION}" = {{ en = "Wuchang", zh = "武昌区" }}\n', encoding="utf-8")
    async with running(tmp_path / "data", region_names=names) as place:
        _, hub = place.add_home(STREET)
        wide = Incident(3, k.HUB_SILENT, "cn/42", 0, 0, faulty={hub: 1})
        place.incidents = [Incident(7, k.MAINS_LOST, REGION, 0, 0, faulty={hub: 1}), wide]
        alarm = await place.call(hub)
        chief = place.desk.operators.add("chief", region="")
        li = place.desk.operators.add("li", region=REGION)

        def incident(operator: Operator) -> Any:
            place.desk.board._made.clear()
            return json.loads(place.desk.board.state(operator))["alarms"][0]["incident"]

        name = {"en": "Wuchang", "zh": "武昌区"}
        mains = {"id": 7, "kind": "mains.lost", "region": REGION, "region_name": name}
        assert (incident(chief), incident(li)) == (mains, mains)
        place.incidents[0].faulty[hub] = 0  # the power is back here
        assert incident(chief) == {"id": 3, "kind": "hub.silent", "region": "cn/42", "region_name": None}
        assert incident(li)["region"] == REGION  # how far it reaches beyond is not li's to know
        wide.closed_ms = 1
        assert incident(chief) is None
        row = place.desk.rows.alarm(alarm, "")
        assert (row["region"], row["region_name"]) == (STREET, None)
        assert json.loads(place.desk.board.state(li))["me"]["region_name"] == name
        client = place.client(cookies={place.desk.sessions.cookie: place.cookie(li)})
        assert "Wuchang" not in (await client.get("/desk")).text  # li reads Chinese
        assert "武昌区" in (await client.get("/desk")).text


async def test_of_an_incident_of_20_000_each_sees_the_own_homes_in_pages(place: Place) -> None:
    homes = [place.add_home(region) for region in (STREET, STREET, STREET, "cn/42/02/01")]
    batch = place.journal.batch()
    batch.run("INSERT INTO incidents VALUES (5, ?, 'cn/42', ?, NULL, 20000)", k.MAINS_LOST, NOW_MS)
    columns = "hub, device, kind, opened_ms, closed_ms, due_ms, incident"
    sql = f"INSERT INTO faults ({columns}) VALUES (?,?,?,?,?,0,5)"
    for n in range(20_000):  # hubs of other registries' homes among them
        batch.run(sql, f"x{n}", 0, k.MAINS_LOST, NOW_MS, None)
    for device in range(150):
        for _, hub in homes:
            batch.run(sql, hub, device, k.MAINS_LOST, NOW_MS + device, NOW_MS if device % 2 else None)
    await batch.submit()
    li = await place.operator("li", REGION)
    pages, after = [], 0
    while after is not None:
        found = (await li.get(f"/desk/api/incidents/5?after={after}")).json()
        pages.append(found["members"])
        after = found["next"]
    assert [len(page) for page in pages] == [200, 200, 50]
    seen = [(one["home"], one["device"]) for page in pages for one in page]
    assert len(seen) == len(set(seen))
    assert {home for home, _ in seen} == {home for home, _ in homes[:3]}
    standing = (await li.get("/desk/api/incidents/5?standing=1&after=0")).json()
    assert (len(standing["members"]), standing["next"] is not None) == (200, True)
    assert all(one["closed_ms"] is None for one in standing["members"])
    looks = [row for row in place.desk.audit.page() if row["what"] == "incident"]
    assert [row["detail"] for row in looks] == ["5 200", "5 50", "5 200", "5 200"]
    far = await place.operator("far", "cn/43")
    assert (await far.get("/desk/api/incidents/5")).status_code == 404
    place.desk.board.changed()
    await asyncio.sleep(2.5)  # until it has been counted
    (incident,) = (await state_of(li))["incidents"]
    assert (incident["members"], incident["standing"], incident["region"]) == (3, 3, REGION)


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
