"""A hub whose way out is a cellular modem: what it says of each trouble, and that it comes back by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from helpers_e2e import wait_for
from kanhu.sim import Bench
from kanhu.sim.hub import Hub
from kanhu.sim.modem import Modem
from kanhu.sim.town import Home, Town
from kanhu_protocol import kinds as k

CONFIG = {"network": "ppp", "apn": "cmnet", "broker": ["broker.example", 1883, None, None], "pirs": []}
FAST = 5  # simulated seconds per second


def hub_with_modem(bench: Bench, **manners: object) -> tuple[Hub, Modem]:
    hub = bench.add_hub("7m3k0xq2fz", config=CONFIG, power=False, speed=FAST)
    modem = bench.add_modem(hub, **manners)
    bench.power(hub)
    return hub, modem


@pytest.mark.parametrize(
    ("manners", "said"),
    [
        ({"sim": "none"}, "no_sim"),
        ({"sim": "pin"}, "pin_needed"),
        ({"answers": False}, "no_carrier"),
        ({"gives_address": False}, "no_address"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_trouble_has_its_word(tmp_path: Path, manners: dict[str, object], said: str) -> None:
    with Bench(tmp_path) as bench:
        hub, modem = hub_with_modem(bench, **manners)
        hub.wait_log(f"modem: {said}, again in 5 s", 40)
        assert not modem.online


def test_waits_for_a_cell_and_dials_again_after_a_start(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        hub, modem = hub_with_modem(bench, csq=18, registered=False, delay_s=0.3)
        modem.noise()
        with pytest.raises(TimeoutError):
            hub.wait_log("modem: connected", 3)
        assert "ATD*99#" not in modem.commands
        modem.cover(True)
        hub.wait_log("modem: connected, -77 dBm", 40)
        assert modem.online
        assert modem.apn == "cmnet"
        # The hub loses power, the modem does not: it is still in data mode when the hub begins.
        bench.cut_power(hub)
        after = hub.log_position()
        assert modem.state == "data"
        bench.power(hub)
        hub.wait_log("modem: connected, -77 dBm", 40, after)
        assert modem.calls == 2


def test_no_modem_there_and_the_hub_goes_on(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        hub = bench.add_hub(
            "7m3k0xq2fz", config={**CONFIG, "modem": [7, 1, 3, 115200]}, wiring={"bed": 4}, speed=FAST
        )
        hub.wait_log("modem: no_modem, again in 10 s", 40)
        assert bench.press_watched("bed")
        hub.wait_log("lamp heard", 20)


def calls(town: Town, home: Home) -> int:
    """How many the journal holds."""
    with closing(sqlite3.connect(f"file:{town.daemon.data_dir / 'journal.db'}?mode=ro", uri=True)) as db:
        (count,) = db.execute(
            "SELECT count(*) FROM events WHERE hub=? AND kind=?", (home.hub_id, k.CALL)
        ).fetchone()
    return int(count)


def test_a_call_goes_through_the_modem_and_again_after_its_power_was_off(
    make_town: Callable[..., Town],
) -> None:
    town = make_town()
    home = town.add_home(
        "north", buttons={"bed": 4}, mains=False, config={"network": "ppp"}, power=False, speed=FAST
    )
    modem = town.bench.add_modem(home.hub)
    town.start()
    town.bench.power(home.hub)
    home.hub.wait_log("modem: connected", 60)
    town.bench.press("north/bed")
    wait_for(lambda: calls(town, home) == 1, 60, home.hub.log())
    after = home.hub.log_position()
    modem.power(False)
    town.bench.press("north/bed")
    modem.power(True)
    home.hub.wait_log("modem: connected", 120, after)
    assert "modem: no_carrier, again" in home.hub.log(after)
    assert modem.calls == 2
    wait_for(lambda: calls(town, home) == 2, 60, home.hub.log())
