"""`kanhu registry forget` and `export-home`: everything, and then nothing."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_cli import Kanhu
from helpers_intake import Clock, Host, HubVoice
from helpers_mqtt import until
from kanhu import config, ledger
from kanhu.broker import free_port
from kanhu.care.faults import Faults
from kanhu.care.proofs import Proofs
from kanhu.cli import privacy
from kanhu.daemon import Daemon
from kanhu.errors import DataError
from kanhu.journal import Journal, JournalUnavailable, chain, erasing
from kanhu.journal.erasing import CHAINED, PREFIX, TABLES, erase
from kanhu.journal.event import Identity
from kanhu.journal.retention import retire
from kanhu.journal.schema import MIGRATIONS
from kanhu.registry import Registry
from kanhu.witness import Witness
from kanhu_protocol import kinds as k

NAME, ADDRESS, PHONE = "张秀英 Zhang", "武昌区中山路 7 号", "+86 27 8888 1234"
SENSOR, ROOM = "浴室的按钮", "浴室"
OPERATOR, REASON = "operator-wang", "张秀英摔倒了，已送医院"
MOTIONS = 300


class Street:
    """Two homes in one journal; everything that can be said of the first has been said."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = Clock()
        with closing(Registry.open(data)) as registry:
            self.home = registry.add_home("cn/42", name=NAME, address=ADDRESS, phones=[PHONE])
            self.other = registry.add_home(name="Neighbour")
            hub, key = registry.add_hub(self.home)
            registry.add_sensor(hub, "call", "A4:C1:38:0B:5E:9D", SENSOR, ROOM)
            self.hub = HubVoice(hub, key)
            self.neighbour = HubVoice(*registry.add_hub(self.other))

    def open(self) -> Host:
        return Host(self.data, self.hub, self.neighbour, clock=self.clock)

    async def live(self, deliver: bool = True) -> Host:
        """A life: motion, losses, a gap, an identity taken twice, a call taken and closed, commands."""
        host, hub, other = self.open(), self.hub, self.neighbour
        await host.intake.receive(hub.hub_id, hub.start(1), "mqtt")
        await host.intake.receive(other.hub_id, other.start(1), "mqtt")
        call = hub.say(k.CALL, {k.DEVICE: 1})
        await host.intake.receive(hub.hub_id, call, "mqtt")
        name = (hub.hub_id, 1, 1)
        await host.alarms.accept(name, OPERATOR)
        await host.alarms.close(name, OPERATOR, REASON)
        await host.alarms.correct(name, OPERATOR, REASON + "!")
        for _ in range(MOTIONS // 12):
            for voice in (hub, other):
                said = [voice.say(k.MOTION, {k.DEVICE: 2}) for _ in range(12)]
                await host.intake.receive(voice.hub_id, b"".join(said[1:]), "mqtt")
        lost = {k.LOST: [[1, 50, 60]], k.COUNT: 11, k.DETAIL: 1}
        await host.intake.receive(hub.hub_id, hub.say(k.EVENTS_LOST, lost), "mqtt")
        hub.seq -= 1
        await host.intake.receive(hub.hub_id, hub.say(k.MOTION, {k.DEVICE: 9}), "mqtt")
        await host.intake.receive(hub.hub_id, hub.sealed(b"\xff", 1, hub.seq + 1), "mqtt")
        await host.intake.receive(hub.hub_id, hub.start(4, previous=(1, hub.seq + 3)), "mqtt")
        table = [[1, 1, bytes.fromhex("A4C1380B5E9D"), 0]]
        await host.commands.create(hub.hub_id, k.DEVICES, {k.VERSION_OF: 1, k.TABLE: table})
        await host.journal.host_event(k.HUB_SILENT, {k.SUBJECT: hub.hub_id, k.SPAN_MS: 5})
        await host.journal.host_event(k.HUB_SILENT, {k.SUBJECT: other.hub_id, k.SPAN_MS: 5})
        await self.care(host)
        if deliver:
            await host.journal.mark_delivered(host.journal.undelivered(limit=10_000))
        return host

    async def care(self, host: Host) -> None:
        """What care keeps of both homes: faults, proofs, modes, visits, what rules said, who looked."""
        faults, proofs = Faults(host.journal, {self.hub.hub_id: "cn/42"}.get), Proofs(host.journal, bool)
        host.intake.notes += [proofs.note, faults.note]
        now = host.journal.clock()
        for voice, who, why in ((self.hub, OPERATOR, REASON), (self.neighbour, "op-b", "battery")):
            hub = voice.hub_id
            for kind, fields in (
                (k.TAMPER, {k.DEVICE: 3}), (k.MAINS_LOST, {}), (k.PATH_PROVEN, {k.SPAN_MS: 812}),
            ):  # fmt: skip
                await host.intake.receive(hub, voice.say(kind, fields), "mqtt")
            await faults.close(faults.open(hub)[0].id, who, why)
            late = now + 3650 * 86_400_000  # of a daemon with a true clock, too
            await faults.assign(faults.open(hub)[0].id, who, late, who)
            batch = host.journal.batch()
            mode = "INSERT INTO modes (hub, mode, from_ms, until_ms, set_by, set_ms) VALUES (?,2,?,?,?,?)"
            batch.run(mode, hub, now, now + 1, who, now)
            said = "INSERT INTO rule_record (hub, rule, at_ms, outcome, reason) VALUES (?,?,?,?,?)"
            batch.run(said, hub, "inactivity/1", now, "closed", why)
            with closing(sqlite3.connect(host.journal.path)) as db:
                before = [chain.newest(db, table) for table in (chain.VISITS, chain.AUDIT)]
            digest = chain.digest(before[0], (now, "in", "card", None), (hub, who))
            visit = "INSERT INTO visits (hub, at_ms, what, who, via, digest) VALUES (?,?,'in',?,'card',?)"
            batch.run(visit, hub, now, who, digest)
            digest = chain.digest(before[1], (now, "desk", "person"), (hub, why))
            batch.run("INSERT INTO firmware VALUES (?,'0.1.0','1 1',1,0,?)", hub, now)
            row = "INSERT INTO rollout_hubs VALUES (1,?,?,'done',?,'',1,7,1,9,1)"
            batch.run(row, hub, now % 1000, now)
            look = "INSERT INTO audit (at_ms, operator, what, hub, detail, digest) VALUES (?,?,?,?,?,?)"
            batch.run(look, now, "desk", "person", hub, why, digest)
            await batch.submit()

    def chains(self) -> list[chain.Verdict]:
        """Of visits and audit, as they are on disk."""
        with closing(sqlite3.connect(self.data / "journal.db")) as db:
            return [chain.verify(db, table) for table in chain.TABLES]

    def traces(self) -> dict[str, int]:
        """How often each thing that leads to the person stands in any file of the host."""
        words = {
            "name": NAME.encode(), "address": ADDRESS.encode(), "phone": PHONE.encode(),
            "escaped": json.dumps(NAME)[1:-1].encode(), "home": self.home.encode(),
            "hub": self.hub.hub_id.encode(), "key": self.hub.key, "sensor": SENSOR.encode(),
            "room": ROOM.encode(), "mac": bytes.fromhex("A4C1380B5E9D"), "operator": OPERATOR.encode(),
            "reason": REASON.encode(),
        }  # fmt: skip
        raw = b"\0".join(path.read_bytes() for path in self.data.rglob("*") if path.is_file())
        return {what: raw.count(word) for what, word in words.items()}

    def sums(self) -> dict[str, ledger.Sums]:
        sums = ledger.recompute(self.data / "journal.db")
        assert all(map(ledger.balanced, sums.values())), sums
        return sums


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path / "data")


