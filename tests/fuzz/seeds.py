"""Good inputs of each target to start from: golden vectors, one of each packet, command and setting."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def _vectors(*names: str) -> list[bytes]:
    found = []
    for name in names:
        whole = json.loads((ROOT / "protocol" / "vectors" / name).read_text(encoding="utf-8"))
        found += [bytes.fromhex(vector["hex"]) for vector in whole["vectors"]]
    return found


def _bthome() -> list[bytes]:
    path = ROOT / "tests" / "inputs" / "vectors" / "bthome.json"
    services = [
        bytes.fromhex(v["service"]) for v in json.loads(path.read_text(encoding="utf-8")) if "service" in v
    ]
    flags = b"\x02\x01\x06"
    return [flags + bytes((len(s) + 3, 0x16)) + b"\xd2\xfc" + s for s in services if len(s) < 250] + services


def _monitors() -> list[bytes]:
    path = ROOT / "tests" / "inputs" / "vectors" / "monitors.json"
    order = ("2A35", "2A37", "2A5E", "2A5F", "2A1C", "2A9D", "2A18", "2A52")
    found = []
    for case in json.loads(path.read_text(encoding="utf-8")):
        which = order.index(case["uuid"]) if case["uuid"] in order else 0
        found.append(bytes((which, case.get("quirks", 0))) + bytes.fromhex(case["hex"]))
    return found


def _mqtt() -> list[bytes]:
    from kanhu_protocol import mqtt

    connack = b"\x20\x02\x00\x00"
    publish = mqtt.publish("kanhu/1/hubs/7k3m9q2xwt/down", b"payload", 1, 7, True, True)
    packets = [
        connack,
        b"\x20\x02\x01\x00",
        b"\x20\x02\x00\x05",
        publish,
        mqtt.publish("a", b"", 0),
        mqtt.puback(1) + mqtt.puback(65535),
        b"\x90\x03\x00\x01\x01",
        b"\x90\x04\x00\x01\x01\x80",
        b"\xb0\x02\x00\x01",
        b"\xd0\x00",
        mqtt.publish("a", bytes(2000), 1, 3),
        b"\x30\xff\xff\xff\x7f\x00\x01a",
        b"\x40\xff\xff\xff\xff\x7f",
        b"\x82\x01\x00",
    ]
    return [
        bytes((step,)) + connack * up + packet for packet in packets for step in (0, 2, 63) for up in (0, 1)
    ]


def _commands() -> list[bytes]:
    event = {"source": "/kanhu/hubs/7k3m9q2xwt", "id": "1200-70000"}
    alarm = "7k3m9q2xwt/1200-70000"
    whole: list[Any] = [
        {"command": "acknowledge", "events": [event, event], "id": "a"},
        {"command": "accept", "alarm": alarm, "operator": "op-7"},
        {"command": "close", "alarm": alarm, "operator": "op-7", "reason": "she is well", "id": "b"},
        {"command": "missing", "hub": "7k3m9q2xwt", "ranges": [[1200, 0, 5], [1201, 7, 7]]},
        {"command": "ping", "hub": "7k3m9q2xwt", "id": "c"},
        {"command": "sing"},
        [],
    ]
    return [json.dumps(item).encode() for item in [*whole, whole]]


def _city_events() -> list[bytes]:
    event = {
        "specversion": "1.0", "id": "1200-70000", "source": "/kanhu/hubs/7k3m9q2xwt",
        "type": "org.kanhu.call.v1", "time": "2026-01-01T00:00:00.123Z", "clockstatus": "synced",
        "kanhuclass": "p1", "home": "7m3k0xq2fz", "region": "cn/42", "kanhuseq": "0000000000000042",
        "data": {"alarm": "7k3m9q2xwt/1-2", "device": 3},
    }  # fmt: skip
    odd = [{"time": "yesterday"}, {"kanhuseq": "x"}, {"data": []}, {"type": "other"}, {"source": "/"}]
    return [json.dumps({**event, **change}).encode() for change in [{}, *odd]] + [b"[]"]


def _host_config() -> list[bytes]:
    example = (ROOT / "docs" / "kanhu.example.toml").read_text(encoding="utf-8")
    plain = "\n".join(line.lstrip("# ") if "=" in line else line for line in example.splitlines())
    return [
        example.encode()[:3000],
        plain.encode()[:3000],
        b'data_dir = "/var/lib/kanhu"\n[hubs]\nserial = ["/dev/ttyUSB0"]\n',
        b'data_dir = "d"\n[hubs.mqtt]\nhost = "example.org"\nport = 1883\n',
        b'data_dir = "d"\n[log]\nlevel = "debug"\n[platform]\nwindow = 5\nretry_s = 1.5\n',
        b"",
        b"data_dir = 1\nnothing = 2\n",
        b"a = " + b"[" * 3000,
        b"a = " + b"9" * 5000,
    ]


def _broker_log() -> list[bytes]:
    return [
        b'[7] [ERR] 127.0.0.1:5 - mid:9 - "a" - Publish Violation - User "a", Subject "b"\n',
        b'[7] [ERR] x - Subscription Violation "u" - Subscription Violation\n',
        b'authentication error - User "u"\n',
        b"[7] [ERR] 10.0.0.1:99 - mid:4 - TLS handshake error: eof\n1: OpenSSL Error[0]: unknown\n",
        b"1: Denied PUBLISH from a (d0, q1, r0, m1, 'b', ... (1 bytes))\n",
        b"1: Client a disconnected, not authorised.\n",
        b"1: Received SUBSCRIBE from a\n1: \tb (QoS 1)\n1: \tc (QoS 0)\n1: a 1 b\n1: Sending SUBACK to a\n",
        b"no line of its own",
    ]


_SETTINGS = {
    "links": ["mqtt", "serial"], "ntp": ["pool.ntp.org", 123], "buttons": [[1, 4, 5], [2, 6, None]],
    "pirs": [[3, 13]], "pir_warm_up": 30, "lamp": 2, "buzzer": 15, "mains": None, "heartbeat": 300,
    "cancel": 7, "fall_ask": 20, "proof": 86400,
}  # fmt: skip


def _hub_config() -> list[bytes]:
    from kanhu_protocol import cbor

    good = {**_SETTINGS, "wifi": ["name", "password"], "broker": ["b", 1883, "u", "p"], "version": 3}
    good |= {"network": "ppp", "apn": "internet", "modem": [1, 17, 18, 115200], "ca": "ca2"}
    one_each = [{key: value} for key, value in good.items()]
    wrong: list[Any] = [{key: {"a": 1}} for key in good]
    return [cbor.dumps(item) for item in [good, *one_each, *wrong, [], 1]] + [b"", b"\xff"]


def _settings() -> list[bytes]:
    texts = ["7k3m9q2xwt", "cn/42/01", "Asia/Shanghai", "A4:C1:38:0B:5E:9D", "a4c1380b5e9d", "call button"]
    texts += [
        "+86 27 8888 1234",
        "heartbeat=60",
        'ntp=["a",1]',
        "lamp=",
        "h:1883",
        "[::1]:1883",
        "name12345passphrase",
    ]
    found = [bytes((number,)) + text.encode() for text in texts for number in range(10)]
    found.append(b"\x07lamp=" + b"[" * 1190)
    return found + [
        b"\x00" + json.dumps(one).encode() for one in [_SETTINGS, {"buttons": []}, {"lamp": 4}, []]
    ]


def _hub_files() -> list[bytes]:
    import shim

    shim.install()
    from kanhu_hub import records
    from kanhu_protocol import cbor

    record = records.pack(5, 1200, 70000, b"sealed")
    table = cbor.dumps([3, [[4, 1, bytes(6), 0], [5, 2, b"\1", 60]]])
    return [record, record * 3, record[:-1], b"\x07" + record * 2, b"\x01" + table, b"\x01\x82\x01", b"\x01"]


def of(target: str, max_len: int) -> list[bytes]:
    """Seeds of a target by name, none longer than max_len bytes; never empty."""
    from kanhu_protocol import frame

    if target in ("cbor", "event", "down"):
        found = _vectors(
            "cbor.json", "cbor_malformed.json", "sequences.json", "events.json", "down.json", "hello.json"
        )
    elif target == "frame":
        found = [bytes((step,)) + raw for raw in _vectors("frames.json") for step in (0, 63)]
        found += [b"\x81" + raw for raw in _vectors("hello.json")]
    elif target == "seal":
        raw = _vectors("sealed.json")
        pairs = [a + b for a, b in itertools.pairwise(raw)]
        found = (
            raw
            + pairs
            + [
                bytes((way, 1, 0, 9, 1, 77)) + plain
                for plain in _vectors("events.json")[::4]
                for way in (1, 0)
            ]
        )
    elif target == "bthome":
        found = _bthome()
    elif target == "bthome-encrypted":
        steps = [
            b"\x00",
            b"\x04\x3a\x01",
            b"\x08\x3a\x01",
            b"\x01",
            b"\x05",
            b"\x02",
            b"\x46",
            b"\x03\x41abcdefgh",
            b"\x40",
        ]
        found = [
            bytes((role,)) + b"".join(step.ljust(3, b"\0")[:3] for step in order)
            for role in (2, 3)
            for order in (steps, steps * 3)
        ]
        found += [b"\x3f" + b"\x03\x41" + bytes(12), b"\x3f\x03\x40\x3a\x01", b"\x3f\x03\x43" + bytes(20)]
        found += [bytes((role,)) + bytes(range(0, 252, 4)) * 2 for role in (0, 1)]
    elif target.startswith("mqtt"):
        found = _mqtt()
        found += [bytes((item[0] | 0x80,)) + item[1:] for item in found]
    elif target == "serial-host":
        found = [b"\x3f" + frame.encode(frame.HELLO, raw) + b"log\n" for raw in _vectors("hello.json")]
        found += [b"\x85" + raw for raw in _vectors("hello.json")] + [
            b"\x02" + raw for raw in _vectors("frames.json")
        ]
        both = frame.encode(frame.HELLO, _vectors("hello.json")[0]) + frame.encode(
            frame.UP, _vectors("sealed.json")[0]
        )
        found += [b"\x3f" + both, b"\x3fa line of the log\r\nanother" + b"x" * 900]
    else:
        makers = {
            "broker-log": _broker_log, "commands": _commands, "city-event": _city_events,
            "host-config": _host_config, "hub-config": _hub_config,
            "settings": _settings, "hub-files": _hub_files, "monitors": _monitors,
        }  # fmt: skip
        found = makers[target]() if target in makers else [b"0"]
    return [raw for raw in found if len(raw) <= max_len]
