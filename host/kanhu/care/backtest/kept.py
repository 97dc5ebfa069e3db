"""The past of homes as a daemon's journal keeps it, read beside a running daemon."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from kanhu.care.homes import HubPast
from kanhu.care.rules.past import Mode, Past, Plan
from kanhu.errors import ConfigError, DataError
from kanhu.journal import Event
from kanhu.journal.plain import believed
from kanhu.journal.times import Anchor, resolve
from kanhu.registry import Registry
from kanhu.silence import limit_s
from kanhu_protocol import kinds as k

from .recording import HEARD, MOVEMENT, Recording, Step

TOLD, MODE = "told", "mode"
TOLD_EVERY = 2000  # events between two reports of progress
DEFAULT_LIMIT_S = limit_s(300, 3)  # of a hub's silence, for a journal whose daemon did not say
_EVENTS = "SELECT n, hub, boot, seq, class, kind, plain, received_ms, link FROM events WHERE hub=? ORDER BY n"
_OWN = (k.CHECK_IN, k.CHECK_OUT, k.SENSOR_UNPROVEN, k.SENSOR_PROVEN)  # what the daemon itself says of a home

Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Kept(Recording):
    """One hub's past; its events are put in as the watch puts them in."""

    hub: str = ""
    limit_ms: int = 0
    _home: HubPast | None = field(default=None, repr=False)

    def past(self) -> Past:
        """An empty past of this home."""
        self._home = HubPast(self.hub, self.zone, self.devices, self.plans, self.limit_ms)
        return self._home.past

    def put(self, past: Past, step: Step) -> None:
        """Let a past know of one step."""
        home, value = self._home, step.value
        if isinstance(value, Mode):
            past.mode(value)
        elif home is not None and isinstance(value, Event):
            if step.what == TOLD:
                home.told(value)
            else:
                home.take(value, step.at_ms)
                home.settle(step.at_ms, ())


def read_journal(
    data_dir: Path, homes: Sequence[str] | None, progress: Progress = lambda done, total: None
) -> Iterator[Kept]:
    """Each hub of these homes (None: of all) that has a past; DataError, ConfigError."""
    path = data_dir / "journal.db"
    if not path.exists():
        raise DataError(
            f"no journal in {data_dir}: give the daemon's data_dir, or a file of time, sensor, state"
        )
    found = 0
    with closing(Registry.open(data_dir, "read")) as registry:
        wanted = [registry.home(home) for home in homes] if homes else registry.homes()
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
                for home in wanted:
                    for hub in registry.hubs(home.id):
                        kept = _hub(db, registry, home.id, ZoneInfo(home.time_zone), hub.id, progress)
                        if kept is not None:
                            found += 1
                            yield kept
        except sqlite3.Error as error:
            raise DataError(f"{path}: {error}") from None
    if not found:
        raise ConfigError(f"{path}: no movement of any home in it yet")


def _hub(
    db: sqlite3.Connection, registry: Registry, home: str, zone: ZoneInfo, hub: str, progress: Progress
) -> Kept | None:
    meta = dict(db.execute("SELECT key, value FROM meta WHERE key IN ('daemon_id', 'silence_limit_s')"))
    kept = Kept(
        home, zone, tuple(registry.devices_of(hub)), [], 0, 0, supervised=True, settings=registry.rules(home),
        plans=tuple(Plan(one.days, one.from_min, one.until_min, one.what) for one in registry.plans(home)),
        hub=hub, limit_ms=int(meta.get("silence_limit_s", DEFAULT_LIMIT_S)) * 1000,
    )  # fmt: skip
    steps = [
        *_heard(db, kept, progress),
        *_told(db, str(meta["daemon_id"]), hub),
        *(
            Step(from_ms, 0, MODE, Mode(mode, from_ms, until_ms))
            for mode, from_ms, until_ms in db.execute(
                "SELECT mode, from_ms, until_ms FROM modes WHERE hub=? ORDER BY id", (hub,)
            )
        ),
    ]
    if not any(step.what == MOVEMENT for step in steps):
        return None
    steps.sort(key=lambda step: step.at_ms)
    kept.steps, kept.from_ms, kept.until_ms = steps, steps[0].at_ms, steps[-1].at_ms
    return kept


def _heard(db: sqlite3.Connection, kept: Kept, progress: Progress) -> Iterator[Step]:
    anchors: dict[int, list[Anchor]] = {}
    for boot, up_ms, utc_ms, source in db.execute(
        "SELECT boot, up_ms, utc_ms, source FROM anchors WHERE hub=? ORDER BY up_ms", (kept.hub,)
    ):
        anchors.setdefault(boot, []).append(Anchor(up_ms, utc_ms, source))
    (total,) = db.execute("SELECT count(*) FROM events WHERE hub=?", (kept.hub,)).fetchone()
    account = kept.account
    for n, name, boot, seq, cls, kind, plain, received_ms, link in db.execute(_EVENTS, (kept.hub,)):
        account.rows += 1
        if account.rows % TOLD_EVERY == 0:
            progress(account.rows, total)
        event = Event(name, boot, seq, cls, kind, None, plain, believed(plain), received_ms, link, n)
        at_ms, _ = resolve(event.fields, received_ms, anchors.get(boot, []))
        if at_ms is None:
            account.ignored["moment not known"] += 1
            continue
        account.used += 1
        moved = kind in (k.MOTION, k.MOTION_COUNT)
        # As if it had come at once: a backtest is about the rule, not about the link of those days.
        at_once = replace(event, received_ms=at_ms)
        yield Step(at_ms, event.fields.get(k.DEVICE, 0), MOVEMENT if moved else HEARD, at_once)


def _told(db: sqlite3.Connection, daemon_id: str, hub: str) -> Iterator[Step]:
    marks = ",".join("?" * len(_OWN))
    sql = (
        "SELECT n, boot, seq, class, kind, plain, received_ms, link FROM events "  # noqa: S608  # question marks
        f"WHERE hub=? AND kind IN ({marks}) AND instr(plain, CAST(? AS BLOB)) > 0 ORDER BY n"
    )
    for n, boot, seq, cls, kind, plain, received_ms, link in db.execute(sql, (daemon_id, *_OWN, hub)):
        fields = believed(plain)
        if fields.get(k.SUBJECT) == hub:
            event = Event(daemon_id, boot, seq, cls, kind, None, plain, fields, received_ms, link, n)
            yield Step(received_ms, fields.get(k.DEVICE, 0), TOLD, event)
