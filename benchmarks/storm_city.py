"""The city in a storm, a process of its own: acknowledges what comes as the SDK does (100 events or 20 ms, a
call at once), and notes when each call came. Behind a bridge it sees hubs' own topics.

python storm_city.py PORT MODE(kanhu|bridge); ends at a line on stdin with a line of JSON."""

from __future__ import annotations

import json
import select
import sys
import time

from spine_wire import Answers, Wire

from kanhu_protocol import mqtt


def main() -> None:
    """Consume until told to report."""
    port, kanhu = int(sys.argv[1]), sys.argv[2] == "kanhu"
    wire = Wire(port, "storm-city", ["kanhu/1/events/+"] if kanhu else ["kanhu/1/hubs/+/up/+"])
    print("ready", flush=True)
    calls: dict[str, float] = {}  # hub: when it came, monotonic s
    kinds: dict[str, int] = {}
    incidents: list[float] = []
    answers = Answers()
    seen: set[str] = set()
    last = 0.0
    while not select.select([sys.stdin], [], [], 0)[0]:
        packets = wire.recv(Answers.WAIT_S / 2 if answers.waiting else 0.1)
        now = time.monotonic()
        out = []
        for kind, number, _, topic, payload in packets:
            if kind != mqtt.PUBLISH:
                continue
            last = now
            out.append(mqtt.puback(number))
            if not kanhu:
                if topic.endswith("/p1"):
                    calls.setdefault(topic[13:23], now)
                kinds[topic[-2:]] = kinds.get(topic[-2:], 0) + 1
                continue
            source, name, event_type = (_text(payload, key) for key in (b"source", b"id", b"type"))
            if f"{source} {name}" not in seen:
                seen.add(f"{source} {name}")
                kinds[event_type] = kinds.get(event_type, 0) + 1
            if event_type == "org.kanhu.incident.opened.v1":
                incidents.append(now)
            if topic == "kanhu/1/events/p1":
                calls.setdefault(source[-10:], now)
            answers.add(source, name, now, topic == "kanhu/1/events/p1")
        out += answers.due(now)
        if out:
            wire.send(b"".join(out))
    print(json.dumps({"calls": calls, "kinds": kinds, "incidents": incidents, "last": last}), flush=True)


def _text(payload: bytes, key: bytes) -> str:
    at = payload.index(b'"' + key + b'":"') + len(key) + 4
    return payload[at : payload.index(b'"', at)].decode()


if __name__ == "__main__":
    main()
