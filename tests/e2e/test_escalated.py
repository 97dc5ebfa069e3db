"""A call that nobody takes goes up to the city; then a person does all there is to do, and the lamp tells."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing

import kanhu.platform as sdk
from helpers_e2e import wait_for
from kanhu.sim.city import City
from kanhu.sim.town import Town

LEVELS = ("street", "district", "city")


def test_from_the_press_to_the_correction(
    make_town: Callable[..., Town], make_city: Callable[..., City]
) -> None:
    town = make_town(daemon={"care": {"escalation": {"p1": [0.5, 1.0, 1.5]}}})
    town.start()
    city = make_city(town)
    home = town.add_home("lin", buttons={"bedroom": 4})
    town.wait_ready(40)
    town.bench.press("lin/bedroom")
    call = city.wait(lambda event: event.name == "call", 30)
    city.wait(lambda event: event.name == "alarm.escalated" and event.data["level"] == "city", 30)
    raised = [event for event in city.events("alarm.escalated") if event.alarm == call.alarm]
    assert [event.data["level"] for event in raised] == [*LEVELS]
    assert all(event.hub == home.hub_id for event in raised)
    assert call.alarm is not None
    alarm = call.alarm

    async def attend() -> None:
        async with sdk.commands(town.platform_url) as desk:
            await desk.accept(alarm, operator="op-1", timeout=30)
            await asyncio.to_thread(town.bench.wait_indicator, home.hub, "accepted", 30)
            await desk.dispatch(alarm, operator="op-1", timeout=30)
            await asyncio.to_thread(town.bench.wait_indicator, home.hub, "coming", 30)
            await desk.hand_over(alarm, operator="op-1", to="op-2", timeout=30)
            await desk.on_scene(alarm, operator="op-2", timeout=30)
            await desk.close(alarm, operator="op-2", reason="helped", timeout=30)
            await asyncio.to_thread(town.bench.wait_indicator, home.hub, "well", 30)
            await desk.correct(alarm, operator="op-2", reason="pressed_by_mistake", timeout=30)

    asyncio.run(attend())
    steps = ("accepted", "dispatched", "handed_over", "on_scene", "closed", "corrected")
    wait_for(lambda: city.events("alarm.corrected"), 30)
    said = [event for event in city.events() if event.name.removeprefix("alarm.") in steps]
    assert sorted(event.name.removeprefix("alarm.") for event in said) == sorted(steps)
    assert {event.alarm for event in said} == {alarm}
    path = town.daemon.data_dir / "journal.db"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        history = [what for (what,) in db.execute("SELECT what FROM alarm_history ORDER BY id")]
        level, reason = db.execute("SELECT level, reason FROM alarms").fetchone()
    assert history == ["opened", "escalated to 2", "escalated to 3", "escalated to 4", *steps]
    assert (level, reason) == (4, "pressed_by_mistake")
