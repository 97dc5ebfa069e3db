"""An operator of one place sees nothing of any other: in no answer, no number, no stream."""

from __future__ import annotations

import asyncio
import json
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers_desk import Place, act, events_of, running, state_of
from kanhu.web import regions
from kanhu_protocol import kinds as k

PLACES = ("cn/42/01/06/03", "cn/42/01/06/04", "cn/42/01/07/01", "cn/42/01/060", "cn/43/02/01/01", None)
parts = st.lists(st.sampled_from(["0", "1", "01", "a"]), min_size=0, max_size=4).map(
    lambda p: "/".join(["cn", *p])
)
WORDS_OF = ("operator", "supervisor", "viewer")


@given(parts, parts)
def test_a_region_covers_itself_and_what_is_below(region: str, place: str) -> None:
    inside = place.split("/")[: len(region.split("/"))] == region.split("/")
    assert regions.covers(region, place) == inside
    assert (region in list(regions.above(place))) == inside
    assert regions.covers("", place)
    assert regions.covers("", None)
    assert not regions.covers(region, None)
    row = regions.district(region, place)
    assert regions.covers(row, place)
    if inside and place != region:
        assert regions.covers(region, row)


class City:
    """One home with an alarm of every kind of life, a fault and an incident at each of PLACES."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.homes: dict[str, str | None] = {}
        self.secrets: dict[str | None, list[str]] = {}
        self.alarms: dict[str | None, list[Any]] = {}

    async def build(self) -> None:
        place = self.place
        batch = place.journal.batch()
        batch.run("INSERT INTO incidents VALUES (1, ?, 'cn', ?, NULL, 6)", k.MAINS_LOST, place.clock())
        for at, region in enumerate(PLACES):
            home, hub = place.add_home(region, f"person {at} of {region}", address=f"street {at} {region}")
            self.homes[home] = region
            opened = [await place.call(hub), await place.call(hub, k.SMOKE)]
            asked = await place.alarms.ask(hub, k.INACTIVITY, "inactivity/1", opened[0].explanation, 600_000)
            found = place.alarms.get(asked)
            self.alarms[region] = [*opened, found]
            self.secrets[region] = [home, hub, f"person {at}", f"street {at}", *([region] if region else [])]
            batch.run(
                "INSERT INTO faults (hub, device, kind, opened_ms, due_ms, incident) VALUES (?,0,?,?,?,1)",
                hub, k.MAINS_LOST, place.clock(), place.clock() - 1,
            )  # fmt: skip
        await batch.submit()

    def inside(self, region: str) -> set[str | None]:
        return {one for one in PLACES if regions.covers(region, one)}


async def test_no_endpoint_tells_anything_of_another_region(tmp_path: Path, cheap_passwords: None) -> None:
    async with running(tmp_path) as place:
        city = City(place)
        await city.build()
        place.desk.board.changed()
        clients: dict[tuple[str, str], Any] = {}
        made = 0
        acts = cycle(("accept", "dispatch", "on_scene", "hand_over", "close", "correct"))
        await asyncio.sleep(2.5)  # until homes and faults have been counted

        async def look(region: str, role: str, order: list[int]) -> None:
            nonlocal made
            if (region, role) not in clients:
                made += 1
                clients[region, role] = await place.operator(f"op{made}", region, role)
            client, inside = clients[region, role], city.inside(region)
            foreign = [
                secret
                for other in PLACES
                if other not in inside
                for secret in city.secrets[other]
                if not any(secret in own for here in inside for own in city.secrets[here])
            ]
            me = f'"region":"{region}"'
            texts = []
            paths = ["state", "operators", "homes", "homes?region=", "incidents/1", "audit"]
            paths += [f"homes?region={other}" for other in PLACES if other]
            paths += [f"alarms/{alarm}/person" for other in PLACES for alarm in city.alarms[other]]
            for at in order:
                path = paths[at % len(paths)]
                answer = await client.get(f"/desk/api/{path}")
                if role == "supervisor" and not region and path == "audit":
                    continue
                texts.append(answer.text)
            for other in PLACES:
                if other not in inside:
                    for alarm, what in zip(city.alarms[other], islice(acts, 3), strict=True):
                        answer = await act(client, alarm, what, reason="x", to=f"op{made}")
                        assert answer.status_code in (403, 404)
                        texts.append(answer.text)
                    home = next(home for home, where in city.homes.items() if where == other)
                    answer = await client.post(f"/desk/api/homes/{home}/mode", json={"mode": "away"})
                    assert answer.status_code in (403, 404)
                    texts.append(answer.text)
            async with client.stream("GET", "/desk/api/events") as stream:
                async for event, data in events_of(stream):
                    assert event == "state"
                    texts.append(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
                    break
            for text in texts:
                for secret in foreign:
                    assert secret not in text.replace(me, ""), (region, role, secret)
            state = await state_of(client)
            assert {row["region"] for row in state["alarms"]} == inside
            assert len(state["alarms"]) == 3 * len(inside)
            assert sum(state["homes"].values()) == len(inside)
            assert state["faults"] == {"open": len(inside), "overdue": len(inside)}
            assert all(regions.covers(region, one["region"] or None) for one in state["incidents"])
            assert [one["members"] for one in state["incidents"]] == ([len(inside)] if inside else [])
            assert sum(row["alarms"] for row in state["districts"]) == 2 * len(inside)
            assert state["figures"]["today"] == 2 * len(inside)
            if role != "viewer" and inside:
                found = (await client.get("/desk/api/incidents/1")).json()
                assert {one["region"] for one in found["members"]} == inside

        looks: list[Any] = []
        regions_of = st.sampled_from(
            ["", "cn", "cn/42", "cn/42/01/06", "cn/42/01/06/03", "cn/43", "cn/99", "us"]
        )

        @settings(
            max_examples=8, deadline=None, database=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(regions_of, st.sampled_from(WORDS_OF), st.lists(st.integers(0, 40), min_size=4, max_size=8))
        def collect(region: str, role: str, order: list[int]) -> None:
            looks.append((region, role, order))

        await asyncio.to_thread(collect)
        for region, role, order in looks:
            await look(region, role, order)
        # And once through all paths.
        await look("cn/42/01/06", "supervisor", list(range(40)))
