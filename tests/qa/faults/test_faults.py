"""Every fault on a bench of simulated homes: it does what it says, it ends, and nothing of it stays."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kanhu.qa import capabilities as c
from kanhu.qa.board import Board
from kanhu.qa.capabilities import NeedsCapability
from kanhu.qa.faults.fault import Fault, FaultTrouble
from kanhu.qa.faults.faults import Faults
from kanhu.qa.faults.on_home import TIME_SERVER
from kanhu.qa.faults.secure import SecureLine
from kanhu.qa.faults.small_disk import moved
from kanhu.qa.host import Platform
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Rig
from kanhu.qa.targets.sim_homes import Homes
from kanhu.sim.faults.disk import may_mount

LIMIT_S = 60.0
HELD_S = 0.5  # of the hub's time: noticed, however busy this computer is


def until(condition: Callable[[], object], what: str = "it") -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not come to pass"
        time.sleep(0.05)


@pytest.fixture
def hub(rig: Rig) -> Iterator[Board]:
    board: Board = rig.hub
    board.wait_indicator("well", LIMIT_S)
    yield board
    assert rig.settle() == []


@pytest.fixture
def platform(rig: Rig, hub: Board) -> Platform:
    return Platform(rig.host)


def arrives_once(platform: Platform, hub: Board, presses: int = 1) -> None:
    try:
        until(lambda: platform.calls(hub.hub_id) >= presses, "the call")
    except AssertionError as error:
        raise AssertionError(f"{error}; the hub said: ...{hub.log()[-2000:]}") from None
    assert platform.calls(hub.hub_id) == presses


def started(hub: Board, after: int) -> None:
    """It is up after a power cut: a press is heard."""
    hub.wait_log("kanhu: lamp ", LIMIT_S, after)


LINES: dict[str, Callable[[Faults], Fault]] = {
    "cut": lambda fault: fault.cut(),
    "stall": lambda fault: fault.stall(),
    "reset": lambda fault: fault.reset(every_s=0.1),
    "slow": lambda fault: fault.slow(50),
    "lossy": lambda fault: fault.lossy(1.0),
    "half-open": lambda fault: fault.half_open(),
    "mute broker": lambda fault: fault.mute_broker(),
    "the daemon's line": lambda fault: fault.cut("daemon"),
    "the city's line": lambda fault: fault.stall("city"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_press_outlives_what_its_line_does(
    name: str, fault: Faults, hub: Board, platform: Platform, recorder: Recorder
) -> None:
    made = LINES[name](fault)
    with recorder.test(name):
        with made:
            assert made.begun
            hub.press(seconds=HELD_S)
            hub.wait_log("kanhu: lamp heard", LIMIT_S, hub.log_position() - 200)
        assert not made.begun
        made.end()
    span = recorder.run.tests[-1].faults[-1]
    assert span.name == made.name
    assert span.end_s is not None
    assert span.end_s > span.begin_s
    assert "line of the " in span.detail
    arrives_once(platform, hub)


def test_a_refused_line_keeps_a_hub_that_starts_anew_away(fault: Faults, hub: Board, rig: Rig) -> None:
    known = rig.host.proxy.count("connections")
    with fault.refuse():
        at = hub.log_position()
        with fault.power_cut():
            pass
        hub.wait_log("mqtt: broker.lan: ", LIMIT_S, at)
        assert rig.host.proxy.count("connections") == known
    hub.wait_indicator("well", LIMIT_S)


def test_the_daemon_is_away_until_the_last_fault_is_over(fault: Faults, hub: Board, rig: Rig) -> None:
    daemon = rig.host.town.daemon
    kill, stop = fault.daemon_kill(), fault.daemon_stop()
    kill.begin()
    stop.begin()
    assert not daemon.running
    kill.end()
    kill.end()
    assert not daemon.running
    stop.end()
    assert daemon.running


def test_the_broker_is_away_and_back(fault: Faults, hub: Board, platform: Platform, rig: Rig) -> None:
    with fault.broker_restart():
        assert not rig.host.town.broker.running
        hub.press(seconds=HELD_S)
    arrives_once(platform, hub)


@pytest.mark.parametrize("hours", [0, 5])
def test_the_platform_is_away_and_what_it_missed_comes(
    hours: float, fault: Faults, hub: Board, platform: Platform, rig: Rig
) -> None:
    with fault.platform_down(hours=hours):
        hub.press(seconds=HELD_S)
        until(lambda: rig.host.ledger(hub.hub_id)["queued"], "the queue")
        assert platform.calls(hub.hub_id) == 0
    arrives_once(platform, hub)
    rig.host.wait_settled(hub.hub_id)


def test_a_mute_platform_has_nothing_until_it_speaks(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.platform_mute():
        hub.press(seconds=HELD_S)
        until(lambda: [one for one in platform.arrivals() if hub.hub_id in one[0]], "the message")
        assert platform.calls(hub.hub_id) == 0
    arrives_once(platform, hub)


def test_the_hosts_clock_is_wrong_by_the_sum(fault: Faults, hub: Board, rig: Rig) -> None:
    def wrong_by() -> float:
        with closing(sqlite3.connect(f"{rig.host.journal.as_uri()}?mode=ro", uri=True)) as db:
            (newest,) = db.execute("SELECT received_ms FROM events ORDER BY n DESC LIMIT 1").fetchone()
        return float(newest) / 1000 - time.time()

    with fault.host_clock(7200), fault.host_clock(-3600):
        hub.press(seconds=HELD_S)
        until(lambda: 3300 < wrong_by() < 3900, "the hour")
    hub.press(seconds=HELD_S)
    until(lambda: abs(wrong_by()) < 300, "the right time")


@pytest.mark.skipif(not may_mount(), reason="not on this platform: this user may mount nothing")
def test_a_full_disk_takes_nothing_and_loses_nothing(
    fault: Faults, hub: Board, platform: Platform, rig: Rig
) -> None:
    daemon, host = rig.host.town.daemon, rig.host
    before = len(host.stored(hub.hub_id))
    with fault.disk_full():
        assert os.statvfs(daemon.data_dir).f_bavail == 0
        hub.press(seconds=HELD_S)
        hub.wait_log("kanhu: lamp heard", LIMIT_S, hub.log_position() - 200)
        time.sleep(1.0)
        assert platform.calls(hub.hub_id) == 0
        assert daemon.running
    arrives_once(platform, hub)  # without a restart
    assert fault.disk_was_full
    fault.put_back()
    assert not os.path.ismount(daemon.data_dir)
    assert daemon.running
    host.wait_settled(hub.hub_id)
    assert len(host.stored(hub.hub_id)) > before


@pytest.mark.skipif(not may_mount(), reason="not on this platform: this user may mount nothing")
def test_moving_to_a_small_disk_keeps_every_file_and_descriptor(rig: Rig) -> None:
    daemon = rig.host.town.daemon
    with (daemon.data_dir / "marker").open("w+b") as mine:
        mine.write(b"before")
        mine.flush()
        with moved(daemon):
            assert (daemon.data_dir / "marker").read_bytes() == b"before"
            (daemon.data_dir / "marker").write_bytes(b"and after")
            (daemon.data_dir / "new").write_bytes(b"new")
        mine.seek(0)
        assert mine.read() == b"and after"
    assert (daemon.data_dir / "new").read_bytes() == b"new"
    (daemon.data_dir / "new").unlink()
    (daemon.data_dir / "marker").unlink()


@pytest.mark.parametrize("at", [0.0, 0.3, "random", "flash"])
def test_the_power_goes_and_comes_back(
    at: float, fault: Faults, hub: Board, platform: Platform, rig: Rig
) -> None:
    chip = rig.sim.hubs[hub.hub_id]  # type: ignore[union-attr]
    boots = chip.boots
    cut = fault.power_cut(at=at, operation=2)
    with cut:
        if at == "flash":
            hub.press(seconds=HELD_S)
        cut.wait(LIMIT_S)
        until(lambda: not chip.running, "the dark")
    until(lambda: chip.running, "the light")
    assert chip.boots == boots + 1
    assert len(fault.dark[hub.hub_id]) == 1
    if at == "flash":
        assert "operation 2" in cut.detail


def test_a_cut_that_did_not_come_about_is_called_off(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.power_cut(at=1000.0) as later, fault.power_cut(at="flash", operation=1000):
        with pytest.raises(TimeoutError, match="still on after"):
            later.wait(0.1)  # type: ignore[attr-defined]
    hub.press(seconds=HELD_S)
    arrives_once(platform, hub)
    assert not fault.dark[hub.hub_id]


def test_brown_outs(fault: Faults, hub: Board, platform: Platform, rig: Rig) -> None:
    chip = rig.sim.hubs[hub.hub_id]  # type: ignore[union-attr]
    boots = chip.boots
    with fault.brown_out(times=4, on_s=(0.05, 0.2)):
        until(lambda: chip.boots >= boots + 4, "four starts")
    assert len(fault.dark[hub.hub_id]) == 1  # one spell in which nothing counts as said
    hub.wait_indicator("well", LIMIT_S)


def test_a_full_flash(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.flash_full():
        at = hub.log_position()
        hub.press(seconds=HELD_S)
        hub.wait_log("kanhu: lamp ", LIMIT_S, at)
    arrives_once(platform, hub)
    (spell,) = fault.full[hub.hub_id]
    assert spell.end < time.monotonic()


@pytest.mark.parametrize("name", ["off", "flap"])
def test_wifi(name: str, fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.wifi_off() if name == "off" else fault.wifi_flap(0.4):
        hub.press(seconds=HELD_S)
    arrives_once(platform, hub)


def test_no_name_server(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.dead_dns():
        at = hub.log_position()
        with fault.power_cut():
            pass
        started(hub, at)
        hub.press(seconds=HELD_S)
        hub.wait_log("mqtt: broker.lan: ", LIMIT_S, at)
        assert platform.calls(hub.hub_id) == 0
    arrives_once(platform, hub)


def test_a_time_server_that_is_wrong(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.hub_clock(86_400):
        at = hub.log_position()
        with fault.power_cut():
            pass
        started(hub, at)
        hub.press(seconds=HELD_S)
        event = platform.wait_event("call", hub.hub_id, LIMIT_S)
        assert event.data["device"] == 1  # a call is a call, whatever the clock says
        hub.wait_log("kanhu: lamp delivered", LIMIT_S, at)
    arrives_once(platform, hub)


def test_a_storm_on_the_air(fault: Faults, hub: Board, platform: Platform, rig: Rig) -> None:
    air = rig.sim._air  # type: ignore[union-attr]
    before = air.sent
    with fault.air_storm(200):
        hub.press(seconds=HELD_S)
        arrives_once(platform, hub)
        until(lambda: air.sent > before + 100, "the storm")
    quiet = air.sent
    time.sleep(0.2)
    assert air.sent - quiet < 20  # a home's own sensors


def test_noise_and_half_frames_towards_the_hub(fault: Faults, hub: Board, platform: Platform) -> None:
    with fault.serial_noise(500), fault.half_frames(10):
        time.sleep(1.0)
        hub.press(seconds=HELD_S)
        arrives_once(platform, hub)


def test_noise_and_half_frames_towards_the_host(fault: Faults, rig: Rig) -> None:
    hub = Homes(rig.host).add(links=("serial",), speed=5)
    platform = Platform(rig.host)
    with fault.serial_noise(500, hub, toward="host"), fault.half_frames(10, hub, toward="host"):
        time.sleep(1.0)
        hub.press(seconds=HELD_S)
        until(lambda: platform.calls(hub.hub_id) >= 1, "the call")
    assert platform.calls(hub.hub_id) == 1
    rig.host.city.accept_all()


def test_an_expired_certificate_is_said_and_recovered_from(fault: Faults, rig: Rig, tmp_path: Path) -> None:
    platform = Platform(rig.host)
    with SecureLine(rig.host, tmp_path) as line:
        hub = line.add_hub("safe", {"ntp": [TIME_SERVER, 123]}, speed=2)
        hub.wait_log("kanhu: lamp well", LIMIT_S)
        with fault.expired_certificate(line):
            hub.press(seconds=HELD_S)
            hub.wait_log("tls: certificate expired", LIMIT_S)
            assert platform.calls(hub.hub_id) == 0
        until(lambda: platform.calls(hub.hub_id) == 1, "the call")
        rig.host.city.accept_all()
        hub.power(False)


# What holds for all


def test_what_a_bench_cannot_do_is_named_with_what_to_do(
    fault: Faults, rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.parts, "capabilities", frozenset())
    monkeypatch.setattr(rig.parts, "sim", None)
    monkeypatch.setattr(type(rig.hub), "capabilities", frozenset({c.LOG}))
    wanting: dict[str, Callable[[], object]] = {
        c.PROXY: fault.cut,
        c.POWER: fault.power_cut,
        c.WIFI: fault.wifi_flap,
        c.DNS: fault.dead_dns,
        c.HUB_CLOCK: lambda: fault.hub_clock(1),
        c.AIR_STORM: fault.air_storm,
        c.FLASH_FULL: fault.flash_full,
    }
    for name, ask in wanting.items():
        with pytest.raises(NeedsCapability, match=f"this bench has no {name}: "):
            ask()
    with pytest.raises(NeedsCapability, match="noise on the way to the host: run --target sim"):
        fault.serial_noise(toward="host")


def test_a_fault_that_is_there_cannot_begin_again_but_after_its_end(fault: Faults) -> None:
    cut = fault.cut("city")
    with cut:
        with pytest.raises(FaultTrouble, match="there already"):
            cut.begin()
    cut.begin()
    assert fault.open == [cut]
    cut.end()
    assert fault.open == []


def test_everything_is_ended_in_reverse_order_and_troubles_are_told(rig: Rig) -> None:
    order: list[str] = []
    recorder = Recorder.start("sim")
    faults = Faults(rig, recorder)

    def make(name: str, bad: bool = False) -> Fault:
        @contextmanager
        def body() -> Iterator[None]:
            yield
            order.append(name)
            if bad:
                raise OSError("stuck")

        return Fault(name, "", body, recorder, faults.open)

    for one in (make("first"), make("second", bad=True), make("third")):
        one.begin()
    assert faults.close() == ["second was not lifted: OSError: stuck"]
    assert order == ["third", "second", "first"]
    assert faults.close() == []
    assert all(span.end_s is not None for span in recorder.run.between.faults)


def test_a_fault_that_does_not_begin_leaves_nothing(rig: Rig) -> None:
    recorder = Recorder.start("sim")
    open_: list[Fault] = []

    @contextmanager
    def body() -> Iterator[None]:
        raise FaultTrouble("no")
        yield

    broken = Fault("broken", "", body, recorder, open_)
    with pytest.raises(FaultTrouble, match="no"):
        broken.begin()
    assert not broken.begun
    assert open_ == []
    broken.end()
    assert recorder.run.between.faults[-1].end_s is not None
