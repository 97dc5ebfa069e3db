"""Pairing and bonding as MicroPython's bluetooth has them: the hub keeps its secrets itself."""

from __future__ import annotations

import pytest
from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from kanhu.sim import Bench

HUB = "k3v9m2x7qa"
MONITOR = "F0:F1:F2:F3:F4:01"
PAIRER = """
import asyncio, bluetooth, json, binascii
ble = bluetooth.BLE()
flag = asyncio.ThreadSafeFlag()
got = []
try:
    kept = json.load(open("/kept"))
except OSError:
    kept = {}
def irq(event, data):
    if event == 29:
        kind, index, key = data
        if key is None:
            found = sorted(one for one in kept if one.startswith("%d:" % kind))
            return binascii.unhexlify(kept[found[index]]) if index < len(found) else None
        name = "%d:%s" % (kind, binascii.hexlify(key).decode())
        got.append(("asked", name))
        return binascii.unhexlify(kept[name]) if name in kept else None
    if event == 30:
        kind, key, value = data
        kept["%d:%s" % (kind, binascii.hexlify(key).decode())] = binascii.hexlify(value).decode()
        got.append(("kept", kind))
        flag.set()
        return True
    got.append((event, tuple(bytes(x) if isinstance(x, memoryview) else x for x in data)))
    flag.set()
ble.irq(irq)
ble.config(bond=BOND)
ble.active(True)
async def until(event):
    while True:
        for i, (kind, data) in enumerate(got):
            if kind == event:
                return got.pop(i)[1]
        await flag.wait()
async def main():
    while True:
        ble.gap_scan(0, 30000, 30000)
        adv = await until(5)
        ble.gap_connect(adv[0], adv[1])
        try:
            ble.gap_scan(0, 30000, 30000)
        except OSError as error:
            print("scan", error.errno)
        conn = (await until(7))[0]
        print("connected")
        for _ in range(2):
            ble.gattc_read(conn, HANDLE)
            status = (await until(16))[2]
            print("read", status)
            if status == 0:
                break
            ble.gap_pair(conn)
            print("encrypted", await until(28))
        await asyncio.sleep(0.3)
        with open("/kept", "w") as file:
            json.dump(kept, file)
        print("secrets", sorted(kept), [len(one) // 2 for one in kept.values()])
        print("end")
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.fixture
def monitor(bench: Bench):  # type: ignore[no-untyped-def]
    value = Characteristic(
        "2A1C",
        Characteristic.Properties.READ,
        Characteristic.READABLE | Characteristic.READ_REQUIRES_ENCRYPTION,
        b"\x00\x6d\x01\x00\xff",
    )
    device = bench.add_peripheral(
        "thermometer", MONITOR, lambda one: one.add_service(Service(UUID("1809"), [value]))
    )
    return device, value


def _program(firmware, value, bond: bool = True):  # type: ignore[no-untyped-def]
    return firmware(PAIRER.replace("HANDLE", str(value.handle)).replace("BOND", str(bond)))


def test_a_bond_outlives_a_power_cut_and_a_lost_one_needs_pairing(bench: Bench, firmware, monitor) -> None:
    device, value = monitor
    hub = bench.add_hub(HUB, files=_program(firmware, value))
    log = hub.wait_log("end")
    assert "scan 16" in log  # EBUSY while it connects
    assert "read 271" in log  # insufficient encryption
    assert "True, False, True, 16)" in log
    assert "read 0" in log
    for secret in ("'10:69726b'", "'1:0101f4f3f2f1f0'", "'2:0101f4f3f2f1f0'"):
        assert secret in log

    bench.cut_power()
    mark = hub.log_position()
    bench.power()
    log = hub.wait_log("end", after=mark)
    assert "True, False, True, 16)" in log
    assert "read 0" in log

    # The monitor has forgotten the hub: the key fails, and the link stays.
    bench.run(device.keystore.delete_all())
    bench.cut_power()
    mark = hub.log_position()
    bench.power()
    log = hub.wait_log("end", after=mark)
    assert "False, False, False, 0)" in log
    assert log.count("read 271") == 2


def test_without_bonding_nothing_is_kept(bench: Bench, firmware, monitor) -> None:
    _, value = monitor
    hub = bench.add_hub(HUB, files=_program(firmware, value, bond=False))
    log = hub.wait_log("end")
    assert "True, False, False, 16)" in log
    assert "secrets ['10:69726b'] [16]" in log
