from __future__ import annotations

import asyncio
import random

import pytest

from helpers_intake import HUB, NOW_MS, OTHER, Host, HubVoice
from kanhu.journal import Journal
from kanhu.ledger import recompute
from kanhu_protocol import cbor, events
from kanhu_protocol import kinds as k

LINK = "mqtt"


async def test_receipts_after_the_commit(host: Host, hub: HubVoice) -> None:
    waiting = host.intake.submit(HUB, hub.start(1) + hub.say(k.MOTION), LINK)
    assert not waiting.done()
    assert not host.stored
    receipts = await waiting
    assert (receipts.hub, receipts.boot, receipts.upto, receipts.single) == (HUB, 1, [(1, 1)], [])
    assert [(event.seq, event.n, event.link) for event in host.stored] == [(0, 1, LINK), (1, 2, LINK)]
    receipts = await host.intake.receive(HUB, hub.say(k.CALL, {k.DEVICE: 1}), "serial")
    assert (receipts.upto, receipts.single) == ([(1, 2)], [(1, 2)])
    assert host.stored[-1].fields[k.DEVICE] == 1
    assert host.counters.stored == {(LINK, 4): 1, (LINK, 5): 1, ("serial", 1): 1}


async def test_what_lies_above_a_gap_is_answered_by_name(host: Host, hub: HubVoice) -> None:
    first, second, third = (hub.say(k.MOTION) for _ in range(3))
    assert (await host.intake.receive(HUB, third, LINK)).single == [(1, 2)]
    receipts = await host.intake.receive(HUB, first, LINK)
    assert (receipts.upto, receipts.single) == ([(1, 0)], [])
    assert host.journal.missing(HUB) == [(1, 1, 1)]
    assert (await host.intake.receive(HUB, second, LINK)).upto == [(1, 2)]
    assert host.journal.missing(HUB) == []


async def test_said_again_is_answered_again_and_stored_once(host: Host, hub: HubVoice) -> None:
    call = hub.say(k.CALL)
    answers = await asyncio.gather(
        *(host.intake.receive(HUB, call, link) for link in ("mqtt", "serial", "mqtt"))
    )
    assert all(answer.single == [(1, 0)] for answer in answers)
    assert (await host.intake.receive(HUB, call, LINK)).single == [(1, 0)]
    assert len(host.stored) == 1
    assert host.counters.known == {"mqtt": 2, "serial": 1}
    assert not host.counters.refused


async def test_other_bytes_under_a_known_name(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.start(1) + hub.say(k.MOTION), LINK)
    forged = hub.sealed(events.encode(k.CALL, 9, {}), 1, 1)
    assert not await host.intake.receive(HUB, forged, LINK)
    assert not await host.intake.receive(HUB, forged, LINK)
    assert host.counters.refused == {(LINK, "identity"): 2}
    (fault,) = host.own(k.IDENTITY_FAULT)
    assert (fault.fields[k.SUBJECT], fault.fields[k.DETAIL]) == (HUB, 1)
    host.clock.now_ms += 3_600_000
    await host.intake.receive(HUB, forged, LINK)
    assert len(host.own(k.IDENTITY_FAULT)) == 2
    assert host.journal.find(HUB, 1, 1).kind == k.MOTION  # type: ignore[union-attr]
    assert len(host.journal.reader.rows("SELECT * FROM refused WHERE reason='identity'")) == 1


async def test_a_conflict_inside_one_payload(host: Host, hub: HubVoice) -> None:
    one, other = hub.say(k.MOTION), hub.sealed(events.encode(k.STILL, 3, {}), 1, 0)
    receipts = await host.intake.receive(HUB, one + other + hub.say(k.MOTION), LINK)
    # By name only: "all up to 1" would have the other board forget what it has not been heard with.
    assert (receipts.upto, receipts.single) == ([], [(1, 0), (1, 1)])
    assert host.counters.refused == {(LINK, "identity"): 1}


