"""Pairing at the host when things go otherwise: floods, clocks that jump, disks that are full, people who
act at once, homes that change meanwhile."""

from __future__ import annotations

import random
import sqlite3
from types import SimpleNamespace

import pytest

from helpers_pairing import BUTTON, CUFF, KEY, MAC, OTHER, Home, encrypted
from kanhu.errors import KanhuError
from kanhu.pairing import PairingError, opens, proofs, windows
from kanhu.pairing.requests import handler
from kanhu.pairing.values import FRESH_MS, HEARD_MAX, KEPT_S
from kanhu.registry import Registry, RegistryError
from kanhu_protocol import kinds as k


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The computer's clock that nobody sets: seconds in `now`."""
    clock = SimpleNamespace(now=1000.0)
    for module in (windows, proofs):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def fake(number: int) -> bytes:
    return b"\xf0\x00" + number.to_bytes(4, "big")


async def test_a_flood_of_addresses_keeps_the_familys_sensor_in(home: Home) -> None:
    await home.opened()
    numbers = random.Random(5)
    for number in range(HEARD_MAX):
        home.hear(fake(number), ROLE=1, RSSI=numbers.randint(-95, -61))
    home.hear(BUTTON, ROLE=1, RSSI=-60)
    for number in range(1000, 5000):
        home.hear(fake(number), ROLE=1, RSSI=numbers.randint(-95, -61))
    heard = home.pairing.heard(home.hub)
    assert len(heard) == HEARD_MAX
    assert heard[0].address == BUTTON
    assert home.pairing.pair(home.hub, MAC, name="pendant").role == 1


async def test_who_is_heard_no_more_makes_room_even_for_the_weak(home: Home) -> None:
    await home.opened()
    for number in range(HEARD_MAX):
        home.hear(fake(number), ROLE=1, RSSI=-30)
    home.hear(BUTTON, ROLE=1, RSSI=-90)
    assert BUTTON not in home.pairing.window(home.hub).heard
    home.clock.now_ms += FRESH_MS + 1
    home.hear(BUTTON, ROLE=1, RSSI=-90)
    home.hear(CUFF, ROLE=11)  # of no known strength
    assert {BUTTON, CUFF} <= home.pairing.window(home.hub).heard.keys()
    assert len(home.pairing.heard(home.hub)) == HEARD_MAX


async def test_a_clock_set_back_keeps_nothing_open(home: Home, monotonic: SimpleNamespace) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.has_table()
    await home.opened()
    window = home.pairing.window(home.hub)
    home.clock.now_ms -= 86_400_000
    monotonic.now += 119
    await home.pairing._round()
    assert window.state == "open"
    monotonic.now += 1
    await home.pairing._round()
    assert (window.state, window.why) == ("closed", "expired")
    proof = await home.pairing.prove(home.hub, index, 60)
    home.confirm()
    home.clock.now_ms -= 86_400_000
    monotonic.now += 60
    await home.pairing._round()
    assert proof.state == "failed"
    assert "nothing came" in proof.why


async def test_a_clock_set_forward_ends_it_at_once_and_the_hub_is_not_asked_again(home: Home) -> None:
    window = await home.pairing.open(home.hub)
    home.clock.now_ms += 86_400_000
    await home.pairing._round()
    assert window.state == "closed"
    assert home.down.quiet[-1] == home.down.said[-1].number
    home.confirm()  # too late: the window stays over
    assert window.state == "closed"


async def test_what_is_over_is_forgotten(home: Home, monotonic: SimpleNamespace) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.opened()
    home.hear(OTHER, ROLE=1)
    await home.pairing.prove(home.hub, index)
    await home.pairing.close(home.hub)
    monotonic.now += KEPT_S - 1
    await home.pairing._round()
    assert home.pairing.window(home.hub).heard  # people still answer questions
    assert home.pairing.proof(home.hub).state == "failed"
    monotonic.now += 1
    await home.pairing._round()
    for look in (home.pairing.window, home.pairing.heard, home.pairing.proof):
        with pytest.raises(PairingError):
            look(home.hub)


async def test_what_the_hub_said_of_an_earlier_window_does_not_end_this_one(home: Home) -> None:
    """Events that were lost and are sent again come late."""
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.has_table()
    home.seq = 50
    await home.opened()
    home.say(k.PAIRING_CLOSED, {k.DETAIL: 4}, seq=20)
    home.say(k.BOOT, seq=1)
    assert home.pairing.window(home.hub).state == "open"
    proof = await home.pairing.prove(home.hub, index)
    home.confirm()
    home.say(k.PAIRING_CLOSED, {k.DETAIL: 4}, seq=21)
    home.say(k.BOOT, seq=1)
    assert proof.state == "ready"
    home.say(k.BOOT, boot=2, seq=1)
    assert "restarted" in proof.why


