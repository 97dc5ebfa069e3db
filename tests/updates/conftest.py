from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from helpers_cli import Kanhu, runner
from helpers_updates import Lab, Taker, write_release
from kanhu.registry import Registry
from kanhu.updates import updates as module


@pytest.fixture
def kanhu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    """One command in tmp_path."""
    monkeypatch.chdir(tmp_path)
    return runner(monkeypatch, capsys)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def takers(data: Path) -> list[Taker]:
    """Five hubs, of homes in two regions."""
    with closing(Registry.open(data)) as registry:
        homes = [registry.add_home("cn/42/01" if n % 2 else "cn/42/02") for n in range(5)]
        return [Taker(*registry.add_hub(home)) for home in homes]


@pytest.fixture
async def open_lab(
    data: Path, takers: list[Taker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Lab]]:
    """open_lab() starts a daemon with release 0.2.0 added; every hub has started."""
    monkeypatch.setattr(module, "TICK_S", 0.05)
    path, trust = write_release(tmp_path, "0.2.0")
    labs: list[Lab] = []

    async def start() -> Lab:
        first = not labs
        lab = Lab(data, takers)
        labs.append(lab)
        if first:
            from kanhu.install.signing import load_public

            lab.updates.releases.add(path, [load_public(trust)], 1)
            for taker in takers:
                taker.start()
            await lab.until(lambda: all(lab.updates.running.version(one.hub_id) for one in takers))
        return lab

    yield start
    for lab in labs:
        await lab.close()
