"""The load, a process of its own: many hubs that publish events sealed beforehand, and keep what the daemon
has not called stored. Reads phases as JSON lines on stdin, answers each with one JSON line.

python spine_source.py PORT BOARD EVENTS_FILE HUBS_FILE MODE(kanhu|bridge)"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from spine_wire import HUBS, WINDOW, Board, Wire, sleep_until, unpack

from kanhu.aead import AesCcm
from kanhu_protocol import cbor, mqtt, seal
from kanhu_protocol import kinds as k

CHUNK = 64  # publishes in one write
STALLED_S = 6.0  # without any arrival: what is missing is lost
AGAIN_S = 2.0  # a hub says an event again when it is not stored after this long


class Source:
    """All hubs over one publishing connection (and, for the daemon, one that hears their receipts)."""

    def __init__(self, port: int, board: Path, events: Path, hubs: Path, kanhu: bool) -> None:
        sealed = unpack(events)
        self.hubs: list[tuple[str, str]] = json.loads(hubs.read_text())
        self.board = Board(board, len(sealed))
        self.packets = [
            mqtt.publish(f"kanhu/1/hubs/{self.hubs[n % HUBS][0]}/up/p{item[0]}", item[1:], 1, n % 65_535 + 1)
            for n, item in enumerate(sealed)
        ]
        self.wire = Wire(port, "source", [])
        self.kanhu = kanhu
        self.down = Wire(port, "hubs", ["kanhu/1/hubs/+/down"]) if kanhu else None
        self.receipts: list[tuple[str, bytes]] = []
        self.opened = 0
        self.upto = [-1] * HUBS
        self.single: set[int] = set()  # events stored by name
        self.said_again = 0

    # Traffic

    def pump(self, timeout_s: float = 0.0) -> None:
        """Take PUBACKs and receipts; waits for PUBACKs up to the timeout."""
        self.wire.recv(timeout_s)
        if self.down is not None:
            acks = []
            for kind, number, _, topic, payload in self.down.recv(0.0):
                if kind == mqtt.PUBLISH:
                    acks.append(mqtt.puback(number))
                    self.receipts.append((topic[13:23], payload))
            if acks:
                self.down.send(b"".join(acks))

    def send(self, first: int, last: int) -> None:
        """Publish events first..last-1 in one write."""
        now = time.monotonic()
        published = self.board.published
        for n in range(first, last):
            published[n] = published[n] or now
        self.wire.send(b"".join(self.packets[first:last]))

    def arrived(self) -> int:
        return self.board.counters[Board.UNIQUE]

    def acknowledged(self) -> int:
        return self.board.counters[Board.ACKNOWLEDGED]

    def settle(self, wanted: int, stalled_s: float) -> None:
        """Until so many are acknowledged, or nothing has arrived for stalled_s; hubs say again meanwhile."""
        before, since, again = -1, time.monotonic(), time.monotonic() + AGAIN_S
        while (now := self.acknowledged()) < wanted:
            moment = time.monotonic()
            if now != before:
                before, since = now, moment
            elif moment - since > stalled_s:
                return
            if self.kanhu and moment > again:
                self.say_again()
                again = moment + AGAIN_S
            self.pump(0.002)

    # Hubs

    def stored(self) -> None:
        """Open the receipts that have come."""
        number = {hub: index for index, (hub, _) in enumerate(self.hubs)}
        aeads = [AesCcm(bytes.fromhex(key)) for _, key in self.hubs]
        for hub, data in self.receipts[self.opened :]:
            index = number[hub]
            message = cbor.loads(seal.parse(data).open(aeads[index], hub, seal.DOWN))
            if message[k.TYPE] == k.STORED:
                for _, seq in message.get(k.UPTO, ()):
                    self.upto[index] = max(self.upto[index], seq)
                for _, *seqs in message.get(k.SINGLE, ()):
                    self.single.update(seq * HUBS + index for seq in seqs)
        self.opened = len(self.receipts)

    def unstored(self, last: int) -> list[int]:
        """Published events that no receipt covers."""
        self.stored()
        return [n for n in range(last) if n // HUBS > self.upto[n % HUBS] and n not in self.single]

    def say_again(self) -> None:
        """What a hub's outbox does: publish once more, byte for byte, what is not stored."""
        limit = time.monotonic() - AGAIN_S
        for n in self.unstored(len(self.packets)):
            if 0 < self.board.published[n] < limit:
                self.said_again += 1
                self.wire.send(self.packets[n])

    # Phases

    def idle(self, first: int, last: int) -> None:
        """One event at a time, a little apart: the next once the last is acknowledged."""
        for n in range(first, last):
            self.send(n, n + 1)
            deadline = time.monotonic() + STALLED_S
            while not self.board.acknowledged[n] and time.monotonic() < deadline:
                time.sleep(0.000_1)
            self.pump()
            time.sleep(0.003)

    def paced(self, first: int, last: int, rate: float) -> None:
        """At a steady rate, whatever becomes of them."""
        began = time.monotonic()
        step = max(1, int(rate / 500))
        for n in range(first, last, step):
            sleep_until(began + (n - first) / rate)
            self.send(n, min(last, n + step))
            self.pump()

    def full(self, first: int, last: int) -> None:
        """As fast as the consumer gets them, at most WINDOW on their way."""
        base, sent = self.arrived(), first
        moved, before = time.monotonic(), base
        while sent < last:
            arrived = self.arrived()
            room = min(WINDOW - (sent - first - (arrived - base)), CHUNK, last - sent)
            if room >= min(CHUNK, last - sent):
                self.send(sent, sent + room)
                sent += room
                self.pump()
                moved, before = time.monotonic(), arrived
            else:
                self.pump(0.000_5)
                if arrived != before:
                    moved, before = time.monotonic(), arrived
                elif time.monotonic() - moved > STALLED_S:
                    return

    def run(self, phase: dict[str, Any]) -> dict[str, Any]:
        """One phase over events first..last-1; wanted = acknowledged in all when nothing is lost."""
        first, last = phase["first"], phase["last"]
        began = time.monotonic()
        if phase["name"] == "idle":
            self.idle(first, last)
        elif phase["name"] == "paced":
            self.paced(first, last, phase["rate"])
        else:
            self.full(first, last)
        if phase.get("settle", True):
            self.settle(phase["wanted"], phase.get("stalled_s", STALLED_S))
        return {"began": began, "said_again": self.said_again}


def main() -> None:
    """Serve phases until stdin ends."""
    port, board, events, hubs, mode = sys.argv[1:]
    source = Source(int(port), Path(board), Path(events), Path(hubs), mode == "kanhu")
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(source.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