async def test_an_answer_to_an_earlier_order_says_nothing_of_this_one(home: Home) -> None:
    window = await home.pairing.open(home.hub)
    first = home.down.said[-1].number
    window = await home.pairing.open(home.hub)
    home.say(k.COMMAND_REFUSED, {k.COMMAND: first, k.DETAIL: 5})
    home.say(k.COMMAND_DONE, {k.COMMAND: first})
    assert window.state == "asked"
    home.confirm()
    assert window.state == "open"


async def test_two_installers_at_one_hub_see_the_same_and_learn_what_the_other_does(home: Home) -> None:
    ask = handler(home.pairing)
    await home.opened()
    home.hear(BUTTON, ROLE=1)
    await ask({"do": "pair.open", "hub": home.hub, "seconds": 60})
    home.confirm()
    home.hear(CUFF, ROLE=11)
    seen = await ask({"do": "pair.heard", "hub": home.hub})
    assert {one["address"] for one in seen["heard"]} == {MAC, "A4:C1:38:00:00:03"}
    made = await ask({"do": "pair.pair", "hub": home.hub, "address": MAC})
    with pytest.raises(PairingError, match=f"is sensor {made['index']} of this hub already"):
        await ask({"do": "pair.pair", "hub": home.hub, "address": MAC})
    await home.has_table()
    await ask({"do": "pair.prove", "hub": home.hub, "index": made["index"], "seconds": 60})
    seen = await ask({"do": "pair.heard", "hub": home.hub})
    assert (seen["state"], seen["why"]) == ("closed", "proving")
    await ask({"do": "pair.open", "hub": home.hub, "seconds": 60})
    proof = await ask({"do": "pair.proof", "hub": home.hub})
    assert (proof["state"], proof["why"]) == ("failed", "another window was opened")


async def test_a_hub_that_is_revoked_meanwhile_gets_nothing_more(home: Home) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.opened()
    home.hear(CUFF, ROLE=11)
    other = Registry.open(home.registry.path.parent)
    other.revoke_hub(home.hub)
    other.close()
    home.registry.refresh()
    with pytest.raises(RegistryError, match="revoked"):
        home.pairing.pair(home.hub, "A4:C1:38:00:00:03")
    for ask in (home.pairing.open(home.hub), home.pairing.prove(home.hub, index)):
        with pytest.raises(PairingError, match="revoked"):
            await ask
    await home.pairing.close(home.hub)
    await home.pairing._round()


async def test_the_sensors_of_a_revoked_hub_are_free(home: Home) -> None:
    home.registry.add_sensor(home.far, "call", MAC)
    await home.opened()
    home.hear(BUTTON, ROLE=1)
    with pytest.raises(PairingError, match="another home"):
        home.pairing.pair(home.hub, MAC)
    home.registry.revoke_hub(home.far)
    assert home.pairing.whose(home.hub, BUTTON) == ""
    assert home.pairing.pair(home.hub, MAC).mac == MAC


@pytest.mark.parametrize("meanwhile", ["unpaired", "replaced"])
async def test_another_process_takes_the_sensor_away_while_it_is_proven(home: Home, meanwhile: str) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.has_table()
    proof = await home.pairing.prove(home.hub, index)
    home.confirm()
    assert proof.state == "ready"
    other = Registry.open(home.registry.path.parent)
    if meanwhile == "unpaired":
        other.remove_sensor(home.hub, index)
    else:
        other.replace_sensor(home.hub, index, "A4:C1:38:00:00:02")
    other.close()
    home.registry.refresh()
    await home.pairing._round()
    assert (proof.state, proof.why) == ("failed", "the sensor was unpaired")
    assert home.down.quiet[-1] == home.down.said[-1].number


async def test_a_hub_that_is_erased_while_it_is_proven_stops_no_other(home: Home) -> None:
    index = home.registry.add_sensor(home.far, "call", "A4:C1:38:00:00:02")
    lost = await home.pairing.prove(home.far, index)
    index = home.registry.add_sensor(home.hub, "call", MAC)
    proof = await home.pairing.prove(home.hub, index)
    home.registry.forget_home(home.registry.hub(home.far).home, True)
    home.pairing.table_reported(home.far, 9)
    await home.has_table()
    assert lost.state == "failed"
    assert proof.state == "asked"
    home.pairing.forget(home.far)
    assert home.far not in home.pairing._proofs


