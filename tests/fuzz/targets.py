"""Every fuzz target: its function, the code it is to reach, what is instrumented, its longest input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import file_targets
import link_targets
import planted
import protocol_targets
from protocol_targets import Run


@dataclass(frozen=True)
class Target:
    """make() imports the decoder and returns what to attack; covers are "module" or "module:object"."""

    make: Callable[[], Run]
    covers: tuple[str, ...]
    floor: int  # percent of those lines that a run must reach, seeds included
    max_len: int = 1200  # bytes of one input
    peak_bytes: int = 256 * 1024  # that one input may take
    words: tuple[str, ...] = ()  # dictionary of text formats
    packages: tuple[str, ...] = ("kanhu_protocol",)


_CBOR = ("kanhu_protocol.cbor:decode_at", "kanhu_protocol.cbor:_utf8")
_JSON = ('"', "{", "}", "[", "]", ":", ",", "null", "true", "-1", "1e9", "\\\\u0000")

TARGETS = {
    "cbor": Target(
        protocol_targets.cbor,
        (*_CBOR, "kanhu_protocol.cbor:loads", "kanhu_protocol.cbor:split_sequence"),
        95,
    ),
    "frame": Target(protocol_targets.frames, ("kanhu_protocol.frame:Decoder",), 95, max_len=2600),
    "seal": Target(
        protocol_targets.sealed,
        ("kanhu_protocol.seal:parse", "kanhu_protocol.seal:Sealed", "kanhu.sealed", "kanhu_hub.ccm:Ccm"),
        80,
        max_len=600,
        packages=("kanhu_protocol", "kanhu.sealed", "kanhu_hub.ccm"),
    ),
    "event": Target(
        protocol_targets.events,
        (
            "kanhu_protocol.events:decode",
            "kanhu_protocol.events:_check",
            "kanhu_protocol.checks",
            "kanhu.journal.plain",
            "kanhu.uplink.cloudevents:_data",
        ),
        80,
        max_len=600,
        packages=("kanhu_protocol", "kanhu.journal.plain", "kanhu.uplink.cloudevents"),
    ),
    "down": Target(
        protocol_targets.down, ("kanhu_protocol.down:decode", "kanhu_protocol.down:_check"), 90, max_len=1024
    ),
    "bthome": Target(
        link_targets.bthome, ("kanhu_hub.inputs.bthome",), 90, max_len=255, packages=("kanhu_hub",)
    ),
    "monitors": Target(
        link_targets.monitors,
        tuple(
            f"kanhu_hub.inputs.monitors.{name}"
            for name in (
                "number",
                "clock",
                "blood_pressure",
                "heart_rate",
                "pulse_oximeter",
                "thermometer",
                "weight_scale",
                "glucose",
            )
        ),
        85,
        max_len=64,
        packages=("kanhu_hub",),
    ),
    "bthome-encrypted": Target(
        link_targets.bthome_encrypted,
        ("kanhu_hub.inputs.encrypted",),
        80,
        max_len=300,
        packages=("kanhu_hub", "kanhu_protocol"),
    ),
    "mqtt-codec": Target(link_targets.mqtt_codec, ("kanhu_protocol.mqtt_packets:Decoder",), 90),
    "mqtt-host": Target(
        link_targets.mqtt_host,
        ("kanhu_protocol.mqtt_packets:Decoder", "kanhu.links.mqtt_connection:Connection"),
        65,
        packages=("kanhu_protocol", "kanhu.links"),
    ),
    "mqtt-hub": Target(
        link_targets.mqtt_hub,
        (
            "kanhu_protocol.mqtt_packets:Decoder",
            "kanhu_hub.links.mqtt_session:Session._converse",
            "kanhu_hub.links.mqtt_session:Session._take",
        ),
        75,
        max_len=400,
        packages=("kanhu_protocol", "kanhu_hub"),
    ),
    "serial-host": Target(
        link_targets.serial_host,
        tuple(f"kanhu.links.serial:SerialLink.{name}" for name in ("_received", "_frame", "_hello", "_text")),
        85,
        packages=("kanhu_protocol", "kanhu.links"),
    ),
    "commands": Target(
        link_targets.commands,
        (
            "kanhu.uplink.commands",
            "kanhu.uplink.identity:parse_identity",
            "kanhu.uplink.identity:parse_alarm",
        ),
        80,
        words=(
            *_JSON,
            "command",
            "acknowledge",
            "accept",
            "close",
            "missing",
            "ping",
            "events",
            "ranges",
            "source",
            "/kanhu/hubs/",
            "hub",
            "alarm",
            "operator",
            "reason",
            "id",
        ),
        packages=("kanhu.uplink",),
    ),
    "city-event": Target(
        link_targets.city_events,
        ("kanhu.platform.event:parse", "kanhu.platform.event:_time", "kanhu.uplink.identity:parse_identity"),
        85,
        words=(*_JSON, "specversion", "1.0", "org.kanhu.", "data", "kanhuseq", "kanhuclass", "time"),
        packages=("kanhu.platform.event", "kanhu.uplink"),
    ),
    "broker-log": Target(
        file_targets.broker_log,
        tuple(f"kanhu.links.mqtt_refusals:Refusals.{name}" for name in ("read", "_line", "_refused")),
        75,
        peak_bytes=2 * 1024 * 1024,  # it reads a mebibyte at once
        words=(
            "\\x0a",
            "1: ",
            "Denied PUBLISH from ",
            "Received SUBSCRIBE from ",
            "\\x09a (QoS 1)",
            "Sending SUBACK to ",
        )
        + ("[ERR] ", "Publish Violation", "Subscription Violation", "authentication error - User "),
        packages=("kanhu.links.mqtt_refusals",),
    ),
    "host-config": Target(
        file_targets.host_config,
        ("kanhu.config:load", "kanhu.config:parse", "kanhu.config:Hubs", "kanhu.hosts"),
        75,
        max_len=6000,
        peak_bytes=2 * 1024 * 1024,  # the frames of a thousand nested arrays
        words=(
            "[",
            "]",
            "=",
            '"""',
            "'''",
            "data_dir",
            "hubs",
            "serial",
            "mqtt",
            "platform",
            "true",
            "1e9",
            "host",
            "port",
            "log",
            "level",
            "broker",
            "0x",
            "2026-01-01",
            "{",
            "}",
        ),
        packages=("kanhu.config", "kanhu.hosts", "tomllib"),
    ),
    "hub-config": Target(
        file_targets.hub_config, ("kanhu_hub.config",), 90, packages=("kanhu_protocol", "kanhu_hub")
    ),
    "settings": Target(
        file_targets.settings,
        ("kanhu.registry.checks",),
        70,
        words=(
            *_JSON,
            "buttons",
            "pirs",
            "lamp",
            "buzzer",
            "mains",
            "heartbeat",
            "links",
            "ntp",
            "=",
            "pir_warm_up",
            "mqtt",
            "serial",
            "cn/42",
            "Asia/Shanghai",
            "+86",
        ),
        packages=("kanhu.registry",),
    ),
    "hub-files": Target(
        file_targets.hub_files,
        (
            "kanhu_hub.records",
            "kanhu_hub.store:load",
            "kanhu_hub.devices:Devices.__init__",
            "kanhu_hub.inputs.monitors.bonds:Bonds.__init__",
        ),
        75,
        packages=("kanhu_protocol", "kanhu_hub"),
    ),
}
# Decoders with known faults: what finds nothing in them finds nothing.
PLANTED = {
    "planted-crash": Target(planted.crash, ("planted_faults:crash",), 0, packages=("planted_faults",)),
    "planted-growth": Target(planted.growth, ("planted_faults:keep",), 0, packages=("planted_faults",)),
    "planted-peak": Target(planted.peak, ("planted_faults:grow",), 0, packages=("planted_faults",)),
}
