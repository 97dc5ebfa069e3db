"""The load of a storm, a process of its own: every hub publishes one event sealed beforehand within a second.

python storm_source.py PORT EVENTS_FILE SECONDS; begins at a line on stdin, ends with a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from spine_wire import Wire, unpack

from kanhu_protocol import mqtt

CONNECTIONS = 4
CHUNK = 50  # publishes in one write


def main() -> None:
    """Publish all of it once, spread evenly; wait for the broker's PUBACKs."""
    port, path, seconds = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    packets = []
    for n, item in enumerate(unpack(path)):
        hub, data = item[:10].decode(), item[10:]
        packets.append(mqtt.publish(f"kanhu/1/hubs/{hub}/up/p3", data, 1, n % 65_535 + 1))
    wires = [Wire(port, f"storm-{number}", []) for number in range(CONNECTIONS)]
    chunks = [b"".join(packets[at : at + CHUNK]) for at in range(0, len(packets), CHUNK)]
    print("ready", flush=True)
    sys.stdin.readline()
    began, acknowledged = time.monotonic(), 0
    for number, chunk in enumerate(chunks):
        wait = began + number / len(chunks) * seconds - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        wires[number % CONNECTIONS].send(chunk)
        if number % 8 == 0:
            acknowledged += sum(len(wire.recv(0.0)) for wire in wires)
    published = time.monotonic()
    while acknowledged < len(packets) and time.monotonic() < published + 30:
        acknowledged += sum(len(wire.recv(0.002)) for wire in wires)
    print(json.dumps({"began": began, "published": published, "pubacks": acknowledged}), flush=True)


if __name__ == "__main__":
    main()
