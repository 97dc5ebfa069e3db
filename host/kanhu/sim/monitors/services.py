"""The services that all monitors have beside their own, and who may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bumble import att
from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from kanhu.sim.monitors import values

READ = Characteristic.Properties.READ
WRITE = Characteristic.Properties.WRITE
NOTIFY = Characteristic.Properties.NOTIFY
INDICATE = Characteristic.Properties.INDICATE
CCCD = UUID("2902")
OUT_OF_RANGE = att.ErrorCode(0xFF)  # common profile error: value out of range
Admit = Callable[[Connection], None]  # ATT_Error for a connection that may not


def readable(uuid: str, read: Callable[[], bytes]) -> Characteristic[bytes]:
    """A characteristic that anybody may read."""
    value: att.AttributeValue[bytes] = att.AttributeValue(read=lambda connection: read())
    return Characteristic(uuid, READ, Characteristic.READABLE, value)


def battery(percent: Callable[[], int]) -> Service:
    return Service(UUID("180F"), [readable("2A19", lambda: bytes((percent(),)))])


def information(texts: Mapping[str, str]) -> Service:
    """Device Information: UUID -> text."""
    return Service(UUID("180A"), [readable(uuid, text.encode) for uuid, text in texts.items()])


def clock(
    uuid: str,
    show: Callable[[], bytes],
    size: int,
    admit: Admit,
    written: Callable[[datetime], None],
) -> Characteristic[bytes]:
    """Current Time or Date Time, of so many bytes, that can be read by all and written by whom it admits."""

    def write(connection: Connection, data: bytes) -> None:
        admit(connection)
        if len(data) != size:
            raise att.ATT_Error(att.ErrorCode.INVALID_ATTRIBUTE_LENGTH)
        try:
            moment = values.read_date_time(data)
        except ValueError:
            raise att.ATT_Error(OUT_OF_RANGE) from None
        written(moment)

    value: att.AttributeValue[bytes] = att.AttributeValue(lambda connection: show(), write)
    return Characteristic(uuid, READ | WRITE, Characteristic.READABLE | Characteristic.WRITEABLE, value)


def guard(device: Device, admit: Admit, subscribed: Callable[[str], None]) -> None:
    """Let nobody enable a notification or indication whom it does not admit; subscribed says who did."""
    for attribute in device.gatt_server.attributes:
        if attribute.type != CCCD or not isinstance(attribute.value, att.AttributeValueV2):
            continue
        inner: Any = attribute.value

        def write(bearer: Any, data: bytes, inner: Any = inner, handle: int = attribute.handle) -> None:
            admit(bearer)
            inner.write(bearer, data)
            subscribed(f"{handle} {data.hex()}")

        attribute.value = att.AttributeValueV2(inner.read, write)
