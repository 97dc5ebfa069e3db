"""A release over the air: after every alarm, signed, and for good only once it has proven itself."""

from __future__ import annotations

from typing import Any

import pytest
from rollouts import KEY, Rollouts
from steps import ARRIVES_S, Operator, call_after_press

from kanhu.install import signing
from kanhu.qa.host import Platform, wait_for
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("fast_clock", "press", "indicator")]

POSTPONED_S = 10.0  # the daemon asks within one
TAKES_S = 240.0  # from the start to done: some 15 s, on a quiet computer


@pytest.mark.promise("U-01")
def test_an_update_waits_until_a_person_has_closed_the_alarm(
    hubs: Any, platform: Platform, bench: Rig, rollouts: Rollouts
) -> None:
    (one,) = hubs(1, release=signing.public_bytes(KEY))
    call = call_after_press(one, platform)
    version = rollouts.release(1)
    rollouts.ask("start", version, "--hub", one.hub_id, "--canary", "1", "--soak", "1s")

    def held() -> str:
        found = rollouts.state(one)
        assert found in {"waiting", "postponed"}, f"asked in the middle of an alarm: {found}"
        assert platform.events("update.progress", one.hub_id) == []
        return found

    wait_for(lambda: held() == "postponed" or None, POSTPONED_S + ARRIVES_S, held)
    Operator(bench).accept(call.alarm)
    assert held() == "postponed"
    Operator(bench).close(call.alarm)
    platform.wait_event("update.progress", one.hub_id, 3 * ARRIVES_S)


@pytest.mark.promise("U-02")
def test_a_release_proves_itself_before_it_stays(
    hubs: Any, platform: Platform, bench: Rig, rollouts: Rollouts
) -> None:
    (one,) = hubs(1, release=signing.public_bytes(KEY))
    version = rollouts.release(1)
    rollouts.ask("start", version, "--hub", one.hub_id, "--canary", "1", "--soak", "1s")
    platform.wait_event("update.done", one.hub_id, TAKES_S)
    tried = platform.events("test_call", one.hub_id)
    assert tried, "it stays without a test call"
    wait_for(lambda: rollouts.state(one) == "done" or None, ARRIVES_S, lambda: rollouts.state(one))
    assert platform.events("boot", one.hub_id)[-1].data["firmware"] == version
    call = call_after_press(one, platform)
    Operator(bench).accept(call.alarm)
    Operator(bench).close(call.alarm)