async def test_a_refused_call_is_still_a_call(open_host, hub: HubVoice) -> None:
    """Two boards are one hub: what the other has used is refused, and yet a person pressed."""
    host = await open_host()
    await host.intake.receive(HUB, hub.start(1) + hub.say(k.MOTION) + hub.say(k.STILL), LINK)
    press = hub.sealed(events.encode(k.CALL, 9, {k.DEVICE: 4}), 1, 1)
    said_again = hub.sealed(events.encode(k.CALL_UNANSWERED, 12, {k.ALARM: [1, 1], k.ATTEMPT: 1}), 1, 2)
    for _ in range(3):
        assert not await host.intake.receive(HUB, press, LINK)
        assert not await host.intake.receive(HUB, said_again, LINK)
    (alarm,) = host.alarms.live()
    assert (alarm.name, alarm.kind, alarm.device, alarm.stored_ms) == ((HUB, 1, 1), k.CALL, 4, None)
    (call,) = host.own(k.CALL)  # what the platform hears, once, as P1
    assert call.cls == k.P1
    assert {key: call.fields[key] for key in (k.SUBJECT, k.ALARM, k.DEVICE, k.FLAGS)} == {
        k.SUBJECT: HUB, k.ALARM: [1, 1], k.DEVICE: 4, k.FLAGS: k.UNVERIFIED,
    }  # fmt: skip
    (fault,) = host.own(k.IDENTITY_FAULT)
    assert (fault.fields[k.ALARM], fault.fields[k.DEVICE]) == ([1, 1], 4)
    second = hub.sealed(events.encode(k.CALL, 99, {k.DEVICE: 4}), 1, 0)  # within the hour, another press
    await host.intake.receive(HUB, second, LINK)
    assert [event.fields[k.ALARM] for event in host.own(k.IDENTITY_FAULT)] == [[1, 1], [1, 0]]
    assert len(host.own(k.CALL)) == len(host.alarms.live()) == 2
    await host.alarms.accept((HUB, 1, 1), "op-7")
    host = await open_host()
    await host.intake.receive(HUB, press, LINK)
    assert host.own(k.CALL) == []  # nor once more after a restart
    assert host.alarms.get((HUB, 1, 1)).state == k.ACCEPTED  # type: ignore[union-attr]


async def test_an_identity_fault_is_over_after_an_hour_of_nothing_but_the_hub(
    open_host, hub: HubVoice
) -> None:
    host = await open_host()
    await host.intake.receive(HUB, hub.start(1) + hub.say(k.MOTION), LINK)
    other = hub.sealed(events.encode(k.STILL, 9, {}), 1, 1)
    await host.intake.receive(HUB, other, LINK)
    host.clock.now_ms += 1_800_000
    await host.intake.receive(HUB, other, LINK)
    for minutes in (30, 29):
        host.clock.now_ms += minutes * 60_000
        await host.intake.receive(HUB, hub.say(k.STILL), LINK)
        assert not host.own(k.IDENTITY_OK)
    host.clock.now_ms += 3_600_000
    assert host.intake.identities.faults == {HUB}  # time alone proves nothing
    host = await open_host()
    assert host.intake.identities.faults == {HUB}
    await host.intake.receive(HUB, hub.say(k.STILL), LINK)
    (over,) = host.own(k.IDENTITY_OK)
    assert over.fields[k.SUBJECT] == HUB
    host = await open_host()
    assert host.intake.identities.faults == frozenset()
    await host.intake.receive(HUB, hub.sealed(events.encode(k.STILL, 3, {}), 1, 0), LINK)
    assert len(host.own(k.IDENTITY_FAULT)) == 1


def rekeyed(host: Host, hub: HubVoice) -> HubVoice:
    """The same hub with its next key, as the registry knows it from now on."""
    newer = HubVoice(hub.hub_id, bytes(16), hub.generation + 1)
    host.keys.by_hub[HUB][newer.generation] = newer.key
    host.keys.version += 1
    return newer


