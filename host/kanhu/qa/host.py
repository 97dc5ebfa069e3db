"""The suite's own host: broker, daemon, registry, city; hubs reach it through a proxy that can fail."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from prometheus_client.parser import text_string_to_metric_families

from kanhu import ledger
from kanhu.broker import free_port
from kanhu.errors import LinkDown
from kanhu.ledger import Sums
from kanhu.qa.faults.proxy import FaultProxy
from kanhu.qa.observer import Observer
from kanhu.qa.platform import Platform
from kanhu.qa.waiting import wait_for
from kanhu.registry import Registry
from kanhu.sim.city import City
from kanhu.sim.net import LOOPBACK
from kanhu.sim.town import BROKER_NAME, Town
from kanhu_protocol import down
from kanhu_protocol import kinds as k

__all__ = ["SERIAL_HOMES", "Host", "Platform", "Stored", "wait_for"]

UP_S = 30.0  # for broker, daemon, city and observer to come up on a busy computer
SETTLE_S = 90.0
SERIAL_HOMES = tuple(f"serial-{n}" for n in range(1, 9))  # homes whose hubs' ports the daemon looks at
NOTHING: Sums = {"announced": 0, "stored": 0, "lost": 0, "awaited": 0, "delivered": 0, "queued": 0}


class Stored(NamedTuple):
    """One event in the journal."""

    boot: int
    seq: int
    kind: int
    event_class: int
    delivered: bool


class Host:
    """`with Host(folder) as host`: everything behind the hub, with nothing open and nobody accepting."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", proxy_port: int = 0, **town: Any) -> None:
        self.folder = folder
        # Daemon and city have lines of their own to the broker, which can fail apart from the hubs'.
        self.daemon_line = FaultProxy((LOOPBACK, 0), LOOPBACK, free_port())
        self.city_line = FaultProxy((LOOPBACK, 0), LOOPBACK, free_port())
        line = {"mqtt": {"host": LOOPBACK, "port": self.daemon_line.port}}
        numbers = {"metrics": {"enabled": True, "port": 0}}
        daemon = {"hubs": line, "platform": line, **numbers, **town.pop("daemon", {})}
        self.town = Town(folder / "town", serial_homes=SERIAL_HOMES, daemon=daemon, **town)
        broker = (self.town.broker.host, self.town.broker.port)
        self.daemon_line.upstream = self.city_line.upstream = broker
        self.proxy = FaultProxy(broker, address, proxy_port)
        self.city = City(f"mqtt://{LOOPBACK}:{self.city_line.port}", folder / "city.db")
        self.city.auto_accept = False
        self.observer = Observer(self.town.broker.host, self.town.broker.port)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.town)
            for line in (self.proxy, self.daemon_line, self.city_line):
                stack.enter_context(line)
            # Simulated homes know the broker by name; this, too, leads through the proxy.
            self.town.bench.route(BROKER_NAME, 1883, self.proxy.address, self.proxy.port)
            self.town.start()
            stack.callback(self.city.stop)
            self.city.start()
            if not self.city.up.wait(UP_S) or self.city.error:
                raise LinkDown(f"the platform's side did not come up: {self.city.error or 'no answer'}")
            stack.callback(self.observer.stop)
            self.observer.begin()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def registry(self) -> Registry:
        """The daemon's, open."""
        self.town.registry.refresh()
        return self.town.registry

    @property
    def journal(self) -> Path:
        """The daemon's journal.db."""
        return self.town.daemon.data_dir / "journal.db"

    # What it holds

    def ledger(self, hub_id: str) -> Sums:
        """A hub's sums, computed anew from the journal."""
        return ledger.recompute(self.journal).get(hub_id, NOTHING)

    def wait_settled(self, hub_id: str, timeout: float = SETTLE_S) -> Sums:
        """The sums once nothing is awaited or queued; TimeoutError says what still is."""
        return wait_for(
            lambda: sums if not (sums := self.ledger(hub_id))["awaited"] and not sums["queued"] else None,
            timeout,
            lambda: f"hub {hub_id}: the ledger does not settle: {self.ledger(hub_id)}",
        )

    def stored(self, hub_id: str, kind: int | None = None, after: int = 0) -> list[Stored]:
        """The hub's events in the journal that are newer than number `after`, in the hub's own order."""
        rows = self._ask(
            "SELECT boot, seq, kind, class, delivered_ms IS NOT NULL FROM events"
            " WHERE hub=? AND kind=ifnull(?, kind) AND n>? ORDER BY boot, seq",
            hub_id,
            kind,
            after,
        )
        return [Stored(boot, seq, kind, level, bool(done)) for boot, seq, kind, level, done in rows]

    def newest(self, hub_id: str) -> int:
        """Number in the journal of the hub's newest event; 0: none."""
        return int(self._ask("SELECT ifnull(max(n), 0) FROM events WHERE hub=?", hub_id)[0][0])

    def wait_heard(self, hub_id: str, after: int, timeout: float = SETTLE_S) -> None:
        """Return once the hub has an event newer than that number; TimeoutError."""
        wait_for(
            lambda: self.newest(hub_id) > after or None,
            timeout,
            lambda: f"nothing was heard of hub {hub_id} in {timeout} s",
        )

    def journal_calls(self, hub_id: str) -> list[tuple[int, int]]:
        """(boot, seq) of every call of the hub that is stored."""
        return [(one.boot, one.seq) for one in self.stored(hub_id, k.CALL)]

    def open_alarms(self, hub_id: str = "") -> list[str]:
        """Names of the alarms that nobody has closed, of one hub or of all."""
        rows = self._ask("SELECT hub, boot, seq FROM alarms WHERE state<>?", k.CLOSED)
        return [f"{hub}/{boot}-{seq}" for hub, boot, seq in rows if hub_id in ("", hub)]

    @contextlib.contextmanager
    def paired(self, hub_id: str, role: str, address: bytes, name: str = "", **options: Any) -> Iterator[int]:
        """A sensor at this address is the hub's for as long as the block lasts; its device index.

        options: Registry.add_sensor's (bind_key, supervision_s, ...); TimeoutError when the hub does not
        confirm its table."""
        index = self.registry.add_sensor(hub_id, role, address.hex(":"), name, **options)
        try:
            self.wait_table(hub_id)
            yield index
        finally:
            self.registry.remove_sensor(hub_id, index)
            self.wait_table(hub_id)

    def wait_table(self, hub_id: str, timeout: float = SETTLE_S) -> None:
        """Return once the hub has confirmed its table of sensors; TimeoutError."""
        wanted, _ = self.registry.device_table(hub_id)

        def done() -> bool | None:
            rows = self._ask(
                "SELECT payload FROM commands WHERE hub=? AND type=? AND state='done'", hub_id, k.DEVICES
            )
            return wanted in [down.decode(payload)[k.VERSION_OF] for (payload,) in rows] or None

        wait_for(done, timeout, lambda: f"hub {hub_id} did not confirm table {wanted} in {timeout} s")

    def refused(self) -> dict[tuple[str, str], int]:
        """(link, reason) -> messages that the daemon has refused since its start."""
        lines = [line for line in self.town.daemon.log().splitlines() if '"metrics"' in line]
        urls = [found["url"] for line in lines if (found := json.loads(line)).get("event") == "metrics"]
        with urllib.request.urlopen(urls[-1], timeout=UP_S) as answer:  # noqa: S310  # the daemon said http:
            families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.labels["link"], sample.labels["reason"]): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "kanhu_refused_total"
        }

    def _ask(self, question: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(f"{self.journal.resolve().as_uri()}?mode=ro", uri=True)) as db:
            return db.execute(question, values).fetchall()
