"""The running ledger, the one recomputed from the tables and a model of plain sets agree, always."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from helpers_intake import HUB, Clock, Host, HubVoice
from kanhu.journal.retention import DAY_MS, retire
from kanhu.ledger import recompute
from kanhu_protocol import events
from kanhu_protocol import kinds as k


class History(RuleBasedStateMachine):
    """One hub's life as its host hears it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="kanhu-ledger-"))
        self.homes = 0
        self.runner = asyncio.Runner()
        self.hub = HubVoice()
        self.clock = Clock()
        self.sent: dict[tuple[int, int], bytes] = {}  # everything the hub ever sealed
        self.held: set[tuple[int, int]] = set()
        self.lost: set[tuple[int, int]] = set()
        self.delivered: set[tuple[int, int]] = set()
        self.announced: dict[int, int] = {}
        self.host = self.runner.run(self.start(self.folder / "0"))

    async def start(self, folder: Path) -> Host:
        return Host(folder, self.hub, clock=self.clock)

    def teardown(self) -> None:
        self.runner.run(self.host.journal.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def announce(self, boot: int, count: int) -> None:
        self.announced[boot] = max(self.announced.get(boot, 0), count)

    def hear(self, *identities: tuple[int, int]) -> None:
        """These reach the host in one payload, and its receipt covers them."""
        payload = b"".join(self.sent[identity] for identity in identities)
        receipts = self.runner.run(self.host.intake.receive(HUB, payload, "test"))
        upto = dict(receipts.upto)
        for boot, seq in identities:
            self.held.add((boot, seq))
            self.announce(boot, seq + 1)
            assert (boot, seq) in receipts.single or upto.get(boot, -1) >= seq

    def seal(self, raw: bytes) -> tuple[int, int]:
        identity = self.hub.boot, self.hub.seq - 1
        self.sent[identity] = raw
        return identity

    @rule(
        kinds=st.lists(st.sampled_from([k.MOTION, k.HEARTBEAT, k.CALL, k.DOOR_OPEN]), min_size=1, max_size=4)
    )
    def speaks(self, kinds: list[int]) -> None:
        self.hear(*[self.seal(self.hub.say(kind)) for kind in kinds])

    @rule(count=st.integers(1, 5))
    def speaks_and_is_not_heard(self, count: int) -> None:
        for _ in range(count):
            self.seal(self.hub.say(k.STILL, {k.SPAN_MS: 5}))

    @rule(jump=st.integers(1, 3), heard=st.booleans())
    def boots(self, jump: int, heard: bool) -> None:
        before = (self.hub.boot, self.hub.seq - 1)
        previous = before if before[1] >= 0 else None
        identity = self.seal(self.hub.start(self.hub.boot + jump, previous))
        if heard:
            self.hear(identity)
            if previous:
                self.announce(previous[0], previous[1] + 1)

    @precondition(lambda self: self.sent.keys() - self.held)
    @rule(data=st.data())
    def an_old_one_arrives(self, data: st.DataObject) -> None:
        waiting = sorted(self.sent.keys() - self.held)
        for identity in data.draw(st.lists(st.sampled_from(waiting), min_size=1, max_size=5, unique=True)):
            self.hear(identity)
            fields = events.decode(self.opened(identity))
            if k.PREVIOUS in fields:
                boot, seq = fields[k.PREVIOUS]
                self.announce(boot, seq + 1)
            for boot, first, last in fields.get(k.LOST, ()):
                self.lose(boot, first, last)

    def opened(self, identity: tuple[int, int]) -> bytes:
        found = self.host.journal.find(HUB, *identity)
        assert found is not None
        return found.plain

    def lose(self, boot: int, first: int, last: int) -> None:
        self.lost |= {(boot, seq) for seq in range(first, last + 1)}
        self.announce(boot, last + 1)

    @precondition(lambda self: self.hub.seq or self.hub.boot > 1)
    @rule(data=st.data(), heard=st.booleans())
    def thins(self, data: st.DataObject, heard: bool) -> None:
        boot = data.draw(st.integers(1, self.hub.boot))
        limit = self.hub.seq - 1 if boot == self.hub.boot else 12
        if limit < 0:
            return
        first = data.draw(st.integers(0, limit))
        last = data.draw(st.integers(first, limit))
        identity = self.seal(self.hub.say(k.EVENTS_LOST, {k.LOST: [[boot, first, last]], k.DETAIL: 1}))
        if heard:
            self.hear(identity)
            self.lose(boot, first, last)

    @precondition(lambda self: self.held & self.sent.keys())
    @rule(data=st.data())
    def says_again(self, data: st.DataObject) -> None:
        self.hear(data.draw(st.sampled_from(sorted(self.held & self.sent.keys()))))

    @precondition(lambda self: self.held - self.delivered)
    @rule(data=st.data())
    def says_other_bytes_under_a_known_name(self, data: st.DataObject) -> None:
        boot, seq = data.draw(st.sampled_from(sorted(self.held - self.delivered)))
        raw = self.hub.sealed(events.encode(k.WALK_TEST, 77, {}), boot, seq)
        receipts = self.runner.run(self.host.intake.receive(HUB, raw, "test"))
        assert not receipts

    @precondition(lambda self: self.held - self.delivered)
    @rule(data=st.data())
    def is_delivered(self, data: st.DataObject) -> None:
        queue = [event for event in self.host.journal.undelivered() if event.hub == HUB]
        some = data.draw(st.lists(st.sampled_from(queue), min_size=1, max_size=6)) if queue else []

        async def deliver() -> None:
            await self.host.journal.mark_delivered(some)

        self.runner.run(deliver())
        self.delivered |= {(event.boot, event.seq) for event in some}

    @rule()
    def old_ones_are_forgotten(self) -> None:
        self.clock.now_ms += DAY_MS

        async def forget() -> int:
            return await retire(self.host.journal, 0.5)

        self.runner.run(forget())
        rows = self.host.journal.reader.rows("SELECT count(*) FROM events WHERE delivered_ms IS NOT NULL")
        assert rows == [(0,)]
        self.sent = {name: raw for name, raw in self.sent.items() if name not in self.delivered}

    @rule()
    def remembers_spans(self) -> None:
        async def snapshot() -> None:
            self.host.journal.snapshot()
            after = self.host.journal.batch()
            after.run("SELECT 1")
            await after.submit()

        self.runner.run(snapshot())

    @rule()
    def stops_and_starts(self) -> None:
        self.runner.run(self.host.journal.close())
        self.host = self.runner.run(self.start(self.host.journal.path.parent))

    @rule()
    def dies_and_starts(self) -> None:
        """What a kill -9 leaves: the files as they are at this moment."""
        old = self.host.journal.path.parent
        self.homes += 1
        new = self.folder / str(self.homes)
        new.mkdir()
        for name in ("journal.db", "journal.db-wal"):
            if (old / name).exists():
                shutil.copy(old / name, new / name)
        self.runner.run(self.host.journal.close())
        self.host = self.runner.run(self.start(new))

    @invariant()
    def balances(self) -> None:
        lost = {name for name in self.lost - self.held if name[1] < self.announced.get(name[0], 0)}
        announced = sum(self.announced.values())
        expected = {
            "announced": announced,
            "stored": len(self.held),
            "lost": len(lost),
            "awaited": announced - len(self.held) - len(lost),
            "delivered": len(self.delivered),
            "queued": len(self.held) - len(self.delivered),
        }
        ledger = self.host.journal.ledger(HUB)
        running = {name: getattr(ledger, name) for name in expected}
        assert running == expected
        raw = recompute(self.host.journal.path)
        assert raw.get(HUB, dict.fromkeys(expected, 0)) == expected
        every = self.host.journal.ledger()
        assert all(getattr(every, name) == sum(sums[name] for sums in raw.values()) for name in expected)

    @invariant()
    def knows_what_is_missing(self) -> None:
        missing = {
            (boot, seq)
            for boot, first, last in self.host.journal.missing(HUB, 1000)
            for seq in range(first, last + 1)
        }
        announced = {(boot, seq) for boot, count in self.announced.items() for seq in range(count)}
        assert missing == announced - self.held - self.lost
        for boot in self.announced:
            upto, settled = self.host.journal.stored_upto(HUB, boot), self.held | self.lost
            assert all((boot, seq) in settled for seq in range(upto + 1))
            assert (boot, upto + 1) not in settled
            for seq in range(self.announced[boot] + 1):
                delivered = (boot, seq) in self.delivered
                assert self.host.journal.delivered((HUB, boot, seq)) == delivered


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
