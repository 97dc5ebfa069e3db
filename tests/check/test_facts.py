"""What is read of a hub from the journal of a running daemon."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helpers_intake import Clock, Host, HubVoice
from kanhu.errors import DataError
from kanhu.install.check import facts, findings
from kanhu.registry import Registry
from kanhu_protocol import kinds as k

HEARTBEAT: dict[int, Any] = {
    k.HEAP: [100_000, 50_000], k.RESET: 1, k.LINK: 1, k.RSSI: -61, k.OUTBOX: [0, 0], k.DROPS: [0] * 5,
    k.RADIO: [100, 20], k.FIRMWARE: "0.2.0", k.POWER: [True, None], k.VERSIONS: [1, 0], k.REFUSED: [0, 0, 0],
}  # fmt: skip


@pytest.fixture
def voice(tmp_path: Path) -> HubVoice:
    with closing(Registry.open(tmp_path)) as registry:
        return HubVoice(*registry.add_hub(registry.add_home()))


async def test_what_a_hub_has_said_in_its_newest_boot(tmp_path: Path, voice: HubVoice) -> None:
    host, clock = Host(tmp_path, voice, clock=Clock()), Clock()
    utc_ms = clock.now_ms

    async def hear(*said: bytes) -> facts.Facts:
        for one in said:
            await host.intake.submit(voice.hub_id, one, "mqtt")
        return facts.read(tmp_path, voice.hub_id)

    assert facts.read(tmp_path, voice.hub_id).last_ms is None
    found = await hear(voice.start(1), voice.say(k.HEARTBEAT, {**HEARTBEAT, k.UTC_MS: utc_ms, k.CLOCK: 1}))
    assert found.heartbeat is not None
    assert found.heartbeat[k.RSSI] == -61
    assert found.boot is not None
    assert found.last_ms == clock.now_ms

    for kind, device, battery in ((k.MOTION, 3, 80), (k.BATTERY_LOW, 4, 9), (k.MOTION, 3, 15)):
        found = await hear(voice.say(kind, {k.DEVICE: device, k.BATTERY: battery}))
    assert found.batteries == {3: 15, 4: 9}
    host.clock.now_ms += 1000
    found = await hear(voice.say(k.MAINS_LOST))
    assert findings._mains(found.heartbeat or {}).what == "lost"  # newer than the heartbeat
    host.clock.now_ms += 1000
    found = await hear(voice.say(k.MAINS_BACK))
    assert findings._mains(found.heartbeat or {}).what == "present"
    found = await hear(voice.say(k.CALL, {k.DEVICE: 3}))
    assert found.alarms == 1

    found = await hear(voice.start(2, (1, 6)))
    assert found.heartbeat is None  # the board that spoke before is another, for all that is known
    assert found.last_ms == host.clock.now_ms
    await host.close()


def test_a_journal_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match=r"journal\.db"):
        facts.read(tmp_path, "7m3k0xq2fz")
