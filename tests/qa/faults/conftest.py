"""A bench without flashing: a host, and hubs of simulated homes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import pytest

from kanhu.qa import capabilities as c
from kanhu.qa.faults.faults import Faults
from kanhu.qa.faults.on_home import TIME_SERVER
from kanhu.qa.host import Host
from kanhu.qa.record import Recorder
from kanhu.qa.rig import Options, Parts, Rig
from kanhu.qa.targets.sim_homes import Homes

SPEED = 2  # simulated seconds per second
CAPABILITIES = c.SIMULATION | {c.PROXY, c.SERIAL_LINK, c.FLASH_FULL}


@contextlib.contextmanager
def desk(options: Options) -> Iterator[Parts]:
    """One hub, well."""
    with Host(options.folder / "host", heartbeat_s=5) as host:
        host.town.bench.serve_time(TIME_SERVER)
        homes = Homes(host)
        hub: Any = homes.add(speed=SPEED, config={"ntp": [TIME_SERVER, 123]})
        hub.powered, hub.hands = True, hub._hands  # as a flashed one has them
        yield Parts(
            hubs=[hub],
            host=host,
            installer=cast(Any, None),
            sim=host.town.bench,
            capabilities=CAPABILITIES,
        )


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder.start("sim")


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Rig]:
    with Rig(Options(folder=tmp_path_factory.mktemp("bench")), desk, recorder) as made:
        yield made


@pytest.fixture
def fault(rig: Rig, recorder: Recorder) -> Iterator[Faults]:
    made = Faults(rig, recorder, seed=7)
    yield made
    assert made.close() == []
    assert made.open == []
