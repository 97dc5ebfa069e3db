"""The consumer at the city's broker, a process of its own: notes when each event arrives and, for the daemon,
sends the acknowledgement messages as the SDK does (100 events or 20 ms; a call at once).

python spine_sink.py PORT BOARD EVENTS HUB_NAMES MODE(kanhu|bridge) SEQ_OFFSET"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from spine_wire import Answers, Board, Wire

from kanhu_protocol import mqtt


def main() -> None:
    """Consume until killed."""
    port, board_path, count, names, mode, offset = sys.argv[1:]
    hubs = {name: index for index, name in enumerate(names.split(","))}
    board = Board(Path(board_path), int(count))
    kanhu = mode == "kanhu"
    wire = Wire(int(port), "sink", ["kanhu/1/events/+"] if kanhu else ["kanhu/1/hubs/+/up/+"])
    print("ready", flush=True)
    arrived, counters, acknowledged = board.arrived, board.counters, board.acknowledged
    seq_at, every = int(offset), len(hubs)
    answers = Answers()
    indexes: list[int] = []
    while True:
        packets = wire.recv(Answers.WAIT_S / 2 if answers.waiting else 1.0)
        now = time.monotonic()
        out = []
        for kind, number, _, topic, payload in packets:
            if kind != mqtt.PUBLISH:
                continue
            out.append(mqtt.puback(number))
            if kanhu:
                at = payload.find(b'"id":"') + 6
                end = payload.index(b'"', at)
                name = payload[at:end].decode()
                hub = payload[end + 24 : end + 34].decode()  # ","source":"/kanhu/hubs/
                seq = int(name.partition("-")[2])
                position = hubs.get(hub)
            else:
                hub = topic[13:23]  # kanhu/1/hubs/
                seq = int.from_bytes(payload[seq_at : seq_at + 4], "big")
                position = hubs.get(hub)
            if position is None:
                counters[Board.STRANGE] += 1  # the daemon's own events; they are acknowledged too
                if kanhu:
                    source = payload.index(b'"source":"') + 10
                    text = payload[source : payload.index(b'"', source)].decode()
                    answers.add(text, name, now)
                continue
            index = seq * every + position
            if arrived[index]:
                counters[Board.DUPLICATES] += 1
            else:
                arrived[index] = now
                counters[Board.UNIQUE] += 1
            if kanhu:
                answers.add(f"/kanhu/hubs/{hub}", name, now, topic == "kanhu/1/events/p1")
                indexes.append(index)
            elif not acknowledged[index]:
                acknowledged[index] = now
                counters[Board.ACKNOWLEDGED] += 1
        out += answers.due(now)
        if out:
            wire.send(b"".join(out))
            if not answers.waiting:
                now = time.monotonic()
                for index in indexes:
                    if not acknowledged[index]:
                        acknowledged[index] = now
                        counters[Board.ACKNOWLEDGED] += 1
                indexes.clear()


if __name__ == "__main__":
    main()
