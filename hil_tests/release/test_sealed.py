"""Who has no key can neither read nor say anything, and what is recorded is worth nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest
from steps import ARRIVES_S, Operator, call_after_press, steady
from wire import Wire

from kanhu.aead import AesCcm
from kanhu.platform import Event
from kanhu.qa.board import Board
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.rig import Rig
from kanhu_protocol import cbor, seal
from kanhu_protocol import kinds as k

pytestmark = [pytest.mark.release, pytest.mark.needs("press")]

QUIET_S = 4.0


def refused(bench: Rig, reason: str) -> int:
    """How many the daemon has refused for this reason since its start."""
    return sum(count for (_, why), count in bench.host.refused().items() if why == reason)


@pytest.mark.promise("S-04")
def test_a_listener_at_the_broker_learns_nothing_of_a_call(
    hub: Board, platform: Platform, bench: Rig
) -> None:
    with Wire(bench) as wire:
        call = call_after_press(hub, platform)
        first = wire.wait(f"{hub.hub_id}/up/p1")
        Operator(bench).accept(call.alarm)
        wire.wait(f"{hub.hub_id}/down")
        payloads = wire.on("/up/p1") + wire.on(f"{hub.hub_id}/down")
    message = seal.parse(first)
    (_, key) = bench.host.registry.key(hub.hub_id) or (0, b"")
    plain = message.open(AesCcm(key), hub.hub_id, seal.UP)
    assert cbor.loads(plain)[k.KIND] == k.CALL
    for payload in payloads:
        assert plain not in payload
        assert b"call" not in payload
    for other in (bytes(16), os.urandom(16)):
        with pytest.raises(seal.SealError):
            message.open(AesCcm(other), hub.hub_id, seal.UP)


@pytest.mark.promise("S-01")
def test_what_is_not_sealed_with_the_hubs_key_is_refused_and_counted(
    hub: Board, platform: Platform, bench: Rig
) -> None:
    with Wire(bench) as wire:
        call_after_press(hub, platform)
        genuine = wire.wait(f"{hub.hub_id}/up/p1")
        forged, malformed = refused(bench, "forged"), refused(bench, "malformed")
        topic = f"kanhu/1/hubs/{hub.hub_id}/up/p1"
        bad = bytearray(genuine)
        bad[-1] ^= 1
        wire.say(topic, bytes(bad), b"help", genuine[:-3])
        wait_for(
            lambda: (refused(bench, "forged") > forged and refused(bench, "malformed") > malformed) or None,
            ARRIVES_S,
            lambda: f"not counted: {bench.host.refused()}",
        )
        steady(lambda: platform.calls(hub.hub_id), 1, QUIET_S, "a call that nobody made")


@pytest.mark.promise("S-02")
def test_a_recorded_event_changes_nothing(hub: Board, platform: Platform, bench: Rig) -> None:
    with Wire(bench) as wire:
        call = call_after_press(hub, platform)
        genuine = wire.wait(f"{hub.hub_id}/up/p1")
        start = len(wire.heard)
        wire.say(f"kanhu/1/hubs/{hub.hub_id}/up/p1", *[genuine] * 3)
        wire.wait(
            f"{hub.hub_id}/down", start
        )  # answered again: a hub whose receipt was lost says its event again
        steady(lambda: platform.calls(hub.hub_id), 1, QUIET_S, "a recording counts")
    assert bench.host.open_alarms(hub.hub_id) == [call.alarm]


@pytest.mark.promise("S-03")
@pytest.mark.needs("indicator", "power")
def test_a_hub_obeys_no_recording_of_its_host(hub: Board, platform: Platform, bench: Rig) -> None:
    def told(beat: Event) -> dict[str, int]:
        return dict(beat.data["refused"])

    with Wire(bench) as wire:
        first = call_after_press(hub, platform)
        Operator(bench).accept(first.alarm)
        hub.wait_indicator("accepted", ARRIVES_S)
        Operator(bench).close(first.alarm)
        hub.wait_indicator("well", ARRIVES_S)
        recorded = wire.on(f"{hub.hub_id}/down")
        second = call_after_press(hub, platform)
        hub.wait_indicator("unanswered", ARRIVES_S)
        wire.say(f"kanhu/1/hubs/{hub.hub_id}/down", *recorded, b"obey", os.urandom(40))
        platform.wait(
            lambda event: (
                event.name == "heartbeat"
                and event.hub == hub.hub_id
                and told(event)["replayed"] >= len(recorded)
                and told(event)["malformed"] >= 1
            ),
            ARRIVES_S,
        )
        assert hub.indicator() == "unanswered", hub.indicator()
    assert bench.host.open_alarms(hub.hub_id) == [second.alarm]


@pytest.mark.promise("S-05")
@pytest.mark.needs("log", "reset")
def test_the_console_shows_no_key_and_no_password(hub: Board, platform: Platform, bench: Rig) -> None:
    said = hub.log_position()
    hub.reset()
    platform.wait_event("boot", hub.hub_id, 3 * ARRIVES_S)
    call_after_press(hub, platform)
    text = hub.log(said)
    assert "kanhu" in text
    registry = bench.host.registry
    (_, key) = registry.key(hub.hub_id) or (0, b"")
    secrets: list[Any] = [key, registry.mqtt_password(hub.hub_id), bench.installer.network.wifi[1]]
    for secret in secrets:
        plain = secret.hex() if isinstance(secret, bytes) else secret
        assert plain
        assert plain not in text