def total(sums: dict[str, ledger.Sums]) -> dict[str, int]:
    return {name: sum(one[name] for one in sums.values()) for name in ledger.Sums.__annotations__}  # type: ignore[literal-required]


async def gone(street: Street, before: dict[str, ledger.Sums]) -> None:
    """Nothing leads to the person; every count is where it was, and only awaited is given up."""
    assert street.traces() == dict.fromkeys(street.traces(), 0)
    after = street.sums()
    assert street.hub.hub_id not in after
    (stand_in,) = [name for name in after if name.startswith(PREFIX)]
    assert all(found.broken == () for found in street.chains())
    old = before[street.hub.hub_id]
    assert after[stand_in]["announced"] == old["announced"]
    assert after[stand_in]["stored"] == after[stand_in]["delivered"] == old["delivered"]
    assert after[stand_in]["awaited"] == after[stand_in]["queued"] == 0
    assert after[street.neighbour.hub_id] == before[street.neighbour.hub_id]
    assert total(after)["announced"] == total(before)["announced"]
    journal = Journal.open(street.data)  # the running ledger says the same
    for hub, sums in after.items():
        if hub != journal.daemon_id:
            assert vars_of(journal.ledger(hub)) == sums
    await journal.close()


def vars_of(sums: Any) -> dict[str, int]:
    return {name: getattr(sums, name) for name in ledger.Sums.__annotations__}


