"""Power that goes: what was heard stays, numbers go on, and the hub is back by itself."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from steps import (
    ARRIVES_S,
    BACK_S,
    Operator,
    call_after_press,
    never_shown,
    press_again,
    unbroken,
    wait_calls,
)

from kanhu.qa.board import Board
from kanhu.qa.host import Platform
from kanhu.qa.rig import Rig

pytestmark = [pytest.mark.release, pytest.mark.needs("power", "indicator", "press")]

HEARD_S = 5.0
AT_WORK_S = 60.0  # from the supply to a lamp that speaks
CUTS = 6


@pytest.mark.promise("D-02")
@pytest.mark.needs("proxy")
def test_a_heard_press_survives_a_power_cut(hub: Board, platform: Platform, bench: Rig, fault: Any) -> None:
    with fault.cut():  # nothing can leave the hub before the power goes
        hub.press()
        hub.wait_indicator("heard", HEARD_S)
        hub.power(False)
        hub.power(True)
        hub.wait_indicator("unanswered", AT_WORK_S)
    call = platform.wait_event("call", hub.hub_id, BACK_S)
    assert call.alarm == f"{hub.hub_id}/{call.id}"
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("D-02", "D-06", "D-07")
@pytest.mark.needs("proxy")
def test_power_that_goes_at_any_moment_costs_no_heard_press(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    chance = random.Random(bench.options.seed or 1)
    for cut in range(CUTS):
        said = hub.log_position()
        with fault.slow(2000) if cut % 2 else fault.cut():
            press_again(hub)
            hub.wait_log("kanhu: lamp heard", ARRIVES_S, said)
            time.sleep(chance.uniform(0.0, 0.6))
            hub.power(False)
            hub.power(True)
        wait_calls(hub, platform, cut + 1, BACK_S)
        (alarm,) = bench.host.open_alarms(hub.hub_id)
        Operator(bench).accept(alarm)
        Operator(bench).close(alarm)
        hub.wait_indicator("well", BACK_S)
    bench.host.wait_settled(hub.hub_id)
    unbroken(bench.host, hub)
    assert platform.calls(hub.hub_id) == CUTS


@pytest.mark.promise("P-02", "P-03", "D-07")
def test_a_start_says_why_and_what_came_before(
    hub: Board, platform: Platform, bench: Rig, measure: Any
) -> None:
    bench.host.wait_settled(hub.hub_id)
    hub.power(False)
    before = bench.host.stored(hub.hub_id)[-1]
    begin = time.monotonic()
    hub.power(True)
    hub.wait_indicator("well", AT_WORK_S)
    measure("supply to well", time.monotonic() - begin, "s", AT_WORK_S)
    boot = platform.wait_event("boot", hub.hub_id, BACK_S)
    number, seq = map(int, boot.id.split("-"))
    assert (number, seq) == (before.boot + 1, 0)
    assert boot.data["reset"] == "power_on"
    last, last_seq = map(int, boot.data["previous"].split("-"))
    assert last == before.boot
    assert last_seq >= before.seq  # what was written and not sent any more counts, too


@pytest.mark.promise("D-04")
def test_stored_is_said_only_of_what_is_on_the_hosts_disk(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    before = bench.host.journal_calls(hub.hub_id)
    with fault.disk_full():
        hub.press()
        never_shown(hub, {"stored", "delivered", "accepted"}, 8)
        hub.wait_indicator("unanswered", AT_WORK_S)  # 10 s after the press
        assert bench.host.journal_calls(hub.hub_id) == before
    platform.wait_event("call", hub.hub_id, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    assert platform.calls(hub.hub_id) == 1


@pytest.mark.promise("P-01")
@pytest.mark.needs("power_point", "proxy")
def test_power_that_goes_inside_a_write_leaves_every_file_readable(
    hub: Board, platform: Platform, bench: Rig, fault: Any
) -> None:
    with fault.cut():
        hub.press()
        hub.wait_indicator("heard", HEARD_S)
        for _ in range(3):
            with fault.power_cut(at="flash") as cut:
                press_again(hub)
                cut.wait(AT_WORK_S)
            hub.wait_indicator("unanswered", AT_WORK_S)
    began = bench.host.stored(hub.hub_id)[-1].boot
    platform.wait_event("call", hub.hub_id, BACK_S)
    bench.host.wait_settled(hub.hub_id)
    unbroken(bench.host, hub)
    beat = platform.wait(
        lambda event: (
            event.name == "heartbeat" and event.hub == hub.hub_id and int(event.id.split("-")[0]) > began
        ),
        ARRIVES_S,
    )
    assert "damaged_files" not in beat.data.get("faults", {}) or not beat.data["faults"]["damaged_files"]


@pytest.mark.promise("P-04")
@pytest.mark.needs("reset")
def test_a_hub_that_is_reset_is_back_and_calls(hub: Board, platform: Platform) -> None:
    hub.reset()
    platform.wait_event("boot", hub.hub_id, BACK_S)
    hub.wait_indicator("well", BACK_S)
    call_after_press(hub, platform)
    wait_calls(hub, platform, 1)


@pytest.mark.promise("K-04", "P-04")
@pytest.mark.needs("exec")
def test_a_technician_at_the_console_and_the_hub_back_at_work(hub: Board, platform: Platform) -> None:
    said = hub.exec("import os\nprint(sorted(os.listdir('/')))")
    assert "main.py" in said
    assert "data" in said
    boot = platform.wait_event("boot", hub.hub_id, BACK_S)
    assert boot.data["reset"] in {"soft", "watchdog", "requested", "hard", "power_on", "external"}
    hub.wait_indicator("well", BACK_S)
    call_after_press(hub, platform)
