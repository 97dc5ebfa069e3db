"""Two daemons, each with a journal of its own, that serve the same hub."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from helpers_intake import HUB, NOW_MS, Clock, Host, HubVoice, NoTables
from kanhu.aead import AesCcm
from kanhu.downlink import Downlink
from kanhu.orders import Orders
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k

LINK = "mqtt"
BEAT: dict[int, Any] = {
    k.RESET: 1, k.HEAP: [1, 1], k.LINK: 1, k.OUTBOX: [0, 0], k.DROPS: [0] * 5, k.RADIO: [100, 1],
    k.FIRMWARE: "0.1.0", k.POWER: [True, None], k.VERSIONS: [1, 0], k.REFUSED: [0, 0, 0],
}  # fmt: skip


class PlayedHub(HubVoice):
    """Takes down messages as the firmware does: (epoch, counter) must rise."""

    name, connected = LINK, True

    def __init__(self) -> None:
        super().__init__()
        self.last = (0, 0)
        self.taken: list[int] = []  # types, in order
        self.replayed = 0

    def send_down(self, hub_id: str, data: bytes) -> bool:
        message = seal.parse(data)
        if (message.b, message.c) <= self.last:
            self.replayed += 1
        else:
            self.last = (message.b, message.c)
            self.taken.append(down.decode(message.open(AesCcm(self.key), HUB, seal.DOWN))[k.TYPE])
        return True

    async def run(self) -> None:
        raise AssertionError("not run here")

    def beat(self) -> bytes:
        return self.say(k.HEARTBEAT, {**BEAT, k.DOWNLINK: list(self.last)})


class Server:
    """What a daemon is to one hub."""

    def __init__(self, data_dir: Path, hub: PlayedHub, clock: Clock) -> None:
        self.host = Host(data_dir, hub, clock=clock)
        self.downlink = Downlink(lambda _: (1, AesCcm(hub.key)), self.host.journal.next_epoch)
        self.downlink.attach(hub)
        self.orders = Orders(
            self.host.journal, self.host.commands, self.host.alarms, NoTables(), self.downlink,
            self.host.intake.identities,
        )  # fmt: skip

    async def hears(self, event: bytes) -> None:
        receipts = await self.host.intake.receive(HUB, event, LINK)
        self.downlink.heard(HUB, receipts.boot, LINK)
        for stored in self.host.stored[-1:]:
            if stored.hub == HUB:
                self.orders.stored(stored)
        self.downlink.stored(HUB, receipts.upto, [*receipts.single, (1, 0)])  # at once

    def overtaken(self) -> list[int]:
        faults = self.host.own(k.IDENTITY_FAULT)
        assert all(fault.fields[k.SUBJECT] == HUB for fault in faults)
        return [fault.fields[k.DETAIL] for fault in faults]

    async def settled(self) -> None:
        batch = self.host.journal.batch()
        batch.run("SELECT 1")
        await batch.submit()


async def test_each_takes_the_other_for_what_it_is(tmp_path: Path) -> None:
    hub = PlayedHub()
    servers = [Server(tmp_path / name, hub, Clock()) for name in ("one", "two")]
    beats = 0
    while not all(server.overtaken() for server in servers):
        beats += 1
        assert beats <= 8
        event = hub.beat() if beats > 1 else hub.start(1)
        for server in servers:
            await server.hears(event)
        for server in servers:
            await server.settled()
    for server in servers:
        assert server.overtaken() == [5]
        ledger = server.host.journal.ledger(HUB)
        assert (ledger.stored, ledger.awaited) == (beats, 0)  # both have everything
        await server.host.journal.close()
    assert hub.replayed  # which is why it matters


async def test_an_older_journal_alone_is_no_second_daemon(tmp_path: Path) -> None:
    """Its epoch comes from the clock; where that is wrong too, the hub's first heartbeat puts it right."""
    hub = PlayedHub()
    clock = Clock()
    server = Server(tmp_path, hub, clock)
    await server.hears(hub.start(1))
    await server.host.journal.close()
    older = (tmp_path / "journal.db").read_bytes()
    used = []
    for _ in range(3):
        clock.now_ms += 86_400_000
        server = Server(tmp_path, hub, clock)
        await server.hears(hub.beat())
        used.append((server.host.journal.daemon_boot, server.host.journal.epoch))
        await server.host.journal.close()
    for name in ("journal.db-wal", "journal.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "journal.db").write_bytes(older)
    clock.now_ms += 86_400_000
    hub.last = (int(time.time()) + 500_000, 3)  # as if the clock had been far ahead in between
    server = Server(tmp_path, hub, clock)
    assert server.host.journal.daemon_boot > max(boot for boot, _ in used)
    command = await server.host.commands.create(HUB, k.PING, {})
    assert command.number > max(boot for boot, _ in used)
    replayed = hub.replayed
    hub.taken.clear()
    await server.hears(hub.beat())
    await server.hears(hub.beat())
    await server.settled()
    assert hub.replayed == replayed
    assert k.STORED in hub.taken
    assert server.overtaken() == []
    assert server.downlink.overtaken == 1
    assert clock.now_ms > NOW_MS
    await server.host.journal.close()