async def test_the_backlog_under_an_older_key_is_taken_in_peace(host: Host, hub: HubVoice) -> None:
    kept = [hub.start(6), hub.say(k.CALL, {k.DEVICE: 1}), hub.say(k.MOTION)]
    await host.intake.receive(HUB, kept[0], LINK)
    newer = rekeyed(host, hub)
    receipts = await host.intake.receive(HUB, newer.start(7, previous=(6, 2)), LINK)
    assert receipts.own
    for event in kept[1:]:
        receipts = await host.intake.receive(HUB, event, LINK)
        assert (receipts.boot, receipts.own, receipts.alive) == (7, False, False)
    assert receipts.upto == [(6, 2)]
    assert len(host.alarms.live()) == 1
    assert not host.own(k.IDENTITY_FAULT)
    assert host.intake.generation(HUB) == 2


async def test_a_replaced_board_that_comes_back_is_heard_and_told_of(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.start(6), LINK)
    newer = rekeyed(host, hub)
    await host.intake.receive(HUB, newer.start(10_006), LINK)  # another board: its flash was empty
    late = hub.start(7, previous=(6, 0)) + hub.say(k.CALL, {k.DEVICE: 1})
    receipts = await host.intake.receive(HUB, late, LINK)
    assert receipts.single == [(7, 1)]  # taken: an elder may have pressed the old one
    assert (receipts.boot, receipts.own, receipts.alive) == (10_006, False, False)  # the new one is the hub
    (alarm,) = host.alarms.live()
    assert alarm.name == (HUB, 7, 1)
    (fault,) = host.own(k.IDENTITY_FAULT)
    assert (fault.fields[k.SUBJECT], fault.fields[k.DETAIL]) == (HUB, 3)
    ahead = await host.intake.receive(HUB, hub.start(20_000, previous=(7, 1)), LINK)
    assert ahead.boot == 10_006  # no boot of an older key takes the hub's receipts from it
    assert host.intake.generation(HUB) == 2


async def test_a_new_key_whose_boot_was_not_raised(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.start(5) + hub.say(k.MOTION), LINK)
    newer = rekeyed(host, hub)
    assert not await host.intake.receive(HUB, newer.start(5), LINK)
    assert {event.fields[k.DETAIL] for event in host.own(k.IDENTITY_FAULT)} == {2, 4}
    newer.seq = 2
    receipts = await host.intake.receive(HUB, newer.say(k.CALL, {k.DEVICE: 1}), LINK)
    assert (receipts.boot, receipts.upto, receipts.single) == (5, [], [(5, 2)])
    assert receipts.own
    assert host.intake.generation(HUB) == 2


async def test_a_boot_of_two_boards_stays_one_over_a_restart(open_host, hub: HubVoice) -> None:
    """Else "all up to" of the daemon's next run would have a board forget a call that only it has."""
    host = await open_host()
    one, other = hub.say(k.MOTION), hub.sealed(events.encode(k.STILL, 3, {}), 1, 0)
    await host.intake.receive(HUB, one + other, LINK)
    host = await open_host()
    receipts = await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
    assert (receipts.upto, receipts.single) == ([], [(1, 1)])


async def test_a_replay_is_no_sign_of_life(host: Host, hub: HubVoice) -> None:
    beat = hub.say(k.STILL)
    assert (await host.intake.receive(HUB, beat, LINK)).alive
    again = await host.intake.receive(HUB, beat, LINK)
    assert again.upto == [(1, 0)]
    assert again.own
    assert not again.alive


async def test_a_boot_started_twice(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.start(5), LINK)
    again = hub.sealed(events.encode(k.BOOT, 3, {k.RESET: 3, k.FIRMWARE: "x", k.VERSIONS: [1, 1]}), 5, 0)
    assert not await host.intake.receive(HUB, again, LINK)
    (fault,) = host.own(k.IDENTITY_FAULT)
    assert fault.fields[k.DETAIL] == 2


async def test_older_boots_are_taken_and_do_not_lower_the_boot(host: Host, hub: HubVoice) -> None:
    old = hub.say(k.CALL)
    await host.intake.receive(HUB, hub.start(4, previous=(1, 2)), LINK)
    receipts = await host.intake.receive(HUB, old, LINK)
    assert receipts.boot == 4
    assert receipts.single == [(1, 0)]
    assert host.journal.missing(HUB) == [(1, 1, 2)]
    ledger = host.journal.ledger(HUB)
    assert (ledger.announced, ledger.stored, ledger.awaited) == (4, 2, 2)  # boots 2 and 3 are no loss


