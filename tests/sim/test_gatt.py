"""A hub connects to a Bumble peripheral: discover, read, write, notify, indicate, disconnect."""

from __future__ import annotations

import time

from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from kanhu.sim import Bench

HUB = "k3v9m2x7qa"
MONITOR = "F0:F1:F2:F3:F4:01"
CENTRAL = """
import asyncio, bluetooth
ble = bluetooth.BLE()
flag = asyncio.ThreadSafeFlag()
got = []
def irq(event, data):
    got.append((event, tuple(bytes(x) if isinstance(x, memoryview) else x for x in data)))
    flag.set()
ble.irq(irq)
ble.active(True)
async def until(event):
    while True:
        for i, (kind, data) in enumerate(got):
            if kind == event:
                return got.pop(i)[1]
        await flag.wait()
def all_of(event):
    found = [data for kind, data in got if kind == event]
    got[:] = [one for one in got if one[0] != event]
    return found
async def main():
    ble.gap_scan(0, 30000, 30000)
    adv = await until(5)
    print("adv", adv[0], adv[1], adv[2], adv[3])
    ble.gap_connect(adv[0], adv[1])
    await until(6)
    print("scan over")
    conn = (await until(7))[0]
    ble.gattc_discover_services(conn)
    await until(10)
    services = all_of(9)
    print("services", [str(s[3]) for s in services])
    start, end = [s[1:3] for s in services if s[3] == bluetooth.UUID(0x1809)][0]
    ble.gattc_discover_characteristics(conn, start, end)
    await until(12)
    (_, end, value, properties, uuid), = all_of(11)
    print("characteristic", uuid, properties & bluetooth.FLAG_INDICATE)
    ble.gattc_discover_descriptors(conn, value, end)
    await until(14)
    cccd = [d[1] for d in all_of(13) if d[2] == bluetooth.UUID(0x2902)][0]
    ble.gattc_read(conn, value)
    print("read", (await until(15))[2], (await until(16))[2])
    ble.gattc_write(conn, cccd, b"\\x02\\x00", 1)
    print("written", (await until(17))[2])
    print("indicated", (await until(19))[2])
    print("disconnect", ble.gap_disconnect(conn), ble.gap_disconnect(99))
    print("gone", (await until(8))[0] == conn)
    try:
        ble.gattc_read(conn, value)
    except OSError as error:
        print("then", error.errno)
    ble.gap_connect(1, b"\\xf0\\xff\\xff\\xff\\xff\\xff", 300)
    print("nobody", (await until(8))[0])
    print("end")
asyncio.run(main())
"""


def test_a_thermometer_is_found_read_and_heard(bench: Bench, firmware) -> None:
    value = Characteristic(
        "2A1C",
        Characteristic.Properties.INDICATE | Characteristic.Properties.READ,
        Characteristic.READABLE,
        b"\x00\x6d\x01\x00\xff",
    )
    device = bench.add_peripheral(
        "thermometer",
        MONITOR,
        lambda device: device.add_service(Service(UUID("1809"), [value])),
        advertising=b"\x02\x01\x06\x03\x03\x09\x18",
        rssi=-71,
    )
    hub = bench.add_hub(HUB, files=firmware(CENTRAL))
    hub.wait_log("written 0")
    time.sleep(0.2)
    bench.run(device.indicate_subscribers(value, b"\x00\x6e\x01\x00\xff"))
    log = hub.wait_log("end")
    assert "adv 1 b'\\xf0\\xf1\\xf2\\xf3\\xf4\\x01' 0 -71" in log
    assert "scan over" in log
    assert "UUID(0x1809)" in log
    assert "characteristic UUID(0x2a1c) 32" in log
    assert "read b'\\x00m\\x01\\x00\\xff' 0" in log
    assert "indicated b'\\x00n\\x01\\x00\\xff'" in log
    assert "disconnect True False" in log
    assert "gone True" in log
    assert "then 107" in log
    assert "nobody 65535" in log


def test_a_power_cut_ends_the_connection(bench: Bench, firmware) -> None:
    device = bench.add_peripheral("monitor", MONITOR, lambda device: None, advertising=b"\x02\x01\x06")
    hub = bench.add_hub(HUB, files=firmware(CENTRAL))
    hub.wait_log("services")
    assert len(device.connections) == 1
    bench.cut_power()
    end = time.monotonic() + 5
    while device.connections and time.monotonic() < end:
        time.sleep(0.05)
    assert not device.connections
    mark = hub.log_position()
    bench.power()
    hub.wait_log("services", after=mark)  # it advertises and is found again
