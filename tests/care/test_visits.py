"""Who was at a home: in and out by key, desk and code; a chain that shows what was changed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from helpers_cli import Kanhu, runner
from helpers_intake import Clock, Host, HubVoice
from helpers_mqtt import until
from kanhu.care.homes import VISIT_MS
from kanhu.care.visits import WRONG_MAX, WRONG_MS, VisitError, Visits, code
from kanhu.ending import end
from kanhu.journal import Journal, JournalUnavailable
from kanhu.journal.erasing import erase
from kanhu.registry import Registry
from kanhu.uplink.city import City
from kanhu_protocol import kinds as k

HOUR_MS = 3_600_000
SHANGHAI = ZoneInfo("Asia/Shanghai")


class House:
    """A home with a hub whose key is known, over a data_dir that outlives its daemons."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = Clock()
        with closing(Registry.open(data)) as registry:
            self.home = registry.add_home("cn/42", name="张秀英")
            self.hub = HubVoice(*registry.add_hub(self.home))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Host, Visits]]:
        host = Host(self.data, self.hub, clock=self.clock)
        registry = Registry.open(self.data)
        visits = Visits(host.journal, registry, self.data)
        task = asyncio.ensure_future(visits.run())
        try:
            yield host, visits
        finally:
            await end([task])
            await host.journal.close()
            registry.close()

    def rows(self) -> list[tuple[str, str, str, int | None]]:
        with closing(sqlite3.connect(self.data / "journal.db")) as db:
            return db.execute("SELECT what, who, via, span_ms FROM visits ORDER BY id").fetchall()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "data")


@pytest.fixture
def kanhu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    return runner(monkeypatch, capsys)


async def test_in_and_out_at_the_desk_are_events_with_a_duration(house: House) -> None:
    async with house.open() as (host, visits):
        hub = house.hub.hub_id
        visit = await visits.check_in(hub, "carer-7")
        assert await visits.check_in(hub, "carer-7") == visit  # said twice, came once
        await visits.check_in(hub, "nurse-2")
        assert [one.who for one in visits.here(hub)] == ["carer-7", "nurse-2"]
        house.clock.now_ms += 40 * 60_000
        assert await visits.check_out(hub, "carer-7") == 40 * 60_000
        with pytest.raises(VisitError, match="not checked in"):
            await visits.check_out(hub, "carer-7")
        assert [one.who for one in visits.here(hub)] == ["nurse-2"]
        (gone,) = host.own(k.CHECK_OUT)
        assert (gone.fields[k.SUBJECT], gone.fields[k.OPERATOR], gone.fields[k.SPAN_MS]) == (
            hub, "carer-7", 40 * 60_000,
        )  # fmt: skip
        assert len(host.own(k.CHECK_IN)) == 2
        assert visits.verify().rows == 3
        assert not visits.verify().broken