async def test_what_the_hub_no_longer_has(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.start(1), LINK)
    for _ in range(5):
        hub.say(k.MOTION)
    late = hub.say(k.MOTION)
    lost = {k.LOST: [[1, 1, 3], [1, 4, 6], [1, 7, 90], [2, 0, 0]], k.DETAIL: 1}
    receipts = await host.intake.receive(HUB, hub.say(k.EVENTS_LOST, lost), LINK)
    assert receipts.upto == [(1, 7)]
    assert host.counters.claims_ignored == 2  # itself and the future
    assert host.journal.ledger(HUB).lost == 6
    assert host.journal.missing(HUB) == []
    await host.intake.receive(HUB, late, "serial")  # another link still had it
    ledger = host.journal.ledger(HUB)
    assert (ledger.announced, ledger.stored, ledger.lost, ledger.awaited) == (8, 3, 5, 0)
    assert recompute(host.journal.path)[HUB]["lost"] == 5


async def test_an_unreadable_event_is_lost_kept_and_answered(host: Host, hub: HubVoice) -> None:
    hub.seq = 1
    for seq, plain in enumerate(
        [b"\xff", cbor.dumps([1, 2]), cbor.dumps({k.KIND: 0, k.UP_MS: 1}), b"\xa1\x00"]
    ):
        raw = hub.sealed(plain, 1, seq)
        for _ in range(2):
            receipts = await host.intake.receive(HUB, raw, LINK)
            assert receipts.single == [(1, seq)]
            assert receipts.upto == [(1, seq)]
            assert receipts.boot == 1
    ledger = host.journal.ledger(HUB)
    assert (ledger.stored, ledger.lost, ledger.awaited) == (0, 4, 0)
    assert host.counters.unreadable == {LINK: 8}
    assert len(host.journal.reader.rows("SELECT * FROM refused WHERE reason='unreadable'")) == 4
    assert [event.fields[k.LOST] for event in host.own(k.EVENTS_LOST)] == [
        [[1, seq, seq]] for seq in range(4)
    ]
    assert not [event for event in host.stored if event.hub == HUB]


async def test_unknown_kinds_and_keys_are_kept_by_class(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.say(31, {200: b"new"}) + hub.say(99) + hub.say(255, {500: [1]}), LINK)
    assert [event.cls for event in host.stored] == [1, 3, 5]
    assert host.stored[0].fields[200] == b"new"
    (alarm,) = host.alarms.live()
    assert alarm.kind == 31


async def test_every_refusal_is_counted_and_the_rest_is_kept(host: Host, hub: HubVoice) -> None:
    stranger = HubVoice(OTHER, bytes(16))
    old_key = HubVoice(generation=9)
    thief = HubVoice(key=bytes(16))
    suite = hub.say(k.MOTION).replace(b"\x43\xa1\x01\x0a", b"\x43\xa1\x01\x0b")
    hub.seq = 0
    payload = (
        hub.say(k.MOTION) + old_key.say(k.CALL) + thief.say(k.CALL) + cbor.dumps([1, 2]) + suite
        + stranger.say(k.CALL) + hub.say(k.DOOR_OPEN) + hub.say(k.MOTION)[:-3]
    )  # fmt: skip
    receipts = await host.intake.receive(HUB, payload, LINK)
    assert receipts.upto == [(1, 1)]
    assert host.counters.refused == {
        (LINK, "unknown_key"): 1,
        (LINK, "forged"): 2,
        (LINK, "malformed"): 2,
        (LINK, "suite"): 1,
    }
    assert not await host.intake.receive(OTHER, stranger.say(k.CALL), LINK)
    assert host.counters.refused[LINK, "unknown_hub"] == 1
    assert {event.hub for event in host.stored} == {HUB}