async def test_a_registry_that_cannot_be_written_still_lets_windows_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.registry.add_sensor(home.hub, "call", MAC)
    await home.opened()

    def full(versions: dict[str, int]) -> None:
        raise RegistryError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(home.registry, "tables_confirmed", full)
        home.pairing.table_reported(home.hub, 1)
        home.clock.now_ms += 120_000
        await home.pairing._round()
    assert home.pairing.window(home.hub).why == "expired"
    home.pairing._keep_due = 0.0
    await home.pairing._round()
    assert [one.state for one in home.registry.sensors(home.hub)] == ["paired"]  # what was reported is kept


async def test_a_journal_that_cannot_be_written_opens_nothing_and_fails_the_proof(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.has_table()

    async def full(hub: str) -> int:
        raise KanhuError("the disk is full")

    monkeypatch.setattr(home.pairing._voice._commands, "number", full)
    with pytest.raises(KanhuError, match="full"):
        await home.pairing.open(home.hub)
    with pytest.raises(PairingError, match="no pairing window"):
        home.pairing.window(home.hub)
    proof = await home.pairing.prove(home.hub, index)
    assert (proof.state, proof.why, proof.over.is_set()) == ("failed", "the disk is full", True)


async def test_a_daemon_that_restarts_forgets_the_window_and_keeps_a_press(home: Home) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    await home.has_table()
    await home.opened()
    home.hear(OTHER, ROLE=1)
    await home.pairing.prove(home.hub, index)
    home.confirm()
    home.restart()
    for look in (home.pairing.window, home.pairing.proof):
        with pytest.raises(PairingError):
            look(home.hub)
    with pytest.raises(PairingError, match="no pairing window"):
        home.pairing.pair(home.hub, "A4:C1:38:00:00:02")
    home.hear(OTHER, ROLE=1)
    home.say(k.PAIRING_CLOSED, {k.DETAIL: 5})
    home.pairing.delivered([home.say(k.TEST_PRESS, {k.DEVICE: index, k.FLAGS: k.TEST})])
    assert home.registry.sensor(home.hub, index).state == "proven"


async def test_names_from_the_air_are_one_line_that_shows_what_it_is(home: Home) -> None:
    await home.opened()
    for name, shown in (
        ("a\nb\x1b[2Jc\x00", "ab[2Jc"),
        ("\u202egnp.exe\u200b", "gnp.exe"),
        ("  [red]x[/] ", "[red]x[/]"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
        ("\u2028\u2029", ""),
    ):
        home.hear(BUTTON, ROLE=1, NAME=name)
        if shown:
            assert home.pairing.window(home.hub).heard[BUTTON].name == shown
    assert home.pairing.pair(home.hub, MAC).name == "<b>&amp;</b>"


async def test_addresses_and_roles_that_are_none_are_not_offered(home: Home) -> None:
    await home.opened()
    for address in (b"", b"\x01", bytes(7), None, 5):
        home.hear(address, ROLE=1)  # type: ignore[arg-type]
    assert not home.pairing.heard(home.hub)
    home.hear(BUTTON, ROLE=200)
    assert home.pairing.heard(home.hub)[0].role is None
    home.hear(bytes(6), ROLE=1)
    with pytest.raises(RegistryError, match="no sensor has this address"):
        home.pairing.pair(home.hub, "00:00:00:00:00:00")
    assert home.registry.sensors(home.hub) == []


def test_any_bytes_are_opened_or_not_and_never_raise() -> None:
    numbers = random.Random(7)
    for _ in range(2000):
        service = numbers.randbytes(numbers.randint(1, 31))
        assert opens(KEY, BUTTON, service) is False
    assert opens(KEY, BUTTON, encrypted(KEY, BUTTON))


async def test_a_request_that_makes_no_sense_changes_nothing(home: Home) -> None:
    ask = handler(home.pairing)
    await home.opened()
    home.hear(BUTTON, ROLE=1)
    for request in (
        {"do": "pair.pair", "hub": home.hub, "address": "x"},
        {"do": "pair.pair", "hub": home.hub, "address": MAC, "bind_key": "x"},
        {"do": "pair.pair", "hub": home.hub, "address": MAC, "role": "<script>"},
        {"do": "pair.pair", "hub": home.hub, "address": MAC, "name": "a\nb"},
        {"do": "pair.replace", "hub": home.hub, "address": MAC, "index": 9},
        {"do": "pair.prove", "hub": home.hub, "index": 0, "seconds": 60},
        {"do": "pair.prove", "hub": home.hub, "index": 3, "seconds": 10_000},
        {"do": "pair.open", "hub": home.hub, "seconds": -1},
        {"do": "pair.nothing", "hub": home.hub},
        {"do": "pair.open", "hub": "'; DROP TABLE hubs", "seconds": 60},
    ):
        with pytest.raises(KanhuError):
            await ask(request)
    assert home.registry.sensors(home.hub) == []
    with sqlite3.connect(home.registry.path) as db:
        assert db.execute("SELECT count(*) FROM hubs").fetchone() == (3,)
