"""The stimulus's pins and the hub's, wired: what one drives, the other reads."""

from __future__ import annotations

import time

import pytest
import serial

from helpers_board import mpremote
from helpers_e2e import wait_for
from helpers_stimulus import WAIT, Two, image
from kanhu.qa import stimulus_dialog
from kanhu.qa.stimulus import Stimulus, StimulusError, flash
from kanhu.sim.hub import Hub

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name).. is deprecated")  # pyserial's


def calls(hub: Hub) -> int:
    return hub.log().count("lamp heard")


def well(boards: Two) -> str:
    """What this hub shows when nothing happens: it has no network."""
    hub = boards.hub
    hub.wait_log("boot", WAIT)
    return "unanswered" if calls(hub) or "1 alarms open" in hub.log() else "cannot_tell"


def test_a_press_is_a_call_and_the_lamp_is_read_back(boards: Two) -> None:
    stimulus, hub = boards.stimulus, boards.hub
    stimulus.wait_indicator(well(boards), WAIT)
    before = time.monotonic()
    ticks = stimulus.press("button", 200, bounce=True)
    after = time.monotonic()
    at, error = stimulus.when(ticks)
    assert before - error <= at <= after - 0.2 + error
    hub.wait_log("lamp heard", WAIT)
    stimulus.wait_indicator("unanswered", WAIT)
    shown = boards.bench.wait_indicator(hub, "unanswered", WAIT)
    assert stimulus.indicator() == shown.pattern
    lamp = [edge for edge in stimulus.edges() if edge.line == "lamp" and edge.at > at]
    assert lamp
    assert all(edge.error < 0.5 for edge in lamp)
    assert [edge.level for edge in lamp] == [lamp[0].level ^ n & 1 for n in range(len(lamp))]
    assert stimulus.status()["edges"]["lost"] == 0
    assert stimulus.sight.unheard == 0


def test_the_line_power_cuts_and_restores_the_hubs_supply(boards: Two) -> None:
    stimulus, hub, board = boards.stimulus, boards.hub, boards.hub_board
    hub.wait_log("boot", WAIT)
    for cut, back in ((lambda: stimulus.set("power", 0), lambda: stimulus.set("power", None)),
                      (lambda: stimulus.stick("power", True), stimulus.settle)):  # fmt: skip
        mark = hub.log_position()
        cut()
        assert board.wait_state("off", timeout=WAIT) == "off"
        assert stimulus.indicator() == ""
        back()
        hub.wait_log("boot", WAIT, after=mark)
    mark, resets = hub.log_position(), board.resets
    stimulus.pulse("power", 300)
    hub.wait_log("boot", WAIT, after=mark)
    assert board.resets == resets + 1
    # Two switches in a row: what a person's hand has cut, the line does not bring back.
    board.cut_power()
    stimulus.set("power", 0)
    stimulus.set("power", 1)
    stimulus.ping()
    assert board.state == "off"
    board.power_on()
    stimulus.wait_indicator(well(boards), WAIT)


def test_a_stimulus_that_is_reset_or_without_power_lets_go(boards: Two) -> None:
    stimulus, board, hub_board = boards.stimulus, boards.board, boards.hub_board
    stimulus.set("power", 0)
    hub_board.wait_state("off", timeout=WAIT)
    board.cut_power()  # the pull-up at the load switch has it on
    hub_board.wait_state("application", timeout=WAIT)
    with pytest.raises(StimulusError, match="did not answer 'hello' in 1 s"):
        stimulus.ask("hello", timeout=1)
    starts = stimulus.starts
    board.power_on()
    wait_for(lambda: stimulus.starts > starts, WAIT)
    stimulus.wait_indicator(well(boards), WAIT)
    stimulus.stick("button", True)
    boards.hub.wait_log("lamp heard", WAIT)
    (lead,) = [wire for name, wire in boards.hub.wires.items() if name.endswith(":button")]
    assert lead.level() == 0
    stimulus.reboot()
    assert lead.level() is None
    assert stimulus.hello is not None
    assert stimulus.hello.cause == "reset"


def test_a_hub_in_reset_is_dark(boards: Two) -> None:
    stimulus = boards.stimulus
    stimulus.wait_indicator(well(boards), WAIT)
    with serial.serial_for_url(boards.hub_board.url, 115200, timeout=30) as port:
        port.dtr = False
        port.rts = True
        boards.hub_board.wait_state("reset")
        wait_for(lambda: stimulus.ask("edges")["levels"] == {"lamp": 0, "buzzer": 0}, WAIT)
        seen = len(stimulus.edges())
        time.sleep(0.5)
        assert len(stimulus.edges()) == seen
        port.rts = False
    stimulus.wait_indicator(well(boards), WAIT)


def test_flashing_it_while_it_holds_the_supply_gives_the_hub_its_supply(boards: Two) -> None:
    stimulus = boards.stimulus
    stimulus.set("power", 0)
    boards.hub_board.wait_state("off", timeout=WAIT)
    with stimulus.holding() as url:
        written = flash(url, image())
        assert set(written.regions.values()) == {"kept"}
        assert boards.hub_board.wait_state("application", timeout=WAIT)
    stimulus.prove(image())
    stimulus.wait_indicator(well(boards), WAIT)


def test_its_console_is_a_repl_for_who_asks(boards: Two) -> None:
    stimulus = boards.stimulus
    stimulus.stick("button2", True)
    with stimulus.holding() as url:
        assert mpremote(url, "eval", "6 * 7").strip() == "42"
    assert stimulus.status()["levels"]["button2"] is None
    stimulus.prove(image())


def test_what_stands_at_another_port_is_named(boards: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stimulus_dialog, "OPEN_S", 2.0)
    with pytest.raises(StimulusError, match="this is a hub and not the stimulus: exchange their ports"):
        Stimulus(boards.hub_board.url).open()
    with pytest.raises(StimulusError, match="nothing answers there; start the bench"):
        Stimulus("rfc2217://127.0.0.1:9").open()
    monkeypatch.undo()
    bare = boards.bench.add_board("bare", "esp32", "240ac40000a3", 4, hub=False)
    with pytest.raises(StimulusError, match=r"no stimulus answers: flash it.*invalid header"):
        Stimulus(bare.url).open()
    boards.stimulus.ping()
