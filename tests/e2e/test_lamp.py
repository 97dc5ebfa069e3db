"""The lamp says "nobody has answered" when nobody has, on every path to that state, and never otherwise."""

from __future__ import annotations

import pytest

from kanhu.sim.city import City
from kanhu.sim.town import Home, Town

UNANSWERED_AFTER_S = 10.0  # contracts, section 7
SLACK_S = 5.0
NOT_YET_S = 120.0  # the person is still with the elder when the test ends


@pytest.fixture
def home(town: Town) -> Home:
    made = town.add_home("north", buttons={"bedroom": 4})
    town.bench.wait_indicator(made.hub, "well", 15)
    return made


def unanswered(town: Town, home: Home, within: float = UNANSWERED_AFTER_S + SLACK_S) -> None:
    assert town.bench.wait_indicator(home.hub, "unanswered", within).pattern == "unanswered"


def call_waits(city: City, home: Home) -> str:
    """The name of the hub's alarm, once the platform has it."""
    event = city.wait(lambda event: event.name == "call" and event.hub == home.hub_id)
    assert event.alarm
    return event.alarm


def test_delivered_and_no_person_comes(town: Town, home: Home, city: City) -> None:
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "delivered", 5)
    unanswered(town, home)
    repeat = city.wait(lambda event: event.name == "call.unanswered")
    assert repeat.data["attempt"] == 1
    assert repeat.alarm == call_waits(city, home)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 5)


def test_the_platform_is_down(town: Town, home: Home) -> None:
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "stored", 5)
    unanswered(town, home)


def test_the_daemon_is_down(town: Town, home: Home) -> None:
    town.daemon.kill()
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "heard", 5)
    unanswered(town, home)


def test_the_broker_is_down(town: Town, home: Home) -> None:
    town.broker.kill()
    town.bench.press("north/bedroom")
    unanswered(town, home)


def test_wifi_is_gone_after_delivery(town: Town, home: Home, city: City) -> None:
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "delivered", 5)
    town.bench.wifi(False, home.hub)
    unanswered(town, home)


def test_the_hub_starts_again_with_an_open_alarm(town: Town, home: Home, city: City) -> None:
    town.bench.press("north/bedroom")
    town.bench.wait_indicator(home.hub, "delivered", 5)
    town.bench.cut_power(home.hub)
    town.bench.power(home.hub)
    unanswered(town, home, 5.0)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 15)


def test_accepted_survives_a_power_cut_and_a_new_press_is_a_new_alarm(
    town: Town, home: Home, city: City
) -> None:
    town.bench.press("north/bedroom")
    first = call_waits(city, home)
    city.accept_all()
    town.bench.wait_indicator(home.hub, "accepted", 5)
    town.bench.cut_power(home.hub)
    town.bench.power(home.hub)
    town.bench.wait_indicator(home.hub, "accepted", 10)
    town.bench.press("north/bedroom")
    second = city.wait(lambda event: event.name == "call" and event.alarm != first)
    assert second.alarm == f"{home.hub_id}/{second.id}"
    unanswered(town, home)


def test_an_answer_given_while_the_hub_was_dark_is_shown_after_it_starts(
    town: Town, home: Home, city: City
) -> None:
    town.bench.press("north/bedroom")
    call_waits(city, home)
    town.bench.wait_indicator(home.hub, "delivered", 5)
    town.bench.cut_power(home.hub)
    city.close_after_s = NOT_YET_S
    city.accept_all()
    city.wait(lambda event: event.name == "alarm.accepted")
    town.bench.power(home.hub)
    town.bench.wait_indicator(home.hub, "accepted", 15)


def test_the_daemon_dies_between_the_answer_and_the_hub(town: Town, home: Home, city: City) -> None:
    town.bench.press("north/bedroom")
    call_waits(city, home)
    town.bench.wifi(False, home.hub)
    city.close_after_s = NOT_YET_S
    city.accept_all()
    city.wait(lambda event: event.name == "alarm.accepted")
    town.daemon.kill()
    unanswered(town, home)
    town.daemon.start()
    town.bench.wifi(True, home.hub)
    town.bench.wait_indicator(home.hub, "accepted", 30)


def test_at_rest_the_lamp_never_claims_what_it_cannot_know(town: Town, home: Home) -> None:
    town.daemon.kill()
    # Three heartbeats of 5 s with their jitter, and the margin for a receipt's way back.
    town.bench.wait_indicator(home.hub, "cannot_tell", 45)
    town.daemon.start()
    town.bench.wait_indicator(home.hub, "well", 30)
