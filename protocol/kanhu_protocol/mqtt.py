"""MQTT 3.1.1 client codec (OASIS standard, 29 October 2014), QoS 0 and 1, sans-I/O.

What only the start of a connection needs is here; a hub forgets it when it has its first packets."""

from .mqtt_packets import (  # noqa: F401  one module for those who need all of it
    CONNACK,
    DISCONNECT,
    DUP,
    MAX_REMAINING,
    OVERSIZE,
    PINGREQ,
    PINGRESP,
    PUBACK,
    PUBLISH,
    RETAIN,
    SUBACK,
    SUBSCRIBE_REFUSED,
    UNSUBACK,
    Decoder,
    MqttError,
    _field,
    _id,
    _length,
    _topic,
    puback,
    publish,
)


def connect(
    client_id: str,
    keep_alive_s: int = 30,
    clean: bool = False,
    will: tuple[str, bytes, int, bool] | None = None,
    user: str | None = None,
    password: str | bytes | None = None,
) -> bytes:
    """CONNECT; will = (topic, payload, qos, retain)."""
    flags = 2 if clean else 0
    body = _field(client_id)
    if will:
        flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
        body += _topic(will[0]) + _field(will[1])
    if user is not None:
        flags |= 128
        body += _field(user)
        if password is not None:
            flags |= 64
            body += _field(password)
    elif password is not None:
        raise MqttError("password")
    if not 0 <= keep_alive_s < 65536:
        raise MqttError("keep_alive")
    head = b"\0\4MQTT\4" + bytes((flags, keep_alive_s >> 8, keep_alive_s & 255))
    return b"\x10" + _length(len(head) + len(body)) + head + body


def subscribe(packet_id: int, topics: list[tuple[str, int]]) -> bytes:
    """SUBSCRIBE; topics = [(filter, QoS)]."""
    body = _id(packet_id)
    for name, qos in topics:
        body += _topic(name) + bytes((qos,))
    return b"\x82" + _length(len(body)) + body