def test_every_table_that_names_a_hub_is_known() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for step in MIGRATIONS:
            db.executescript(step)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        columns = {table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables}
    assert {table for table, names in columns.items() if "hub" in names} == {*TABLES, *CHAINED}


async def test_nothing_is_left_and_the_ledger_balances(street: Street, kanhu: Kanhu) -> None:
    host = await street.live()
    await host.journal.close()
    before = street.sums()
    assert all(street.traces()[what] for what in set(street.traces()) - {"escaped"}), street.traces()
    done = await asyncio.to_thread(
        kanhu, "registry", "forget", street.home, "--data-dir", street.data, "--yes"
    )
    assert done.returncode == 0, done.stderr
    assert "backups made before" in done.stdout
    await gone(street, before)
    again = await asyncio.to_thread(
        kanhu, "registry", "forget", street.home, "--data-dir", street.data, "--yes"
    )
    assert again.returncode == 2
    assert "not known" in again.stderr


async def test_what_it_says_later_is_a_strangers(street: Street, kanhu: Kanhu) -> None:
    await (await street.live()).journal.close()
    await asyncio.to_thread(kanhu, "registry", "forget", street.home, "--data-dir", street.data, "--yes")
    host = street.open()
    del host.keys.by_hub[street.hub.hub_id]  # as the registry has it
    await host.intake.receive(street.hub.hub_id, street.hub.say(k.MOTION, {k.DEVICE: 2}), "mqtt")
    assert host.counters.refused["mqtt", "unknown_hub"] == 1
    await host.journal.close()
    assert street.traces()["hub"] == 0


async def test_retention_and_moved_rows_leave_no_bytes_either(street: Street, kanhu: Kanhu) -> None:
    host = await street.live()
    street.clock.now_ms += 500 * 86_400_000
    assert await retire(host.journal, 400) > 0
    for _ in range(4):
        for voice in (street.hub, street.neighbour):
            said = [voice.say(k.MOTION, {k.DEVICE: 2}) for _ in range(10)]
            await host.intake.receive(voice.hub_id, b"".join(said), "mqtt")
    await host.journal.mark_delivered(host.journal.undelivered(limit=10_000))
    await host.journal.close()
    before = street.sums()
    done = await asyncio.to_thread(
        kanhu, "registry", "forget", street.home, "--data-dir", street.data, "--yes"
    )
    assert done.returncode == 0, done.stderr
    await gone(street, before)


