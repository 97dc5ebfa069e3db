"""What provisioning changes in the registry: the home, the hub's place in it, its commissioning key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kanhu.registry import Registry, RegistryError
from kanhu.registry.acceptances import Acceptances


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    found = Registry.open(tmp_path / "data")
    yield found
    found.close()


def test_commissioning_key_is_made_once_and_kept(registry: Registry, tmp_path: Path) -> None:
    hub, _ = registry.add_hub(registry.add_home())
    other, _ = registry.add_hub(registry.add_home())
    again = Registry.open(tmp_path / "data", "change")
    made = registry.commission(hub)
    assert len(made) == 16
    assert again.commission(hub) == made == registry.commission(hub)
    assert again.commission(other) != made
    again.close()
    registry.revoke_hub(hub)
    with pytest.raises(RegistryError, match="revoked"):
        registry.commission(hub)
    with pytest.raises(RegistryError, match="not known"):
        registry.commission("7m3k0xq2fz")


def test_a_home_is_described_bit_by_bit(registry: Registry) -> None:
    home = registry.add_home()
    assert registry.is_placeholder(home)
    registry.set_home(home, region="cn/42/01", name="王秀英")
    registry.set_home(home, time_zone="Asia/Urumqi", address="Jiefang Dadao 7", phones=["+86 27 8888 1234"])
    found = registry.home(home)
    assert (found.region, found.name, found.time_zone) == ("cn/42/01", "王秀英", "Asia/Urumqi")
    assert (found.address, found.phones) == ("Jiefang Dadao 7", ("+86 27 8888 1234",))
    assert not registry.is_placeholder(home)
    for wrong in ({"region": "CN"}, {"time_zone": "Mars/Base"}, {"phones": ["x"]}, {"name": "a\nb"}):
        with pytest.raises(RegistryError):
            registry.set_home(home, **wrong)
    assert registry.home(home) == found


def test_a_hub_moves_out_of_its_placeholder_and_takes_it_along(registry: Registry, tmp_path: Path) -> None:
    home = registry.add_home("cn/42/01", name="王秀英")
    placeholder = registry.add_home()
    hub, key = registry.add_hub(placeholder)
    registry.add_sensor(hub, "call", "A4:C1:38:0B:5E:9D")
    daemon = Registry.open(tmp_path / "data", "change")
    registry.move_hub(hub, home)
    assert [one.id for one in registry.homes()] == [home]
    assert daemon.refresh()
    moved_to = daemon.home_of(hub)
    assert moved_to is not None
    assert moved_to.id == home
    assert daemon.key(hub) == (1, key)
    assert len(daemon.sensors(hub)) == 1
    registry.move_hub(hub, home)  # a second time changes nothing
    daemon.close()


def test_a_placeholder_with_another_hub_stays(registry: Registry) -> None:
    home, placeholder = registry.add_home("cn/42"), registry.add_home()
    hub, _ = registry.add_hub(placeholder)
    other, _ = registry.add_hub(placeholder)
    registry.revoke_hub(other)
    registry.move_hub(hub, home)
    assert registry.hub(other).home == placeholder


@pytest.mark.parametrize("lived", ["region", "note", "acceptance"])
def test_a_hub_does_not_leave_a_home_that_is_one(registry: Registry, lived: str) -> None:
    home, other = registry.add_home("cn/42" if lived == "region" else None), registry.add_home("cn/43")
    hub, _ = registry.add_hub(home)
    if lived == "note":
        with registry._change() as db:
            db.execute("INSERT INTO notes VALUES (?,?,?,?)", (home, "deaf on one side", "zhang", 1))
    if lived == "acceptance":
        Acceptances(registry).add(hub, b"{}", bytes(64), 1)
    with pytest.raises(RegistryError, match=re.escape(f"is in home {home} already")):
        registry.move_hub(hub, other)
    assert registry.hub(hub).home == home
    with pytest.raises(RegistryError, match="not known"):
        registry.move_hub(hub, "7m3k0xq2fz")