async def test_an_event_of_one_hub_is_no_event_of_another(host: Host, hub: HubVoice) -> None:
    other = HubVoice(OTHER, hub.key)  # even under the same key
    host.keys.by_hub[OTHER] = {1: hub.key}
    host.keys.version += 1
    assert not await host.intake.receive(OTHER, hub.say(k.CALL), LINK)
    assert host.counters.refused == {(LINK, "forged"): 1}
    assert (await host.intake.receive(OTHER, other.say(k.CALL), LINK)).single == [(1, 0)]


async def test_a_revoked_hub_is_refused_at_once(host: Host, hub: HubVoice) -> None:
    await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
    host.keys.by_hub.clear()
    host.keys.version += 1
    assert not await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
    assert host.counters.refused == {(LINK, "unknown_hub"): 1}


async def test_a_full_disk_answers_nothing(host: Host, hub: HubVoice) -> None:
    database = host.journal._writer._db
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")
    sent = []
    for _ in range(3000):
        sent.append(hub.say(k.CALL, {k.DEVICE: 1}))
        if not await host.intake.receive(HUB, sent[-1], LINK):
            break
    assert host.counters.not_saved == 1
    assert len(host.stored) == len(sent) - 1
    assert all(alarm.name[2] < len(sent) - 1 for alarm in host.alarms.live())
    database.execute("PRAGMA max_page_count=1000000")
    assert (await host.intake.receive(HUB, sent[-1], LINK)).single == [(1, len(sent) - 1)]
    assert len(host.alarms.live()) == len(sent)


async def test_time_from_the_nearest_anchor_of_the_boot(open_host, hub: HubVoice) -> None:
    host = await open_host()
    await host.intake.receive(HUB, hub.say(k.MOTION, up_ms=10_000), LINK)
    assert host.journal.moment(host.stored[0]) == (None, "unknown")
    anchors = [(100_000, NOW_MS - 900_000), (500_000, NOW_MS - 500_000 + 4000)]  # a clock that gained 4 s
    for up_ms, utc_ms in anchors:
        fields = {k.UTC_MS: utc_ms, k.CLOCK: 1}
        await host.intake.receive(HUB, hub.say(k.CLOCK_SET, fields, up_ms=up_ms), LINK)
    wrong = {k.UTC_MS: 946_684_800_000, k.CLOCK: 1}
    await host.intake.receive(HUB, hub.say(k.STILL, wrong, up_ms=510_000), LINK)
    ahead = {k.UTC_MS: NOW_MS + 400_000, k.CLOCK: 1}
    await host.intake.receive(HUB, hub.say(k.STILL, ahead, up_ms=90_000), LINK)
    for _ in range(2):
        first, _, _, late, early = host.journal.held(HUB, 1, 0, 9)
        assert host.journal.moment(first) == (NOW_MS - 990_000, "resolved")
        assert host.journal.moment(late) == (NOW_MS - 490_000 + 4000, "resolved")
        assert host.journal.moment(early) == (NOW_MS - 910_000, "resolved")
        host = await open_host()
    assert len(host.journal.hub(HUB).boots[1].anchors) == 2


async def test_commands_are_confirmed_by_the_hub(open_host, hub: HubVoice) -> None:
    host = await open_host()
    ping = await host.commands.create(HUB, k.PING, {})
    await host.commands.create(HUB, k.ALARM_IS, {k.ALARM_NAME: [1, 0], k.ALARM_STATE: k.OPEN})
    other = await host.commands.create(HUB, k.ALARM_IS, {k.ALARM_NAME: [1, 9], k.ALARM_STATE: k.OPEN})
    newer = await host.commands.create(HUB, k.ALARM_IS, {k.ALARM_NAME: [1, 0], k.ALARM_STATE: k.ACCEPTED})
    first = NOW_MS // 1000  # no older copy of the journal has given it out
    assert [command.number - first for command in host.commands.waiting(HUB)] == [0, 2, 3]
    await host.intake.receive(HUB, hub.say(k.COMMAND_DONE, {k.COMMAND: ping.number}), LINK)
    refused = {k.COMMAND: other.number, k.DETAIL: 2}
    await host.intake.receive(HUB, hub.say(k.COMMAND_REFUSED, refused), LINK)
    host = await open_host()
    assert host.commands.waiting(HUB) == [newer]
    assert (await host.commands.create(HUB, k.PING, {})).number == first + 4
    states = host.journal.reader.rows("SELECT number, state, detail FROM commands ORDER BY number")
    assert [(number - first, state, detail) for number, state, detail in states[:4]] == [
        (0, "done", None),
        (1, "superseded", None),
        (2, "refused", 2),
        (3, "waiting", None),
    ]