async def test_what_the_platform_has_not_had_is_not_dropped_by_accident(street: Street, kanhu: Kanhu) -> None:
    host = await street.live(deliver=False)
    await host.journal.close()
    before = street.sums()
    queued = before[street.hub.hub_id]["queued"]
    forget = ("registry", "forget", street.home, "--data-dir", street.data, "--yes")
    done = await asyncio.to_thread(kanhu, *forget)
    assert done.returncode == 2
    count = int(re.search(r"has not had (\d+) of its events", done.stderr).group(1))  # type: ignore[union-attr]
    assert count > queued, "what the daemon has said of it is among them"
    assert street.sums() == before
    done = await asyncio.to_thread(kanhu, *forget, "--discard-undelivered")
    assert done.returncode == 0, done.stderr
    await gone(street, before)
    after, me = street.sums(), next(iter(set(before) - {street.hub.hub_id, street.neighbour.hub_id}))
    assert after[me]["lost"] == count - queued
    assert after[me]["queued"] == 3, "only what was said of the neighbour"


async def test_a_call_that_waits_is_not_forgotten(street: Street, kanhu: Kanhu) -> None:
    host = await street.live()
    await host.intake.receive(street.hub.hub_id, street.hub.say(k.CALL, {k.DEVICE: 1}), "mqtt")
    await host.journal.mark_delivered(host.journal.undelivered(limit=10_000))
    await host.journal.close()
    forget = ("registry", "forget", street.home, "--data-dir", street.data)
    done = await asyncio.to_thread(kanhu, *forget, "--yes")
    assert done.returncode == 2
    assert "1 alarm(s) not closed" in done.stderr
    done = await asyncio.to_thread(kanhu, *forget, "--discard-undelivered")
    assert done.returncode == 2
    assert "give --yes" in done.stderr


