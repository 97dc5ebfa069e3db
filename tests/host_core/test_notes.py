"""What the host remembers beside the ledger: who was refused, and which registry it has seen."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from helpers_intake import HUB, OTHER, Host, HubVoice
from kanhu import refusals
from kanhu.registry import Registry
from kanhu.status import read_status
from kanhu.witness import Witness
from kanhu_protocol import kinds as k

LINK = "mqtt"


async def test_refusals_are_kept_by_hub_and_reason(open_host, hub: HubVoice, tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    host = await open_host()
    await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
    for _ in range(3):
        await host.intake.receive(HUB, HubVoice(key=bytes(16)).say(k.CALL), LINK)
    await host.intake.receive(HUB, HubVoice(generation=9).say(k.CALL), "serial:/dev/ttyACM0")
    await host.intake.receive(HUB, b"\xff", LINK)
    await host.intake.receive(OTHER, hub.say(k.CALL), LINK)  # a stranger: counted, and no name is kept
    host.keys.by_hub.clear()
    host.keys.version += 1
    await host.intake.receive(HUB, hub.say(k.CALL), LINK)
    host.intake.refusals.save()
    host = await open_host()
    found = {one.reason: one for one in refusals.read(host.journal.reader._db, host.clock())}
    assert {reason: (one.hub, one.count, one.link) for reason, one in found.items()} == {
        "forged": (HUB, 3, LINK),
        "unknown_key": (HUB, 1, "serial:/dev/ttyACM0"),
        "malformed": (HUB, 1, LINK),
        "unknown_hub": (HUB, 1, LINK),
    }
    host.clock.now_ms += refusals.WORDS
    assert refusals.read(host.journal.reader._db, host.clock()) == []


async def test_status_says_what_a_refusal_means(open_host, hub: HubVoice, tmp_path: Path) -> None:
    Registry.open(tmp_path).close()
    host = await open_host()

    host.clock.now_ms = int(time.time() * 1000)
    await host.intake.receive(HUB, hub.start(1) + hub.say(k.MOTION), LINK)
    hub.seq = 1
    await host.intake.receive(HUB, hub.say(k.STILL), LINK)
    host.keys.by_hub.clear()
    host.keys.version += 1
    await host.intake.receive(HUB, hub.say(k.CALL), LINK)
    host.intake.refusals.save()
    await host.journal.close()
    status = read_status(tmp_path)
    assert {(one.hub_id, one.reason, one.count, one.means) for one in status.refused} == {
        (HUB, "identity", 1, "two boards speak as this hub"),
        (HUB, "unknown_hub", 1, "heard before, and not in this registry: is that an older copy?"),
    }
    assert [(one.hub_id, one.identity, one.key) for one in status.hubs] == [
        (HUB, "same_identity_other_bytes", 0)
    ]
    json.dumps(status.as_dict())


@pytest.mark.parametrize("many", [refusals.KEPT + 50])
async def test_notes_are_bounded(host: Host, many: int) -> None:
    for number in range(many):
        host.intake.refusals.note(f"{number:010d}", "forged", LINK)
    host.intake.refusals.save()
    await host.journal.append([])
    batch = host.journal.batch()
    batch.run("SELECT 1")
    await batch.submit()
    kept = refusals.read(host.journal.reader._db, host.clock())
    assert len(kept) == refusals.KEPT
    assert {one.hub for one in kept} >= {f"{number:010d}" for number in range(50, many)}


async def test_an_older_registry_is_noticed_and_nobody_revoked_comes_back(host: Host, tmp_path: Path) -> None:
    async def settled() -> None:
        batch = host.journal.batch()
        batch.run("SELECT 1")
        await batch.submit()

    folder = tmp_path / "registry"
    registry = Registry.open(folder)
    home = registry.add_home()
    for one in (HUB, OTHER):
        registry.add_hub(home, one)
    week_old = registry.path.read_bytes()
    witness = Witness(host.journal, registry)
    witness.look()
    assert (witness.seen.changes, witness.seen.older_ms) == (3, None)
    registry.revoke_hub(OTHER)
    registry.new_key(HUB)
    witness.look()
    await settled()
    registry.close()
    registry.path.write_bytes(week_old)
    registry = Registry.open(folder)
    assert registry.knows(OTHER)  # the stolen hub would be believed again
    witness = Witness(host.journal, registry)
    witness.look()
    assert not registry.knows(OTHER)
    assert (witness.seen.missing, witness.seen.older_ms) == (2, host.clock())
    await settled()
    again = Witness(host.journal, registry)
    again.look()
    assert (again.seen.changes, again.seen.missing) == (4, 2)
    registry.close()
