"""BTHome service data as hypothesis draws it."""

from __future__ import annotations

from bthome_ble.const import MEAS_TYPES
from bthome_ble.event import BUTTON_EVENTS
from habluetooth import BluetoothServiceInfoBleak
from hypothesis import strategies as st


@st.composite
def services(draw):
    """Unencrypted service data of known objects in any order, each measurement once, buttons repeated."""
    numbers = draw(st.lists(st.sampled_from(sorted(MEAS_TYPES)), max_size=8))
    data, used = b"", set()
    for what in numbers:
        kind = MEAS_TYPES[what]
        if kind.data_format in ("raw", "string", "command") or (kind.meas_format in used and what != 0x3A):
            continue
        used.add(kind.meas_format)
        value = draw(st.binary(min_size=kind.data_length, max_size=kind.data_length))
        if what == 0x3A:
            value = bytes([draw(st.sampled_from(sorted(BUTTON_EVENTS)))])
        elif what == 0x3C:
            value = b"\x01\x03"
        if len(data) + 1 + len(value) <= 23:
            data += bytes([what]) + value
    return b"\x40" + data


def service_info(service: bytes, address: str) -> BluetoothServiceInfoBleak:
    """Service data as bthome-ble takes it; address such as "A4:C1:38:00:00:01"."""
    return BluetoothServiceInfoBleak(
        name="x",
        address=address,
        rssi=-60,
        manufacturer_data={},
        service_data={"0000fcd2-0000-1000-8000-00805f9b34fb": service},
        service_uuids=[],
        source="",
        device=None,
        advertisement=None,
        connectable=False,
        time=0.0,
        tx_power=None,
    )
