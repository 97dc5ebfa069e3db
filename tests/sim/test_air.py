"""BTHome sensors on the bench's air, as hubs hear them; bthome-ble is the oracle of what was advertised."""

from __future__ import annotations

import time

import pytest
from bthome_ble import BTHomeBluetoothDeviceData
from hypothesis import given
from hypothesis import strategies as st

from helpers_bthome import service_info
from kanhu.sim import Advert, Bench
from kanhu.sim.sensors import BUTTONS, KINDS, STATES, Sensor, encode, parse_address

HUB = "k3v9m2x7qa"
SCAN = """
import asyncio, bluetooth, time
ble = bluetooth.BLE()
kept = []
count = 0
def irq(event, data):
    global count
    if event == 5:
        count += 1
        addr_type, addr, adv_type, rssi, adv_data = data
        print("adv", addr_type, bytes(addr).hex(), adv_type, rssi, bytes(adv_data).hex())
        if not kept:
            kept.append(addr)
    elif event == 6:
        print("done", bytes(kept[0]).hex() if kept else "")
ble.irq(irq)
try:
    ble.gap_scan(0)
except OSError as error:
    print("inactive", error.errno)
ble.active(True)
ble.gap_scan({duration}, {interval}, {window})
print("scanning", ble.config("mac"))
async def main():
    while True:
        await asyncio.sleep(1)
asyncio.run(main())
"""


def heard(hub) -> list[str]:
    return [line for line in hub.log().splitlines() if line.startswith("adv")]


def test_one_press_is_heard_as_often_as_it_is_sent(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware(SCAN.format(duration=0, interval=30000, window=30000)))
    hub.wait_log("scanning")
    assert "inactive 19" in hub.log()
    walker = bench.add_sensor("walker", "button", "A4:C1:38:00:00:01", rssi=-67, battery=88, packet_id=41)
    bench.press("walker")
    time.sleep(2)
    lines = heard(hub)
    assert len(lines) == 6
    assert len(set(lines)) == 1
    assert lines[0] == "adv 0 a4c138000001 3 -67 0201060a16d2fc44002a01583a01"
    bench.press("walker")
    hub.wait_log("002b01583a01")
    assert [p.sensor for p in bench.presses] == ["walker", "walker"]
    assert walker.packet_id == 43


def test_every_hub_that_scans_hears_it(bench: Bench, firmware) -> None:
    files = firmware(SCAN.format(duration=0, interval=30000, window=30000))
    hubs = [bench.add_hub(name, files=files) for name in (HUB, "aaaaaaaaaa")]
    for hub in hubs:
        hub.wait_log("scanning")
    bench.add_sensor("kitchen", "smoke", "A4:C1:38:00:00:02", hub=HUB)
    bench.set_sensor("kitchen", True)
    for hub in hubs:
        hub.wait_log("2901")
    bench.cut_power(HUB)
    mark = hubs[0].log_position()
    bench.set_sensor("kitchen", False)
    hubs[1].wait_log("2900")
    assert hubs[0].log(mark) == ""


def test_a_narrow_window_misses_most(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware(SCAN.format(duration=0, interval=300000, window=30000)))
    hub.wait_log("scanning")
    for n in range(400):
        bench.advertise(Advert(bytes(6), -50, bytes([n & 255])))
    time.sleep(0.3)
    assert 12 <= len(heard(hub)) <= 80  # 40 expected, p < 1e-5 outside


def test_a_scan_ends_after_its_time_and_its_buffers_are_reused(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware(SCAN.format(duration=500, interval=30000, window=30000)))
    hub.wait_log("scanning")
    bench.advertise(Advert(b"\1\2\3\4\5\6", -50, b"x", adv_type=0, random_address=True))
    hub.wait_log("adv 1 010203040506 0 -50 78")
    hub.wait_log("done eeeeeeeeeeee")  # who keeps the view instead of copying has nothing
    bench.advertise(Advert(b"\7\2\3\4\5\6", -50, b"x"))
    time.sleep(0.1)
    assert len(heard(hub)) == 1


def test_a_scan_wider_than_its_interval_is_refused(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware(SCAN.format(duration=0, interval=30000, window=40000)))
    hub.wait_log("EINVAL")


def test_a_flood_is_heard_or_counted(bench: Bench, firmware) -> None:
    source = SCAN.format(duration=0, interval=30000, window=30000).replace(
        'print("adv"', '(lambda *a: None)("adv"'
    )
    hub = bench.add_hub(
        HUB, files=firmware(source.replace("asyncio.sleep(1)", "asyncio.sleep(1); print('heard', count)"))
    )
    hub.wait_log("scanning")
    for _n in range(1000):
        bench.advertise(Advert(bytes(6), -50, bytes(31)))
    deadline = time.monotonic() + 10
    while f"heard {1000 - hub.adverts_lost}" not in hub.log():
        assert time.monotonic() < deadline, (hub.adverts_lost, hub.log()[-500:])
        time.sleep(0.1)


def test_pir_over_the_air_starts_and_ends(bench: Bench, firmware) -> None:
    hub = bench.add_hub(HUB, files=firmware(SCAN.format(duration=0, interval=30000, window=30000)))
    hub.wait_log("scanning")
    bench.add_sensor("hall", "motion", "A4:C1:38:00:00:03", period=0.5)
    hub.wait_log("2100")  # supervision
    bench.motion("hall", seconds=0.4)
    hub.wait_log("2101")
    mark = hub.log_position()
    hub.wait_log("2100", after=mark)
    bench.set_battery("hall", 7)
    hub.wait_log("01072100")


@given(st.sampled_from([k for k in KINDS if k not in BUTTONS]), st.booleans(), st.integers(0, 100))
def test_an_independent_decoder_reads_the_same(kind: str, state: bool, battery: int) -> None:
    sensor = Sensor("x", kind, parse_address("A4:C1:38:00:00:01"), battery=battery, state=state)
    data = encode([(0, 1), (1, battery), *sensor._objects()])
    service = data[7:]
    decoder = BTHomeBluetoothDeviceData()
    update = decoder.update(service_info(service, "A4:C1:38:00:00:01"))
    values = {key.key: value.native_value for key, value in update.entity_values.items()}
    assert values["battery"] == battery if kind != "battery_low" else True
    if kind in STATES:
        assert state in {v.native_value for v in update.binary_entity_values.values()}


@pytest.mark.parametrize("text", ["A4:C1:38", "nonsense", "A4:C1:38:00:00:01:02"])
def test_a_bad_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"BLE address|hex"):
        parse_address(text)


def test_a_bad_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="choose one of"):
        Sensor("x", "toaster", bytes(6))
