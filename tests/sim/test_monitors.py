"""Each simulated monitor, driven by a Bumble central: services, values, manners."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bumble import att
from bumble.core import ProtocolError

from helpers_collector import Air, air, until
from kanhu.sim.monitors import values
from kanhu.sim.monitors.pulse_oximeter import FROM_STORAGE

pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'LegacyAdvertiser.start' was never awaited")
ERRORS = (att.ATT_Error, ProtocolError)
READING = {"systolic": 128, "diastolic": 81, "pulse": 66}
MEASUREMENTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "blood_pressure": ("1810", "2A35", READING),
    "thermometer": ("1809", "2A1C", {"temperature": 36.6}),
    "weight_scale": ("181D", "2A9D", {"weight": 61.5, "user": 2}),
    "pulse_oximeter": ("1822", "2A5E", {"spo2": 97, "pulse": 64}),
}


@pytest.mark.parametrize("kind", MEASUREMENTS)
async def test_a_measurement_is_said_once_paired_and_then_it_hangs_up(kind: str) -> None:
    service, value, fields = MEASUREMENTS[kind]
    async with air() as world:
        monitor = await world.monitor(kind, hang_up_s=0.1, battery=55)
        assert not world.adverts
        data = await monitor.measure(**fields)
        await until(lambda: world.adverts)
        assert bytes.fromhex(service)[::-1] in world.adverts[0].data
        hub = await world.collector()
        await hub.connect()
        assert value in hub.services[service]
        assert {"180F", "180A", "1805"} <= set(hub.services)
        assert await hub.read("2A19") == bytes((55,))
        assert await hub.read("2A24") == monitor.NAME.encode()
        with pytest.raises(ERRORS) as refused:
            await hub.subscribe(value)
        assert refused.value.error_code == att.ErrorCode.INSUFFICIENT_AUTHENTICATION
        await hub.pair()
        await hub.subscribe(value)
        await hub.gone()
        assert hub.got(value) == [data]
        assert [monitor.count(what) for what in ("bonded", "indicated", "confirmed", "asleep")] == [1] * 4
        assert not monitor.stored
        before = len(world.adverts)
        await asyncio.sleep(0.3)
        assert len(world.adverts) == before


async def test_it_says_who_made_it() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", maker="Beurer", model="BM85")
        await monitor.wake()
        await until(lambda: world.adverts)
        assert world.adverts[0].data.endswith(b"\x05\x09BM85")
        hub = await world.collector()
        await hub.connect()
        assert (await hub.read("2A29"), await hub.read("2A24")) == (b"Beurer", b"BM85")


async def _bonded(world: Air, kind: str = "blood_pressure", **manners: Any) -> tuple[Any, Any]:
    """A monitor and the collector it has a bond with, apart."""
    monitor = await world.monitor(kind, **manners)
    hub = await world.collector()
    await monitor.wake(pairing=True)
    await hub.connect()
    await hub.pair()
    await until(lambda: monitor.bonded)
    await hub.connection.disconnect()
    await until(lambda: monitor.count("asleep"))
    return monitor, hub


async def test_with_a_bond_no_new_pairing_is_needed_but_encryption_is() -> None:
    async with air() as world:
        monitor, hub = await _bonded(world)
        data = await monitor.measure(**READING, user=1)
        await hub.connect()
        with pytest.raises(ERRORS) as refused:
            await hub.subscribe("2A35")
        assert refused.value.error_code == att.ErrorCode.INSUFFICIENT_ENCRYPTION
        await hub.encrypt()
        await hub.subscribe("2A35")
        await hub.gone()
        assert hub.got("2A35") == [data]
        assert monitor.count("bonded") == 1


async def test_what_was_not_collected_is_kept_and_comes_oldest_first() -> None:
    async with air() as world:
        monitor = await world.monitor("thermometer", bonding=False, advertise_s=0.1, stores=3)
        taken = [await monitor.measure(temperature=36 + i / 10) for i in range(4)]
        await until(lambda: monitor.count("asleep"))
        assert monitor.count("overwritten") == 1
        monitor.manners.advertise_s = 10
        taken.append(await monitor.measure(temperature=38))
        hub = await world.collector()
        await hub.connect()
        await hub.subscribe("2A1C")
        await hub.gone()
        assert hub.got("2A1C") == taken[2:]


async def test_a_spot_check_of_before_is_from_storage() -> None:
    async with air() as world:
        monitor = await world.monitor("pulse_oximeter", bonding=False)
        await monitor.measure(spo2=95, pulse=60, status=0)
        await monitor.measure(spo2=96, pulse=61, status=0)
        hub = await world.collector()
        await hub.connect()
        await hub.subscribe("2A5E")
        await until(lambda: len(hub.got("2A5E")) == 2)
        assert [int.from_bytes(one[12:14], "little") for one in hub.got("2A5E")] == [FROM_STORAGE, 0]


async def test_the_clock_is_wrong_until_it_is_written() -> None:
    async with air() as world:
        monitor, hub = await _bonded(world, clock_offset_s=-86400 * 400)
        await monitor.measure(**READING)
        await hub.connect()
        await hub.encrypt()
        shown = values.read_date_time(await hub.read("2A2B"))
        now = datetime.now(UTC).replace(tzinfo=None)
        assert abs(now - shown - timedelta(days=400)) < timedelta(minutes=1)
        for wrong in (b"", bytes(9), bytes(10)):
            with pytest.raises(ERRORS):
                await hub.write("2A2B", wrong)
        await hub.write("2A2B", values.current_time(now))
        await hub.subscribe("2A35")
        await until(lambda: hub.got("2A35"))
        # What it measured before keeps the time it was measured at.
        assert now - values.read_date_time(hub.got("2A35")[0][7:]) > timedelta(days=399)
        assert abs(monitor.manners.clock_offset_s) < 60
        assert monitor.count("clock") == 1


async def test_a_clock_in_the_date_time_characteristic() -> None:
    async with air() as world:
        monitor = await world.monitor("weight_scale", bonding=False, clock="date_time", clock_set=False)
        data = await monitor.measure(weight=60)
        assert data[3:10] == bytes(7)
        hub = await world.collector()
        await hub.connect()
        assert "2A08" in hub.services["181D"]
        assert "1805" not in hub.services
        await hub.write("2A08", values.date_time(datetime.fromisoformat("2026-05-01T08:00:00")))
        assert (await monitor.measure(weight=60))[3:10].hex() == (await hub.read("2A08")).hex()


async def test_a_link_lost_in_mid_indication_keeps_the_measurement() -> None:
    async with air() as world:
        monitor, hub = await _bonded(world, drops=1)
        data = await monitor.measure(**READING)
        await hub.connect()
        await hub.encrypt()
        await hub.subscribe("2A35")
        await hub.gone()
        assert monitor.count("dropped") == 1
        assert not monitor.count("confirmed")
        assert list(monitor.stored) == [data]
        await hub.connect()  # it is on the air again by itself
        await hub.encrypt()
        await hub.subscribe("2A35")
        await until(lambda: monitor.count("confirmed"))
        assert set(hub.got("2A35")) == {data}


async def test_one_that_gives_only_so_long() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", awake_s=0.5)
        await monitor.measure(**READING)
        hub = await world.collector()
        await hub.connect()
        await hub.gone()
        assert monitor.count("asleep") == 1
        assert len(monitor.stored) == 1
        assert not world.link._advertises(hub.connection.peer_address)


async def test_it_hangs_up_on_silence() -> None:
    async with air() as world:
        monitor = await world.monitor("thermometer", linger_s=0.3)
        await monitor.wake()
        hub = await world.collector()
        await hub.connect()
        await hub.gone()
        assert [one.detail for one in monitor.log if one.what == "hung up"] == ["silent"]


async def test_a_hub_that_lost_its_bond_needs_the_pairing_key() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", pairs="once")
        await monitor.bond_elsewhere()
        await monitor.measure(**READING)
        hub = await world.collector()
        await hub.connect()
        with pytest.raises(ProtocolError):
            await hub.pair()
        assert monitor.count("refused") == 1
        await monitor.wake(pairing=True)
        await hub.connection.disconnect()
        await hub.connect()
        await hub.pair()
        await hub.subscribe("2A35")
        await until(lambda: monitor.count("confirmed"))


async def test_a_monitor_that_lost_its_bond_does_not_know_the_key() -> None:
    async with air() as world:
        monitor, hub = await _bonded(world)
        await monitor.forget()
        await monitor.measure(**READING)
        await hub.connect()
        with pytest.raises(Exception, match="KEY_MISSING"):
            await hub.encrypt()
        await hub.pair()
        await hub.subscribe("2A35")
        await until(lambda: monitor.count("confirmed"))


async def test_pairing_mode_lasts_until_it_is_paired() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", pairs="once")
        await monitor.bond_elsewhere()
        await monitor.wake(pairing=True)
        hub = await world.collector()
        await hub.connect()
        await hub.connection.disconnect()
        await hub.connect()
        await hub.pair()
        await until(lambda: monitor.count("bonded"))
        await hub.connection.disconnect()
        await until(lambda: monitor.count("asleep"))


async def test_one_host_only() -> None:
    async with air() as world:
        monitor, first = await _bonded(world, one_host=True)
        second = await world.collector("C0:00:00:00:00:0A")
        await monitor.wake(pairing=True)
        await second.connect()
        await second.pair()
        await until(lambda: monitor.count("bonded") == 2)
        await second.connection.disconnect()
        await monitor.wake()
        await first.connect()
        with pytest.raises(Exception, match="KEY_MISSING"):
            await first.encrypt()


async def test_it_asks_for_security_and_hangs_up_to_finish_pairing() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", asks_for_security=True, hangs_up_paired=True)
        await monitor.measure(**READING)
        hub = await world.collector()
        asked: list[int] = []

        def connected(connection: Any) -> None:
            connection.on(connection.EVENT_SECURITY_REQUEST, asked.append)

        hub.device.on("connection", connected)
        await hub.connect()
        await until(lambda: asked)
        await hub.pair()
        await hub.gone()
        await hub.connect()
        await hub.encrypt()
        await hub.subscribe("2A35")
        await until(lambda: monitor.count("confirmed"))


async def test_a_chatty_one_says_the_same_again_and_again() -> None:
    async with air() as world:
        monitor = await world.monitor("thermometer", bonding=False, chatty_s=0.05, linger_s=0.2)
        data = await monitor.measure(temperature=36.6)
        hub = await world.collector()
        await hub.connect()
        await hub.subscribe("2A1C")
        await until(lambda: len(hub.got("2A1C")) >= 5)
        assert set(hub.got("2A1C")) == {data}
        assert not monitor.count("hung up")


async def test_a_heart_rate_strap_speaks_while_it_is_worn() -> None:
    async with air() as world:
        monitor = await world.monitor("heart_rate", bonding=False)
        data = await monitor.measure(seconds=0.8, pulse=72, rr=(0.833,))
        hub = await world.collector()
        await hub.connect()
        assert await hub.read("2A38") == b"\x01"
        await hub.subscribe("2A37")
        await hub.gone()
        assert set(hub.got("2A37")) == {data}
        assert monitor.count("notified") == len(hub.got("2A37")) >= 1


async def test_a_finger_in_the_oximeter() -> None:
    async with air() as world:
        monitor = await world.monitor("pulse_oximeter", bonding=False)
        data = await monitor.watch(seconds=0.8, spo2=93, pulse=70, status=0x20)
        hub = await world.collector()
        await hub.connect()
        await hub.subscribe("2A5F")
        await hub.gone()
        assert set(hub.got("2A5F")) == {data}


async def _meter(world: Air, number: int, **manners: Any) -> tuple[Any, Any]:
    monitor = await world.monitor("glucose", bonding=False, **manners)
    for i in range(number):
        await monitor.measure(glucose=90 + i, meal=1 if i % 2 else None)
    hub = await world.collector()
    await hub.connect()
    return monitor, hub


async def test_a_glucose_meter_reports_its_records_on_request() -> None:
    async with air() as world:
        monitor, hub = await _meter(world, 5)
        with pytest.raises(ERRORS) as refused:
            await hub.write("2A52", b"\x01\x01")
        assert refused.value.error_code == 0xFD
        await hub.subscribe("2A18", "2A34", "2A52")

        async def ask(request: str) -> str:
            before = len(hub.got("2A52"))
            await hub.write("2A52", bytes.fromhex(request))
            await until(lambda: len(hub.got("2A52")) > before)
            return hub.got("2A52")[-1].hex()

        assert await ask("0401") == "05000500"
        assert await ask("0101") == "06000101"
        assert hub.got("2A18") == [record.data for record in monitor.records]
        assert [one[1:3] for one in hub.got("2A34")] == [b"\x01\x00", b"\x03\x00"]
        hub.heard.clear()
        assert await ask("0103010300") == "06000101"  # from number 3 on
        assert [one[1] for one in hub.got("2A18")] == [3, 4]
        assert await ask("0103010900") == "06000106"  # none
        assert await ask("0205") == "06000201"  # the first is deleted
        assert len(monitor.records) == 4
        assert await ask("0900") == "06000902"
        assert monitor.count("asked") == 6


async def test_a_glucose_meter_can_be_stopped() -> None:
    async with air() as world:
        _, hub = await _meter(world, 30)
        await hub.subscribe("2A18", "2A52")
        await hub.write("2A52", b"\x01\x01")
        await until(lambda: hub.got("2A18"))
        with pytest.raises(ERRORS) as refused:
            await hub.write("2A52", b"\x01\x01")
        assert refused.value.error_code == 0xFE
        await hub.write("2A52", b"\x03\x00")
        await until(lambda: hub.got("2A52"))
        assert hub.got("2A52") == [b"\x06\x00\x03\x01"]
        assert len(hub.got("2A18")) < 30


async def test_a_glucose_meter_that_drops_the_link_reports_all_again() -> None:
    async with air() as world:
        monitor, hub = await _meter(world, 4, drops=1)
        await hub.subscribe("2A18", "2A52")
        await hub.write("2A52", b"\x01\x01")
        await hub.gone()
        assert 0 < len(hub.got("2A18")) < 4
        await hub.connect()
        await hub.subscribe("2A18", "2A52")
        hub.heard.clear()
        await hub.write("2A52", b"\x01\x01")
        await hub.gone()
        assert hub.got("2A18") == [record.data for record in monitor.records]


async def test_pairing_never_races() -> None:
    async with air() as world:
        monitor = await world.monitor("blood_pressure", linger_s=10)
        hub = await world.collector()
        for i in range(5):
            await monitor.wake()
            await hub.connect()
            await hub.pair()
            await until(lambda i=i: monitor.count("bonded") == i + 1)
            await hub.connection.disconnect()
            await until(lambda i=i: monitor.count("asleep") == i + 1)