@pytest.mark.parametrize(
    ("who", "via", "why"),
    [
        ("", "desk", "printable"),
        ("a\nb", "desk", "printable"),
        ("x" * 65, "desk", "64"),
        ("x", "ghost", "via"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    house: House, who: str, via: str, why: str
) -> None:
    async with house.open() as (host, visits):
        with pytest.raises(VisitError, match=why):
            await visits.check_in(house.hub.hub_id, who, via)
        with pytest.raises(VisitError, match="no home"):
            await visits.check_in("0000000000", "carer-7")
        assert host.own(k.CHECK_IN) == []
    assert house.rows() == []


async def test_a_key_at_the_hub(house: House) -> None:
    hub = house.hub
    async with house.open() as (host, visits):
        await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
        await host.intake.receive(hub.hub_id, hub.say(k.CHECK_IN, {k.DEVICE: 9}), "mqtt")
        await until(lambda: bool(visits.here(hub.hub_id)))
        again = hub.say(k.CHECK_IN, {k.DEVICE: 9})
        await host.intake.receive(hub.hub_id, again, "mqtt")
        await host.intake.receive(hub.hub_id, again, "mqtt")  # the same bytes: once
        house.clock.now_ms += HOUR_MS
        await host.intake.receive(hub.hub_id, hub.say(k.CHECK_OUT, {k.DEVICE: 9}), "mqtt")
        await until(lambda: not visits.here(hub.hub_id))
        assert host.own(k.CHECK_IN) == host.own(k.CHECK_OUT) == []  # the platform has the hub's own
    assert house.rows() == [
        ("in", "device 9", "button", None),
        ("out", "device 9", "button", HOUR_MS),
    ]


async def test_a_daemon_killed_before_the_row_writes_it_after(house: House) -> None:
    hub = house.hub
    async with house.open():
        pass  # the follower knows where it stands
    host = Host(house.data, hub, clock=house.clock)  # nobody follows the events of this one
    await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
    await host.intake.receive(hub.hub_id, hub.say(k.CHECK_IN, {k.DEVICE: 9}), "mqtt")
    await host.journal.close()
    for _ in range(2):  # and once only
        async with house.open() as (_, visits):
            await until(lambda: bool(visits.here(hub.hub_id)))
    assert house.rows() == [("in", "device 9", "button", None)]


async def test_who_forgets_to_check_out_is_gone_after_a_while_and_nobody_knows_since_when(
    house: House,
) -> None:
    hub = house.hub.hub_id
    async with house.open() as (_, visits):
        await visits.check_in(hub, "carer-7")
        house.clock.now_ms += VISIT_MS - 1
        assert await visits.close_forgotten() == 0
    house.clock.now_ms += 5 * VISIT_MS  # the daemon was off meanwhile
    async with house.open() as (host, visits):
        assert visits.here(hub)
        assert await visits.close_forgotten() == 1
        assert not visits.here(hub)
        (said,) = host.own(k.CHECK_OUT)
        assert said.fields[k.REASON] == "not_checked_out"
        assert k.SPAN_MS not in said.fields
    assert house.rows()[-1] == ("out", "carer-7", "bound", None)


async def test_what_the_disk_did_not_take_did_not_happen(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = house.hub.hub_id
    async with house.open() as (host, visits):
        await visits.check_in(hub, "carer-7")
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "no_room", lambda journal, rows: "no room")
            with pytest.raises(JournalUnavailable):
                await visits.check_out(hub, "carer-7")
        assert visits.here(hub)
        await visits.check_out(hub, "carer-7")
        assert not visits.verify().broken
        assert len(host.own(k.CHECK_OUT)) == 1
    assert len(house.rows()) == 2


async def test_many_at_once_make_one_chain(house: House) -> None:
    hub = house.hub
    async with house.open() as (host, visits):
        await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
        work = [visits.check_in(hub.hub_id, f"carer-{n}") for n in range(20)]
        keys = b"".join(hub.say(k.CHECK_IN, {k.DEVICE: 9 + n}) for n in range(8))
        await asyncio.gather(*work, host.intake.receive(hub.hub_id, keys, "mqtt"))
        await until(lambda: len(visits.here(hub.hub_id)) == 28)
        found = visits.verify()
        assert (found.rows, found.broken) == (28, ())


Tamper = Callable[[sqlite3.Connection], object]
TAMPERED: dict[str, Tamper] = {
    "changed who": lambda db: db.execute("UPDATE visits SET who='somebody' WHERE id=2"),
    "changed when": lambda db: db.execute("UPDATE visits SET at_ms=at_ms-3600000 WHERE id=2"),
    "changed how long": lambda db: db.execute("UPDATE visits SET span_ms=7200000 WHERE what='out'"),
    "taken out": lambda db: db.execute("DELETE FROM visits WHERE id=2"),
    "put in": lambda db: db.execute("INSERT INTO visits SELECT 99,hub,at_ms,what,'x',via,span_ms,digest FROM visits WHERE id=2"),  # noqa: E501
    "swapped": lambda db: db.executescript("UPDATE visits SET id=50 WHERE id=1;UPDATE visits SET id=1 WHERE id=2;UPDATE visits SET id=2 WHERE id=50"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_tampered_table_shows(house: House, kanhu: Kanhu, how: str) -> None:
    hub = house.hub.hub_id
    async with house.open() as (_, visits):
        for who in ("a", "b"):
            await visits.check_in(hub, who)
        await visits.check_out(hub, "a")
    assert kanhu("visits", "verify", "--data-dir", house.data).returncode == 0
    with closing(sqlite3.connect(house.data / "journal.db")) as db:
        TAMPERED[how](db)
        db.commit()
    done = kanhu("visits", "verify", "--data-dir", house.data, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["broken"]


async def test_rows_cut_off_at_the_end_show_against_a_head_that_was_noted(house: House, kanhu: Kanhu) -> None:
    hub = house.hub.hub_id
    async with house.open() as (_, visits):
        await visits.check_in(hub, "a")
        await visits.check_out(hub, "a")
    head = json.loads(kanhu("visits", "verify", "--data-dir", house.data, "--json").stdout)["head"]
    async with house.open() as (_, visits):
        await visits.check_in(hub, "b")
    assert kanhu("visits", "verify", "--data-dir", house.data, "--head", head).returncode == 0
    with closing(sqlite3.connect(house.data / "journal.db")) as db:
        db.execute("DELETE FROM visits WHERE id>=2")
        db.commit()
    assert kanhu("visits", "verify", "--data-dir", house.data).returncode == 0  # alone it does not show
    done = kanhu("visits", "verify", "--data-dir", house.data, "--head", head)
    assert done.returncode == 1
    assert "cut off" in done.stdout


async def test_a_forgotten_home_leaves_a_chain_that_holds(house: House) -> None:
    hub = house.hub.hub_id
    with closing(Registry.open(house.data)) as registry:
        other, _ = registry.add_hub(registry.add_home())
    async with house.open() as (host, visits):
        await visits.check_in(hub, "carer-7")
        await visits.check_in(other, "carer-7")
        visits.forget(hub)
        await erase(host.journal, hub, True)
        await visits.check_out(other, "carer-7")
        found = visits.verify()
        assert (found.rows, found.forgotten, found.broken) == (3, 1, ())
        assert visits.here(hub) == []


async def test_the_code_of_the_day(house: House, kanhu: Kanhu) -> None:
    hub = house.hub.hub_id
    async with house.open() as (_, visits):
        today = visits.code(hub, date(2026, 9, 21))
        assert len(today) == 6
        assert today.isdigit()
        assert today != visits.code(hub, date(2026, 9, 22))
        visit = await visits.check_in_by_code(hub, "carer-7", f" {today} ")
        assert visit.via == "code"
        wrong = f"{(int(today) + 1) % 10**6:06d}"
        for _ in range(WRONG_MAX):
            with pytest.raises(VisitError, match="not today"):
                await visits.check_in_by_code(hub, "x", wrong)
        with pytest.raises(VisitError, match="too many"):
            await visits.check_in_by_code(hub, "x", today)  # the right one too
        assert (visits.counts["wrong_code"], visits.counts["locked"]) == (WRONG_MAX, 1)
        house.clock.now_ms += WRONG_MS + 1
        await visits.check_in_by_code(hub, "nurse-2", today)
    day = date.today()  # noqa: DTZ011  # only to have one
    made = code(house.data, house.home, day)
    other = code(house.data, "another-home", day)
    assert made != other
    done = kanhu("visits", "code", house.home, "--data-dir", house.data, "--json")
    assert set(json.loads(done.stdout)) == {"home", "day", "code"}
    assert (house.data / "visits.secret").stat().st_mode & 0o077 == 0
    listed = json.loads(kanhu("visits", "list", "--data-dir", house.data, "--json").stdout)
    assert [row["who"] for row in listed] == ["nurse-2", "carer-7"]


async def test_the_platform_checks_carers_in_and_out(house: House) -> None:
    replies: list[dict[str, object]] = []

    class Uplink:
        def reply(self, message: bytes) -> None:
            replies.append(json.loads(message))

    hub = house.hub.hub_id
    async with house.open() as (host, visits):
        city = City(host.journal, host.alarms, None, None)  # type: ignore[arg-type]
        city.uplink, city.visits = Uplink(), visits  # type: ignore[assignment]
        today = visits.code(hub, datetime.fromtimestamp(house.clock.now_ms / 1000, SHANGHAI).date())
        wrong = f"{(int(today) + 1) % 10**6:06d}"

        async def say(command: str, **more: str) -> dict[str, object]:
            said = {"id": "1", "command": command, "hub": hub, "who": "carer-7"} | more
            steps = city.command(json.dumps(said).encode())
            assert steps  # the broker keeps the command until it is on disk, or refused
            await asyncio.gather(*steps)
            return replies.pop()

        assert "not today" in str((await say("check_in", code=wrong))["error"])
        assert visits.here(hub) == []
        assert (await say("check_in", code=today))["ok"] is True
        assert (await say("check_in"))["ok"] is True  # twice is once
        assert (await say("check_out"))["ok"] is True
        assert "not checked in" in str((await say("check_out"))["error"])
    assert [row[:3] for row in house.rows()] == [("in", "carer-7", "code"), ("out", "carer-7", "desk")]
