"""What has become of a plan: everything that was seen of it, waited for and judged."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import urllib.error
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from kanhu import ledger
from kanhu.sim.town import Home
from kanhu_protocol import kinds as k

from . import oracle
from .heard import Made, told
from .oracle import Arrival, Pressed, Record, Violation
from .processes import Processes

CALM_S = 0.3  # settled means settled for so long
DESK_AGAIN_S = 1.5  # the desk looks at what is open so often


class World(Processes):
    """The processes, and what can be told of them afterwards."""

    def settle(self, limit_s: float) -> list[Violation]:
        """Wait until everything has arrived, every alarm is closed and every hub shows so."""
        begun = calm = time.monotonic()
        asked = 0.0
        while True:
            now = time.monotonic()
            open_, waits = self._waits()
            if not waits:
                if now - calm >= CALM_S:
                    return []
            else:
                calm = now
            if now - begun > limit_s:
                return [Violation("not settled", f"{limit_s:g} s after the last fault: {waits}")]
            if open_ and now - asked > DESK_AGAIN_S:
                asked = now
                city = self.cities[-1]
                with city.lock:
                    city.waiting = dict.fromkeys(open_, now)
                city.accept_all()
            time.sleep(0.1)

    def _waits(self) -> tuple[list[str], str]:
        """The alarms not closed; and in words what is still to come, "" when nothing is."""
        path = self.town.daemon.data_dir / "journal.db"
        try:
            rows = oracle.read_rows(path)
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                alarms = db.execute(
                    "SELECT hub, boot, seq FROM alarms WHERE state <> ?", (k.CLOSED,)
                ).fetchall()
        except sqlite3.Error as error:
            return [], str(error)
        open_ = [f"{hub}/{boot}-{seq}" for hub, boot, seq in alarms]
        waits = [
            f"{hub}: {row['awaited']} awaited, {row['queued']} queued"
            for hub, row in oracle.sums(rows).items()
            if row["awaited"] or row["queued"]
        ]
        if open_:
            waits.append(f"alarms not closed: {', '.join(open_)}")
        handed = {event.identity for event in self.handed()}
        waits += [f"on its way: {name}" for name in sorted(self._must_come() - handed)]
        lost = [v.text for v in oracle.presses(self.record(rows, {})) if v.rule == "heard press lost"]
        waits += lost
        for home in self.homes:
            if home.hub.running and (shown := self.shown(home)) not in ("well", "fault"):
                waits.append(f"{home.hub_id} shows {shown}")
        return open_, "; ".join(waits)

    def _must_come(self) -> set[oracle.Identity]:
        forgetful = self.forgetful()
        return {one for one in self.wire.sent_p1 if one[0] not in forgetful}

    def shown(self, home: Home) -> str:
        """The pattern that the hub's lamp shows."""
        lines = (text for _, text in reversed(home.hub.lines()) if text.startswith("kanhu: lamp "))
        return next(lines, "nothing").split()[-1]

    def pressed(self) -> list[Pressed]:
        """The bench's own list."""
        result: list[Pressed] = []
        bench = self.town.bench
        for home, noticed in zip(self.homes, self.noticed, strict=True):
            own = [p for p in (*bench.presses, *bench.missed_presses) if p.hub_id == home.hub_id]
            made = [
                Made(press.time, home.devices[press.sensor.split("/")[1]], seen)
                for press, seen in zip(sorted(own), noticed, strict=False)  # one may be under way
            ]
            result += told(
                made, home.hub.lines(), self.dark[home.hub_id], self.full[home.hub_id], home.hub_id
            )
        return result

    def handed(self) -> list[Arrival]:
        """What the platform's SDK gave to its consumer, in order; an event that the consumer had not finished
        when it ended comes again, marked so, and counts once."""
        found: dict[oracle.Identity, None] = {}
        result = []
        for city in self.cities:
            with city.lock:
                log = list(city.log)
            for when, event in log:
                arrival = Arrival.of(when, event.cloudevent)
                if not (event.redelivered and arrival.identity in found):
                    result.append(arrival)
                found[arrival.identity] = None
        return result

    def forgetful(self) -> frozenset[str]:
        """Hubs that lost power while or after their flash was full."""
        return frozenset(
            hub
            for hub, spells in self.full.items()
            if spells and any(dark.end >= spells[0].begin for dark in self.dark[hub])
        )

    def record(self, rows: oracle.Rows, printed: dict[str, ledger.Sums]) -> Record:
        return Record(
            self.pressed(),
            list(self.wire.received),
            self.handed(),
            rows,
            {hub: dict(row) for hub, row in printed.items()},  # type: ignore[arg-type]
            dict(self.motions),
            frozenset(self.wire.sent_p1),
            frozenset(hub for hub, spells in self.full.items() if spells) | self._own_lossy(rows),
            self.forgetful(),
        )

    def _own_lossy(self, rows: oracle.Rows) -> frozenset[str]:
        """The daemon, when its disk was full: an event of its own that found no room is known as lost."""
        hubs = {home.hub_id for home in self.homes}
        return frozenset(row[0] for row in rows.events if row[0] not in hubs and self.disk_was_full)

    def violations(self) -> list[Violation]:
        """The oracle's judgement, and what only this world can see."""
        path = self.town.daemon.data_dir / "journal.db"
        rows, printed = oracle.read_rows(path), ledger.recompute(path)
        found = oracle.judge(self.record(rows, printed))
        found += [Violation("daemon ended by itself", text) for text in self.ended]
        found += [Violation("unreadable on the broker", text) for text in self.wire.unreadable]
        found += [Violation("the platform's side failed", c.error) for c in self.cities if c.error]
        found += [Violation("delivered twice", "within one session") for c in self.cities if c.tally.repeats]
        if not self.town.daemon.running:
            return [*found, Violation("daemon ended by itself", self.town.daemon.log()[-600:])]
        running = self._running_sums()
        own = Counter[str]()
        for row in oracle.sums(rows).values():
            own.update(row)
        if any(running.get(name) != own[name] for name in oracle.SUMS):
            found.append(Violation("ledger differs", f"the daemon says {running}, its tables {dict(own)}"))
        return found

    def _running_sums(self) -> dict[str, int]:
        lines = [
            line for line in self.town.daemon.log().splitlines() if '"url"' in line and '"metrics"' in line
        ]
        url = lines[-1].partition('"url": "')[2].partition('"')[0]
        text = _read_url(url)
        return {
            sample.labels["sum"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "kanhu_ledger_events"
        }


def _read_url(url: str) -> str:
    for _ in range(5):  # a computer with much to do may not answer in the time a scrape has
        with (
            contextlib.suppress(urllib.error.HTTPError),
            urllib.request.urlopen(url, timeout=10) as answer,  # noqa: S310  # the daemon said http:
        ):
            return str(answer.read().decode())
    raise TimeoutError(f"no metrics from {url}")
