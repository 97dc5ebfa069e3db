"""The two sessions the daemon keeps with a broker, so that no backlog stands before a call."""

from __future__ import annotations

from kanhu.config import Broker
from kanhu.links.mqtt_client import MqttClient
from kanhu.links.mqtt_connection import OnMessage
from kanhu.links.mqtt_tls import ClientTls

MAX_PACKET = 65_536  # bytes (contracts, section 4)


def two_sessions(
    broker: Broker, name: str, on_message: OnMessage, max_packet: int = MAX_PACKET
) -> tuple[MqttClient, MqttClient]:
    """(urgent, bulk): persistent, under the client ids {name}-1 and {name}-2; ConfigError: a file."""
    password = broker.password()
    tls = None
    if broker.tls is not None:
        tls = ClientTls(broker.tls, broker.host)
        tls.check()

    def session(number: int) -> MqttClient:
        return MqttClient(
            broker.host,
            broker.port,
            f"{name}-{number}",
            username=broker.username,
            password=password,
            tls=tls,
            on_message=on_message,
            max_packet=max_packet,
        )

    return session(1), session(2)
