"""Pairing at the host, against a hub that says what the test lets it say."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from helpers_pairing import BUTTON, CUFF, KEY, MAC, OTHER, Home, encrypted
from kanhu.pairing import PairingError
from kanhu.registry import Registry, RegistryError
from kanhu_protocol import kinds as k

SUMMER_S, WINTER_S = 1_782_864_000, 1_798_761_600  # 2026-07-01 and 2027-01-01, UTC


async def test_a_button_from_window_to_proof(home: Home) -> None:
    window = await home.pairing.open(home.hub, 60)
    (command,) = home.down.said
    assert command.type == k.PAIR
    assert command.fields == {k.PAIR_MS: 60_000, k.TIME_MS: home.clock.now_ms + 60_000}
    assert window.state == "asked"
    home.confirm()
    assert window.state == "open"
    home.hear(CUFF, ROLE=11, NAME="UA\x07-651", RSSI=-80)
    home.hear(BUTTON, ROLE=1, RSSI=-50, BATTERY=90)
    assert [(one.mac, one.name, one.role) for one in home.pairing.heard(home.hub)] == [
        (MAC, "", 1), ("A4:C1:38:00:00:03", "UA-651", 11),
    ]  # fmt: skip
    sensor = home.pairing.pair(home.hub, MAC, name="pendant", room="bedroom")
    assert (sensor.role, sensor.state, sensor.name, sensor.room) == (1, "asked", "pendant", "bedroom")

    proof = await home.pairing.prove(home.hub, sensor.index)
    assert proof.state == "waiting"
    await home.has_table()
    assert home.registry.sensor(home.hub, sensor.index).state == "paired"
    assert proof.state == "asked"
    assert home.down.said[-1].fields == {
        k.PAIR_MS: 120_000, k.TIME_MS: home.clock.now_ms + 120_000, k.PROVE: sensor.index,
    }  # fmt: skip
    home.say(k.TEST_PRESS, {k.DEVICE: sensor.index + 1, k.FLAGS: k.TEST})  # another one
    home.confirm()
    assert proof.state == "ready"
    home.say(k.TEST_PRESS, {k.DEVICE: sensor.index, k.FLAGS: k.TEST | k.UNVERIFIED})  # doubted
    assert proof.state == "ready"
    press = home.say(k.TEST_PRESS, {k.DEVICE: sensor.index, k.FLAGS: k.TEST})
    assert proof.state == "stored"
    assert home.registry.sensor(home.hub, sensor.index).state == "paired"
    home.clock.now_ms += 300
    home.pairing.delivered([press])
    assert (proof.state, proof.over.is_set()) == ("delivered", True)
    assert proof.delivered_ms == home.clock.now_ms
    assert home.registry.sensor(home.hub, sensor.index).proven_ms == home.clock.now_ms
    with Registry.open(home.registry.path.parent, "read")._db as db:
        assert db.execute("SELECT proven_ms FROM sensors").fetchone() == (home.clock.now_ms,)


async def test_what_cannot_be_paired_says_why(home: Home) -> None:
    pairing, hub = home.pairing, home.hub
    home.registry.add_sensor(home.far, "call", "A4:C1:38:00:00:02")
    own = home.registry.add_sensor(hub, "call", "A4:C1:38:00:00:09")
    with pytest.raises(PairingError, match="no pairing window is open"):
        pairing.pair(hub, MAC)
    await home.opened()
    with pytest.raises(PairingError, match="has not heard it"):
        pairing.pair(hub, MAC)
    home.hear(BUTTON, ADVERTISED=encrypted(KEY, BUTTON))
    home.hear(OTHER, ROLE=1)
    home.hear(CUFF)
    home.hear(bytes.fromhex("a4c138000009"), ROLE=1, DEVICE=own)
    for address, words, match in (
        (MAC, {"role": "call"}, "encrypts"),
        (MAC, {"role": "call", "bind_key": bytes(16)}, "does not open"),
        (MAC, {"bind_key": KEY}, "choose its role"),
        (MAC, {"bind_key": KEY, "role": "toaster"}, "must be one of"),
        ("A4:C1:38:00:00:02", {}, "another home"),
        ("A4:C1:38:00:00:03", {}, "choose its role"),
        ("A4:C1:38:00:00:03", {"role": "call", "bind_key": KEY}, "does not encrypt"),
        ("A4:C1:38:00:00:09", {}, f"is sensor {own} of this hub"),
        ("nonsense", {}, "six bytes"),
    ):
        with pytest.raises((PairingError, RegistryError), match=match):
            pairing.pair(hub, address, **words)  # type: ignore[arg-type]
    assert [one.index for one in home.registry.sensors(hub)] == [own]
    assert {one.mac[-2:]: pairing.whose(hub, one.address) for one in pairing.heard(hub)} == {
        "01": "", "02": "elsewhere", "03": "", "09": "here",
    }  # fmt: skip
    home.hear(BUTTON, ADVERTISED=encrypted(KEY, BUTTON, mac_included=True))
    made = pairing.pair(hub, MAC, role="call", bind_key=KEY)
    assert made.encrypted
    assert KEY in home.registry.device_table(hub)[1][-1]


@pytest.mark.parametrize(("detail", "why"), [(4, "clock"), (5, "alarm"), (6, "call button"), (1, "firmware")])
async def test_a_refusal_closes_the_window_and_says_why(home: Home, detail: int, why: str) -> None:
    window = await home.pairing.open(home.hub)
    home.say(k.COMMAND_REFUSED, {k.COMMAND: home.down.said[-1].number, k.DETAIL: detail})
    assert window.state == "closed"
    assert why in window.why


async def test_a_window_ends_by_time_by_an_alarm_and_by_a_restart(home: Home) -> None:
    await home.opened()
    window = home.pairing.window(home.hub)
    home.clock.now_ms += 120_000
    await home.pairing._round()
    assert (window.state, window.why) == ("closed", "expired")
    assert home.down.quiet[-1] == home.down.said[-1].number  # nothing of it is said again
    home.hear(BUTTON, ROLE=1)
    assert not window.heard

    await home.opened()
    home.say(k.PAIRING_CLOSED, {k.DETAIL: 4})
    assert home.pairing.window(home.hub).why == "alarm"

    await home.opened()
    home.say(k.BOOT)
    assert home.pairing.window(home.hub).why == "restarted"
    for task in list(home.pairing._tasks):
        await task
    (said,) = [event for event in home.journal.undelivered() if event.kind == k.PAIRING_CLOSED]
    assert said.fields == said.fields | {k.SUBJECT: home.hub, k.DETAIL: 3}

    await home.pairing.open(home.hub)
    late = home.pairing.window(home.hub)
    home.clock.now_ms += 120_000
    await home.pairing._round()
    assert "did not answer" in late.why
    with pytest.raises(PairingError, match="1 to 600 s"):
        await home.pairing.open(home.hub, 601)
    home.registry.revoke_hub(home.hub)
    with pytest.raises(PairingError, match="revoked"):
        await home.pairing.open(home.hub)
    with pytest.raises(RegistryError, match="not known"):
        await home.pairing.open("7m3k0xq2fz")


@pytest.mark.parametrize("what", ["time", "alarm", "restart", "unpaired", "refused", "platform"])
async def test_a_proof_that_fails_says_why(home: Home, what: str) -> None:
    index = home.registry.add_sensor(home.hub, "call", MAC)
    proof = await home.pairing.prove(home.hub, index, 60)
    if what == "unpaired":
        home.registry.remove_sensor(home.hub, index)
        await home.pairing._round()
    elif what == "refused":
        await home.has_table()
        home.say(k.COMMAND_REFUSED, {k.COMMAND: home.down.said[-1].number, k.DETAIL: 5})
    else:
        await home.has_table()
        home.confirm()
        if what == "alarm":
            home.say(k.PAIRING_CLOSED, {k.DETAIL: 4})
        elif what == "restart":
            home.say(k.BOOT)
        else:
            if what == "platform":
                home.say(k.TEST_PRESS, {k.DEVICE: index, k.FLAGS: k.TEST})
            home.clock.now_ms += 121_000
            await home.pairing._round()
    expected = {
        "time": "nothing came", "alarm": "that is a call", "restart": "restarted", "unpaired": "unpaired",
        "refused": "alarm stands", "platform": "platform has not",
    }  # fmt: skip
    assert proof.state == "failed"
    assert expected[what] in proof.why
    assert (
        home.registry.sensors(home.hub)[:1] == [] or home.registry.sensor(home.hub, index).proven_ms is None
    )


async def test_movement_proves_itself_and_smoke_by_being_heard(home: Home) -> None:
    motion = home.registry.add_sensor(home.hub, "motion", MAC)
    smoke = home.registry.add_sensor(home.hub, "smoke", "A4:C1:38:00:00:02")
    await home.has_table()
    proof = await home.pairing.prove(home.hub, motion)
    assert proof.state == "ready"
    assert not home.down.said  # the hub need not know
    old = {k.DEVICE: motion, k.UTC_MS: home.clock.now_ms - 60_000}
    home.say(k.MOTION, old)
    assert proof.state == "ready"
    home.pairing.delivered([home.say(k.MOTION, {k.DEVICE: motion})])
    assert proof.state == "delivered"
    proof = await home.pairing.prove(home.hub, smoke)
    assert k.PROVE not in home.down.said[-1].fields
    home.confirm()
    home.pairing.delivered([home.say(k.SENSOR_HEARD, {k.DEVICE: smoke, k.ADDRESS: OTHER, k.FLAGS: 4})])
    assert proof.state == "delivered"


async def test_a_wired_button_and_pir_of_the_hub_are_proven(home: Home) -> None:
    home.registry.set_settings(home.hub, {"buttons": [[1, 4, None], [7, 5, None]], "pirs": [[2, 13]]})
    wired = home.registry.wired_inputs(home.hub)
    assert [(one.index, one.role, one.address, one.state) for one in wired] == [
        (1, 1, b"", "paired"), (2, 2, b"", "paired"), (7, 1, b"", "paired"),
    ]  # fmt: skip
    version = home.registry.device_table(home.hub)
    proof = await home.pairing.prove(home.hub, 7)
    assert proof.state == "asked"
    assert home.down.said[-1].fields[k.PROVE] == 7
    home.confirm()
    home.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})
    assert proof.state == "ready"
    press = home.say(k.TEST_PRESS, {k.DEVICE: 7, k.FLAGS: k.TEST})
    assert proof.state == "stored"
    assert home.pairing.proven_ms(home.hub, 7) is None
    home.clock.now_ms += 300
    home.pairing.delivered([press])
    assert proof.state == "delivered"
    assert home.pairing.proven_ms(home.hub, 7) == home.clock.now_ms
    assert home.pairing.proven_ms(home.hub, 1) is None

    said = len(home.down.said)
    proof = await home.pairing.prove(home.hub, 2)
    assert (proof.state, len(home.down.said)) == ("ready", said)  # movement is no alarm
    home.pairing.delivered([home.say(k.MOTION, {k.DEVICE: 2})])
    assert (proof.state, home.pairing.proven_ms(home.hub, 2)) == ("delivered", home.clock.now_ms)

    home.clock.now_ms += 5000  # one that was asked for before this daemon was started
    home.pairing._proofs.forget(home.hub)
    home.pairing.delivered([home.say(k.TEST_PRESS, {k.DEVICE: 1, k.FLAGS: k.TEST})])
    assert home.pairing.proven_ms(home.hub, 1) == home.clock.now_ms
    home.pairing.delivered([home.say(k.TEST_PRESS, {k.DEVICE: 99, k.FLAGS: k.TEST})])  # of nobody
    for index in (0, 99):
        with pytest.raises(RegistryError, match="no such sensor or wired input"):
            home.pairing.proven_ms(home.hub, index)
        with pytest.raises(RegistryError, match="no such sensor or wired input"):
            await home.pairing.prove(home.hub, index)

    # Another pin is another input; a BLE sensor's proof is its own.
    home.registry.set_settings(home.hub, {"buttons": [[1, 4, None], [7, 6, None]], "pirs": [[2, 13]]})
    assert home.pairing.proven_ms(home.hub, 7) is None
    assert home.pairing.proven_ms(home.hub, 1) == home.clock.now_ms
    assert home.registry.device_table(home.hub) == version
    again = Registry.open(home.registry.path.parent, "read")
    assert {one.index for one in again.wired_inputs(home.hub) if one.proven_ms} == {1, 2}
    again.close()
    home.registry.forget_home(home.home, discard=True)
    assert home.registry._db.execute("SELECT count(*) FROM wired_proofs").fetchone() == (0,)


async def test_a_wired_button_that_is_pressed_already_is_refused(home: Home) -> None:
    home.registry.set_settings(home.hub, {"buttons": [[1, 4, None]]})
    proof = await home.pairing.prove(home.hub, 1)
    home.say(k.COMMAND_REFUSED, {k.COMMAND: home.down.said[-1].number, k.DETAIL: 7})
    assert proof.state == "failed"
    assert "pressed already" in proof.why
    assert home.pairing.proven_ms(home.hub, 1) is None


async def test_the_new_sensor_takes_the_olds_place(home: Home) -> None:
    old = home.registry.add_sensor(
        home.hub, "call", MAC, "pendant", "bedroom", 3600, bind_key=KEY, wearer="Li"
    )
    third = home.registry.add_sensor(home.hub, "motion", "A4:C1:38:00:00:03")
    await home.has_table()
    await home.opened()
    home.hear(OTHER, ROLE=1)
    home.hear(CUFF, ROLE=2)
    with pytest.raises(RegistryError, match="role"):
        home.pairing.replace(home.hub, old, "A4:C1:38:00:00:03")
    before, _ = home.registry.device_table(home.hub)
    made = home.pairing.replace(home.hub, old, "A4:C1:38:00:00:02")
    assert (made.index, made.name, made.room, made.wearer, made.supervision_s) == (
        old,
        "pendant",
        "bedroom",
        "Li",
        3600,
    )
    assert (made.state, made.encrypted) == ("asked", False)
    version, table = home.registry.device_table(home.hub)
    assert version == before + 1
    assert [row[:3] for row in table] == [[old, 1, OTHER], [third, 2, CUFF]]
    with sqlite3.connect(home.registry.path) as db:
        rows = db.execute("SELECT address, bind_key FROM sensors WHERE removed_ms IS NOT NULL").fetchall()
    assert rows == [(BUTTON, None)]  # its past stays, its key does not
    await home.has_table()
    assert home.registry.sensor(home.hub, old).state == "paired"
    assert home.pairing.rename(home.hub, old, room="hall").room == "hall"
    assert home.registry.device_table(home.hub)[0] == version  # of no concern to the hub
    home.pairing.unpair(home.hub, old)
    assert [one.index for one in home.registry.sensors(home.hub)] == [third]


async def test_a_killed_daemon_leaves_the_old_or_the_new_table(home: Home) -> None:
    """A cut before every statement of each change, and before its commit."""
    data = home.registry.path.parent
    index = home.registry.add_sensor(home.hub, "call", MAC, "pendant")

    class Killed(BaseException):
        pass

    changes = {
        "pair": lambda registry: registry.add_sensor(home.hub, "motion", "A4:C1:38:00:00:03"),
        "replace": lambda registry: registry.replace_sensor(home.hub, index, "A4:C1:38:00:00:02"),
        "key": lambda registry: registry.set_bind_key(home.hub, index, KEY),
        "unpair": lambda registry: registry.remove_sensor(home.hub, index),
    }
    for name, change in changes.items():
        cuts = 0
        while True:
            registry = Registry.open(data)
            before = registry.device_table(home.hub)
            left = cuts

            def count(statement: str) -> None:
                nonlocal left
                left -= 1
                if left < 0 and not statement.startswith("ROLLBACK"):
                    raise Killed

            real, registry._db = registry._db, Cutting(registry._db, count)  # type: ignore[assignment]
            try:
                change(registry)
                done = True
            except Killed:
                done = False
            real.close()  # as the kill leaves it
            registry = Registry.open(data)
            after = registry.device_table(home.hub)
            registry.close()
            assert after[0] == before[0] + (after[1] != before[1]), name
            if done:
                assert after[1] != before[1]
                break
            assert after == before, name
            cuts += 1
        assert cuts >= 3, name


class Cutting:
    """A connection that is cut before one of the statements of a change."""

    def __init__(self, db: sqlite3.Connection, count: Any) -> None:
        self._real, self._count, self._changing = db, count, False

    def execute(self, statement: str, *rest: Any) -> Any:
        if statement == "BEGIN IMMEDIATE":
            self._changing = True
        if self._changing:
            self._count(statement)
        done = self._real.execute(statement, *rest)
        if statement == "COMMIT":
            self._changing = False
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


async def test_local_time_goes_with_the_table_and_moves_it(home: Home) -> None:
    cuff = home.registry.add_sensor(home.hub, "blood_pressure", MAC)
    home.registry.add_sensor(home.second, "call", "A4:C1:38:00:00:02")
    assert home.registry.keep_zones(SUMMER_S) in ([], [home.hub])
    assert home.registry.zone_s(home.hub) == 7200
    version, table = home.registry.device_table(home.hub)
    assert home.registry.keep_zones(SUMMER_S) == []
    assert home.registry.keep_zones(WINTER_S) == [home.hub]  # the other hub has no clock to set
    assert home.registry.zone_s(home.hub) == 3600
    assert home.registry.device_table(home.hub) == (version + 1, table)
    assert home.registry.sensor(home.hub, cuff).role == 11
    assert home.registry.zone_s(home.far) is None


async def test_thousands_of_reports_are_one_change(home: Home) -> None:
    home.registry.add_sensor(home.hub, "call", MAC)
    home.registry.add_sensor(home.second, "call", "A4:C1:38:00:00:02")
    changes = home.registry.changes
    version = home.registry.version
    for hub in (home.hub, home.second, home.far):
        home.pairing.table_reported(hub, 9)
    await home.pairing._round()
    assert all(home.registry.sensors(hub)[0].state == "paired" for hub in (home.hub, home.second))
    assert home.registry.version == version  # nobody has to look at everything anew
    home.registry._load()
    assert home.registry.changes == changes + 1
    assert all(home.registry.sensors(hub)[0].state == "paired" for hub in (home.hub, home.second))