async def test_a_failing_listener_stops_nobody(host: Host, hub: HubVoice) -> None:
    def broken(events: list[object]) -> None:
        raise RuntimeError("a defect elsewhere")

    host.journal.on_stored.insert(0, broken)  # type: ignore[arg-type]
    assert (await host.intake.receive(HUB, hub.say(k.MOTION), LINK)).upto == [(1, 0)]
    assert len(host.stored) == 1


async def test_a_defect_in_intake_leaves_nothing_half_taken(
    host: Host, hub: HubVoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = hub.say(k.CALL)

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patch:
        patch.setattr(host.alarms, "note", broken)
        assert not await host.intake.receive(HUB, hub.say(k.MOTION) + call, LINK)
    assert not host.journal.in_flight
    assert (await host.intake.receive(HUB, call, LINK)).single == [(1, 0)]


@pytest.mark.parametrize("seed", range(6))
async def test_fuzz_nothing_unauthentic_is_stored(host: Host, hub: HubVoice, seed: int) -> None:
    rng = random.Random(seed)
    said: set[tuple[int, int, bytes]] = set()
    sequences = []
    for _ in range(60):
        kind = rng.choice([k.MOTION, k.CALL, k.BOOT, k.EVENTS_LOST, k.COMMAND_DONE, k.HEARTBEAT])
        raw = hub.say(
            kind, {k.LOST: [[1, 0, 3]]} if kind == k.EVENTS_LOST else {k.DEVICE: rng.randrange(1, 200)}
        )
        said.add((1, hub.seq - 1, raw))
        sequences.append(raw)
    answers = []
    for _ in range(600):
        payload = bytearray(b"".join(rng.choices(sequences, k=rng.randrange(1, 4))))
        for _ in range(rng.randrange(0, 4)):
            what = rng.randrange(4)
            if not payload:
                break
            place = rng.randrange(len(payload))
            if what == 0:
                payload[place] ^= 1 << rng.randrange(8)
            elif what == 1:
                del payload[place : place + rng.randrange(1, 5)]
            elif what == 2:
                payload[place:place] = rng.randbytes(rng.randrange(1, 5))
            else:
                del payload[place + 1 :]
        answers.append(host.intake.submit(rng.choice([HUB, HUB, OTHER, "", "x" * 100]), bytes(payload), LINK))
    for _ in range(200):
        answers.append(host.intake.submit(HUB, rng.randbytes(rng.randrange(0, 200)), LINK))
    await asyncio.gather(*answers)
    await host.intake.receive(HUB, sequences[0], LINK)
    held = {(event.boot, event.seq, event.sealed) for event in host.journal.held(HUB, 1, 0, 2**32)}
    assert held <= said
    assert len(held) > 20
    assert all(events.decode(event.plain) for event in host.stored)
    refused = {reason for _, reason in host.counters.refused}
    assert {"malformed", "forged", "unknown_hub"} <= refused
    assert "identity" not in refused
    ledger = host.journal.ledger(HUB)
    assert recompute(host.journal.path)[HUB] == {name: getattr(ledger, name) for name in ledger.__slots__}
    assert set(host.journal.hubs()) <= {HUB, host.journal.daemon_id}


async def test_hot_path_keeps_no_reference_cycles(host: Host, hub: HubVoice) -> None:
    """The collector's long pauses would be presses that wait."""
    import gc

    for _ in range(10):
        await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            await host.intake.receive(HUB, hub.say(k.MOTION), LINK)
        assert gc.collect() < 50
    finally:
        gc.enable()


def test_journal_needs_a_loop(tmp_path) -> None:
    with pytest.raises(RuntimeError):
        Journal.open(tmp_path)
