"""The registry's file, homes, hubs and their keys."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from helpers_intake import Host, HubVoice
from helpers_registry import HUB, MAC, run
from kanhu.errors import DataError
from kanhu.registry import Registry, RegistryError
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import is_id


def test_homes_hubs_and_keys_survive(registry: Registry, home: str, tmp_path: Path) -> None:
    hub, key = registry.add_hub(home)
    assert is_id(hub)
    assert len(key) == 16
    assert registry.new_key(hub)[0] == 2
    again = Registry.open(tmp_path / "data")
    assert again.keys(hub)[1] == key
    assert set(again.keys(hub)) == {1, 2}
    assert again.key(hub) == (2, registry.keys(hub)[2])
    assert again.home(home).phones == ("+86 27 8888 1234",)
    assert again.home_of(hub) == registry.home(home)
    assert again.hub(hub).generation == 2
    assert again.keys("0000000000") == {}
    assert again.key("0000000000") is None
    again.close()


def test_only_the_owner_may_read_it(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "data" / "registry.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for mode in (0o640, 0o604, 0o660, 0o644):
        path.chmod(mode)
        with pytest.raises(DataError, match=f"run chmod 600 {path}"):
            Registry.open(tmp_path / "data")
    path.chmod(0o600)
    Registry.open(tmp_path / "data").close()


def test_revoking_deletes_the_keys(registry: Registry, home: str, tmp_path: Path) -> None:
    hub, key = registry.add_hub(home)
    assert registry.knows(hub)
    registry.revoke_hub(hub)
    assert registry.keys(hub) == {}
    assert not registry.knows(hub)
    assert registry.hub(hub).revoked_ms is not None
    assert key not in (tmp_path / "data" / "registry.db").read_bytes()
    for change in (registry.revoke_hub, registry.new_key, lambda hub: registry.add_sensor(hub, "call", MAC)):
        with pytest.raises(RegistryError, match="is revoked"):
            change(hub)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"region": "CN/42"}, "region 'CN/42': must be a path"),
        ({"region": "cn//42"}, "must be a path"),
        (
            {"time_zone": "Beijing"},
            "time zone 'Beijing': must be a name of the IANA list, such as Asia/Shanghai",
        ),
        ({"time_zone": "../../etc/passwd"}, "time zone"),
        ({"time_zone": ""}, "time zone"),
        ({"phones": ["110x"]}, "telephone '110x': must be digits"),
        ({"name": "a\nb"}, "name: must be one line"),
        ({"address": "x" * 201}, "address: must be one line"),
        ({"home_id": "short"}, "home 'short': must be 10 characters"),
    ],
)
def test_a_wrong_home_is_one_clear_line(registry: Registry, fields: dict[str, object], line: str) -> None:
    with pytest.raises(RegistryError, match=line) as caught:
        registry.add_home(**fields)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert registry.homes() == []


def test_wrong_hubs(registry: Registry, home: str) -> None:
    registry.add_hub(home, HUB)
    with pytest.raises(RegistryError, match="there already"):
        registry.add_hub(home, HUB)
    with pytest.raises(RegistryError, match="without i, l, o and u"):
        registry.add_hub(home, "7M3K0XQ2FZ")
    with pytest.raises(RegistryError, match="home 'nowhere': not known"):
        registry.add_hub("nowhere")
    with pytest.raises(RegistryError, match="not known"):
        registry.revoke_hub("0000000000")


def test_a_running_daemon_sees_what_the_command_changed(
    registry: Registry, home: str, tmp_path: Path
) -> None:
    version = registry.version
    assert registry.refresh() is False
    other = Registry.open(tmp_path / "data")
    hub, key = other.add_hub(home)
    assert registry.refresh() is True
    assert registry.version > version
    assert registry.keys(hub) == {1: key}
    assert registry.refresh() is False
    with pytest.raises(RegistryError, match="there already"):
        registry.add_hub(home, hub)
    other.close()


def test_a_file_that_is_no_registry(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"no database" * 100)
    (tmp_path / "registry.db").chmod(0o600)
    with pytest.raises(DataError, match=r"registry\.db: .*restore it from a backup"):
        Registry.open(tmp_path)


def test_only_adding_a_home_makes_a_registry(tmp_path: Path) -> None:
    typo = tmp_path / "typo"
    for access in ("read", "change"):
        with pytest.raises(DataError, match=f"no registry in {typo}: add a home first"):
            Registry.open(typo, access)
    assert not typo.exists()
    for words in (
        ["home", "list"], ["home", "show", HUB], ["hub", "list"], ["hub", "add", HUB],
        ["hub", "settings", HUB, "lamp=3"], ["sensor", "list", HUB], ["sensor", "remove", HUB, "3"],
    ):  # fmt: skip
        done = run(typo, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"kanhu: no registry in {typo}: add a home first (kanhu registry home add)\n"
    assert not typo.exists()
    assert run(typo, "home", "add").returncode == 0
    assert run(typo, "home", "list").returncode == 0
    (tmp_path / "registry.db").touch(0o600)  # what a first start that was killed leaves
    with pytest.raises(DataError, match="no registry"):
        Registry.open(tmp_path, "read")


def test_looking_changes_nothing(registry: Registry, home: str, tmp_path: Path) -> None:
    path = tmp_path / "data" / "registry.db"
    before = path.read_bytes()
    looking = Registry.open(tmp_path / "data", "read")
    assert looking.homes() == registry.homes()
    with pytest.raises(RegistryError, match="readonly"):
        looking.add_home()
    looking.close()
    assert path.read_bytes() == before


async def test_keys_are_retired_when_nothing_is_left_to_open(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path)
    _, key = registry.add_hub(registry.add_home(), HUB)
    old = HubVoice(key=key)
    assert "has one key only" in run(tmp_path, "hub", "retire-keys", HUB, "--force").stdout
    generation, key, _ = registry.new_key(HUB)
    new = HubVoice(key=key, generation=generation)

    async def heard(*events: bytes) -> None:
        host = Host(tmp_path, old)
        host.keys.by_hub[HUB] = registry.keys(HUB)
        for event in events:
            await host.intake.receive(HUB, event, "mqtt")
        await host.journal.close()

    kept = [old.start(1), old.say(k.MOTION)]
    await heard(kept[0])
    done = run(tmp_path, "hub", "retire-keys", HUB)
    assert (done.returncode, "was not heard with key generation 2 yet" in done.stderr) == (1, True)
    await heard(new.start(2, previous=(1, 1)))
    done = run(tmp_path, "hub", "retire-keys", HUB)
    assert (done.returncode, "1 events are awaited" in done.stderr) == (1, True)
    assert set(Registry.open(tmp_path).keys(HUB)) == {1, 2}
    await heard(kept[1])
    assert "retired key generations 1\n" in run(tmp_path, "hub", "retire-keys", HUB).stdout
    assert set(Registry.open(tmp_path).keys(HUB)) == {2}
    assert (await refusals(tmp_path, old)) == {("mqtt", "unknown_key"): 1}


async def refusals(data_dir: Path, hub: HubVoice) -> dict[tuple[str, str], int]:
    host = Host(data_dir)
    host.keys.by_hub[HUB] = Registry.open(data_dir).keys(HUB)
    await host.intake.receive(HUB, hub.say(k.CALL), "mqtt")
    await host.journal.close()
    return dict(host.counters.refused)