async def test_a_call_while_the_question_stands_is_not_forgotten(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, loop = await street.live(), asyncio.get_running_loop()

    def ask(question: str) -> None:
        call = host.intake.receive(street.hub.hub_id, street.hub.say(k.CALL, {k.DEVICE: 1}), "mqtt")
        assert asyncio.run_coroutine_threadsafe(call, loop).result(10)

    monkeypatch.setattr(privacy, "_ask", ask)
    with pytest.raises(DataError, match=r"1 alarm\(s\) not closed"):
        await asyncio.to_thread(privacy.forget, street.home, street.data, False, False, False)
    await host.journal.close()
    with closing(Registry.open(street.data)) as registry:
        assert registry.home(street.home)


async def test_killed_anywhere_it_is_done_again(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut before and after every commit, of registry and journal; the ledger balances at each."""
    monkeypatch.setattr(erasing, "STEP", 40)
    host = await street.live()
    await host.journal.close()
    before = street.sums()
    with closing(Registry.open(street.data)) as registry:
        registry.forget_home(street.home, False)

    class Killed(BaseException):
        pass

    real = Journal.batch
    cuts = 0
    done = False
    while not done:
        left = 3  # batches before the cut: of the opening, of what was under way, and one that erases

        def batch(journal: Journal) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(journal)

        monkeypatch.setattr(Journal, "batch", batch)
        journal = Journal.open(street.data)
        registry = Registry.open(street.data)
        try:
            for hub in registry.erasures():
                await erase(journal, hub, False)
                registry.erased(hub)
            done = True
        except Killed:
            cuts += 1
        finally:
            monkeypatch.setattr(Journal, "batch", real)
            await journal.close()
            registry.close()
        street.sums()
    assert cuts > MOTIONS // 40
    await gone(street, before)


async def test_a_killed_command_is_finished_by_the_next(street: Street, kanhu: Kanhu) -> None:
    await (await street.live()).journal.close()
    before = street.sums()
    with closing(Registry.open(street.data)) as registry:
        registry.forget_home(street.home, False)  # and killed
    done = await asyncio.to_thread(kanhu, "registry", "forget", street.home, "--data-dir", street.data)
    assert done.returncode == 0, done.stderr
    await gone(street, before)
    with closing(Registry.open(street.data)) as registry:
        assert registry.erasures() == {}


async def test_a_running_daemon_forgets_without_a_pause(street: Street) -> None:
    """It is asked through the registry; nothing of it comes back from memory; the neighbour goes on."""
    await (await street.live(deliver=False)).journal.close()
    before = street.sums()
    port = free_port()
    daemon = Daemon(
        config.parse(
            {
                "data_dir": str(street.data), "metrics": {"enabled": False},
                "broker": {"enabled": True, "port": port},
            },
            "test",
        )
    )  # fmt: skip
    stop = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    await until(lambda: daemon.uplink.connected and daemon.uplink.awaiting > 10)
    await daemon.submit(street.neighbour.hub_id, street.neighbour.say(k.MOTION, {k.DEVICE: 2}), "mqtt")
    command = [
        sys.executable, "-m", "kanhu", "registry", "forget", street.home, "--data-dir", str(street.data),
        "--yes", "--discard-undelivered",
    ]  # fmt: skip
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert daemon.registry.erasures() == {}
    receipts = await daemon.submit(street.hub.hub_id, street.hub.say(k.CALL, {k.DEVICE: 1}), "mqtt")
    assert not receipts
    assert daemon.counters.refused["mqtt", "unknown_hub"] == 1
    receipts = await daemon.submit(
        street.neighbour.hub_id, street.neighbour.say(k.MOTION, {k.DEVICE: 2}), "mqtt"
    )
    assert receipts
    stop.set()
    await task
    assert street.traces()["hub"] == street.traces()["reason"] == street.traces()["name"] == 0
    sums = street.sums()
    assert street.hub.hub_id not in sums
    assert sums[street.neighbour.hub_id]["stored"] == before[street.neighbour.hub_id]["stored"] + 2


async def test_calls_are_kept_while_a_backup_holds_the_log(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log cannot be emptied then: that is tried again, and nobody who calls waits for it."""
    monkeypatch.setattr(erasing, "TRIES", 2)
    host = await street.live()
    del host.keys.by_hub[street.hub.hub_id]
    host.keys.version += 1
    with closing(sqlite3.connect(host.journal.path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM events").fetchone()
        work = asyncio.ensure_future(erase(host.journal, street.hub.hub_id, False))
        longest = 0.0
        while not work.done():
            begun = time.monotonic()
            call = street.neighbour.say(k.CALL, {k.DEVICE: 1})
            assert await host.intake.receive(street.neighbour.hub_id, call, "mqtt")
            longest = max(longest, time.monotonic() - begun)
            await asyncio.sleep(0.02)
        assert longest < 2.0
        with pytest.raises(JournalUnavailable, match="could not be emptied"):
            await work
    assert await erase(host.journal, street.hub.hub_id, False) == []
    await host.journal.close()


async def test_late_words_about_a_forgotten_hub(street: Street) -> None:
    """An acknowledgement and messages that come while it is erased bring nothing back."""
    host = await street.live(deliver=False)
    late = [one for one in host.journal.undelivered(limit=10_000) if one.hub == street.hub.hub_id]
    del host.keys.by_hub[street.hub.hub_id]
    host.keys.version += 1
    host.intake.forget(street.hub.hub_id)
    await host.intake.receive(street.hub.hub_id, street.hub.say(k.MOTION, {k.DEVICE: 2}), "mqtt")
    told: list[list[Identity]] = []
    assert await erase(host.journal, street.hub.hub_id, True, told.append) == told[0] != []
    host.intake.refusals.save()
    await host.journal.mark_delivered(late)
    assert not host.journal.knows(street.hub.hub_id)
    assert host.intake.identities.boot(street.hub.hub_id) == 0
    await host.intake.receive(street.neighbour.hub_id, street.neighbour.say(k.MOTION, {k.DEVICE: 2}), "mqtt")
    await host.journal.close()
    files = b"".join(path.read_bytes() for path in street.data.glob("journal.db*"))
    assert street.hub.hub_id.encode() not in files
    street.sums()


async def test_a_daemon_outlives_a_disk_without_room_for_erasing(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await street.live()).journal.close()
    with closing(Registry.open(street.data)) as registry:
        registry.forget_home(street.home, False)
    real, full = erasing._run, sqlite3.OperationalError("database or disk is full")
    tried = 0

    def run(path: Path, statement: str, wait_s: float) -> Any:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise full
        return real(path, statement, wait_s)

    monkeypatch.setattr(erasing, "_run", run)
    settings = {
        "data_dir": str(street.data), "metrics": {"enabled": False},
        "broker": {"enabled": True, "port": free_port()},
    }  # fmt: skip
    daemon, stop = Daemon(config.parse(settings, "test")), asyncio.Event()
    task = asyncio.create_task(daemon.run(stop))
    await until(lambda: task.done() or not daemon.registry.erasures())
    assert not task.done()
    stop.set()
    await task
    assert tried > 1
    assert street.traces()["hub"] == 0


async def test_an_export_holds_all_of_it_and_no_secret(street: Street, kanhu: Kanhu) -> None:
    host = await street.live()
    await host.journal.close()
    with closing(Registry.open(street.data)) as registry:
        registry.add_plan(street.home, 127, 480, 600, "injection")
        registry.set_rule(street.home, "inactivity", {"on": True}, OPERATOR)
    done = kanhu("registry", "export-home", street.home, "--data-dir", street.data, "--out", "home.json")
    assert done.returncode == 0, done.stderr
    out = street.data.parent / "home.json"
    assert out.stat().st_mode & 0o777 == 0o600
    whole = json.loads(out.read_text(encoding="utf-8"))
    assert whole["home"]["name"] == NAME
    assert whole["home"]["phones"] == [PHONE]
    assert whole["hubs"][0]["sensors"][0]["room"] == ROOM
    assert [one["what"] for one in whole["visit_plans"]] == ["injection"]
    assert whole["rules"] == {"inactivity": {"on": True}}
    (alarm,) = whole["alarms"]
    assert (alarm["kind"], alarm["closed_by"]) == ("call", OPERATOR)
    assert [step["what"] for step in alarm["history"]] == ["opened", "accepted", "closed", "corrected"]
    assert {(one["kind"], one["closed_by"]) for one in whole["faults"]} == {
        ("tamper", OPERATOR), ("mains.lost", None),
    }  # fmt: skip
    assert [(one["mode"], one["set_by"]) for one in whole["modes"]] == [("away", OPERATOR)]
    assert [one["span_ms"] for one in whole["proofs"]] == [812]
    assert [one["outcome"] for one in whole["rule_record"]] == ["closed"]
    assert [(one["what"], one["who"]) for one in whole["visits"]] == [("in", OPERATOR)]
    assert [(one["operator"], one["detail"]) for one in whole["audit"]] == [("desk", REASON)]
    mine = [one for one in whole["events"] if one["source"] == f"/kanhu/hubs/{street.hub.hub_id}"]
    assert len(mine) == ledger.recompute(street.data / "journal.db")[street.hub.hub_id]["stored"]
    own = [one["type"] for one in whole["events"] if one not in mine]
    assert "org.kanhu.alarm.closed.v1" in own
    raw = out.read_bytes()
    assert street.hub.key not in raw
    assert street.hub.key.hex().encode() not in raw
    assert street.neighbour.hub_id.encode() not in raw
    again = kanhu("registry", "export-home", street.home, "--data-dir", street.data, "--out", "home.json")
    assert "there already" in again.stderr
    nowhere = kanhu("registry", "export-home", "nobody", "--data-dir", street.data, "--out", "x.json")
    assert "not known" in nowhere.stderr
    assert not (street.data.parent / "x.json").exists()


async def test_a_revoked_hub_and_who_was_refused_are_forgotten_too(street: Street, kanhu: Kanhu) -> None:
    host = await street.live()
    with closing(Registry.open(street.data)) as registry:
        registry.revoke_hub(street.hub.hub_id)
        Witness(host.journal, registry).look()
        host.intake.refusals.note(street.hub.hub_id, "unknown_hub", "mqtt")
        host.intake.refusals.save()
    await host.journal.close()
    before = street.sums()
    done = await asyncio.to_thread(
        kanhu, "registry", "forget", street.home, "--data-dir", street.data, "--yes"
    )
    assert done.returncode == 0, done.stderr
    await gone(street, before)
