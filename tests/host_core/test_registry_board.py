"""What a hub's board is given: settings, keys and boots."""

from __future__ import annotations

import stat
import subprocess
import sys
import types
from pathlib import Path

import pytest

from helpers_intake import OTHER, Host, HubVoice
from helpers_registry import HUB, MAC, run
from kanhu.registry import Registry, RegistryError
from kanhu.registry.board import write_program
from kanhu_protocol import cbor


def test_settings_and_config(registry: Registry, home: str) -> None:
    hub, _ = registry.add_hub(home)
    assert cbor.loads(registry.hub_config(hub)) == {"version": 1}
    buttons = {"buttons": [[1, 4, 5], [7, 6, None]], "heartbeat": 60, "ntp": None, "pir_warm_up": 30}
    assert registry.set_settings(hub, buttons) == 2
    config = cbor.loads(registry.hub_config(hub, ("home", "secret"), ("broker", 8883, hub, "password")))
    assert config == {
        **buttons, "version": 2, "wifi": ["home", "secret"], "broker": ["broker", 8883, hub, "password"],
    }  # fmt: skip
    assert registry.add_sensor(hub, "call", MAC) == 8
    with pytest.raises(RegistryError, match="device 8 is a sensor"):
        registry.set_settings(hub, {"pirs": [[8, 13]]})
    for wrong, line in (
        ({"lamps": 3}, "setting 'lamps': there is none"),
        ({"heartbeat": 1}, "setting heartbeat: must be seconds, 5 to 86400"),
        ({"buttons": [[0, 4, None]]}, "setting buttons: must be a list"),
        ({"buttons": [[2, 4, None]]}, "two wired inputs"),
        ({"links": ["lora"]}, "setting links"),
        ({"network": "lan"}, "setting network"),
        ({"apn": 'cmnet"\r'}, "setting apn"),
        ({"modem": [0, 17, 18, 115200]}, "setting modem"),
        ({"modem": [1, 17, 18, 31250]}, "setting modem"),
        ({"network": "ppp", "modem": [1, 4, 18, 115200]}, "pin 4 is taken twice"),
        ({"pir_warm_up": -1}, "setting pir_warm_up: must be seconds, 0 to 600"),
        ({"pir_warm_up": 601}, "setting pir_warm_up"),
    ):
        with pytest.raises(RegistryError, match=line):
            registry.set_settings(hub, wrong)
    assert registry.settings(hub) == buttons


class Board:
    """What a program finds and leaves in a board's NVS."""

    def __init__(self) -> None:
        self.committed: dict[str, object] = {}

    def run(self, program: Path) -> None:
        """As the board does; what the program raises comes out, and then nothing of it is committed."""
        pending = dict(self.committed)

        class Nvs:
            set_blob = set_i32 = staticmethod(pending.__setitem__)

            def __init__(self, namespace: str) -> None:
                assert namespace == "kanhu"

            def get_blob(self, name: str, into: bytearray) -> int:
                found = pending.get(name)
                if not isinstance(found, bytes) or len(found) > len(into):
                    raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
                into[: len(found)] = found
                return len(found)

            def get_i32(self, name: str) -> object:
                if name not in pending:
                    raise OSError(-0x1102, "ESP_ERR_NVS_NOT_FOUND")
                return pending[name]

            def commit(_) -> None:
                self.committed = dict(pending)

        sys.modules["esp32"] = types.SimpleNamespace(NVS=Nvs)  # type: ignore[assignment]
        try:
            exec(program.read_text(), {})  # noqa: S102  # as the board runs it
        finally:
            del sys.modules["esp32"]


async def test_no_board_of_a_hub_begins_at_a_boot_that_another_has_used(tmp_path: Path) -> None:
    voice = HubVoice()
    registry = Registry.open(tmp_path)
    registry.add_hub(registry.add_home(), HUB)
    registry.set_settings(HUB, {"links": ["serial"]})
    old, spare, other = Board(), Board(), Board()
    programs = [tmp_path / f"{number}.py" for number in range(6)]
    give = [
        lambda path=path, keep=False: write_program(registry, HUB, path, None, None, keep)
        for path in programs
    ]
    give[0]()
    old.run(programs[0])
    assert (old.committed["generation"], old.committed["boot"]) == (2, 0)
    old.committed["boot"] = 1200
    give[1]()  # an export that nobody has been heard with: its board may have been in use all the same
    spare.run(programs[1])
    assert (spare.committed["generation"], spare.committed["boot"]) == (3, 10_000)
    host = Host(tmp_path, voice)
    voice.generation = 7  # a registry from before keys 4 to 7 were made
    host.keys.by_hub[HUB] = {7: voice.key}
    await host.intake.receive(HUB, voice.start(25_000), "mqtt")
    await host.journal.close()
    give[2]()
    spare.run(programs[2])
    assert (spare.committed["generation"], spare.committed["boot"]) == (8, 35_000)
    spare.committed["boot"] = 50_000
    give[3]()
    spare.run(programs[3])  # the same board, not erased: it goes on from where it is
    assert (spare.committed["generation"], spare.committed["boot"]) == (9, 50_000)

    give[4](keep=True)
    before = dict(spare.committed)
    spare.run(programs[4])
    assert spare.committed == before  # the key it has, the boot it has
    for board in (old, other):  # another key, and none
        with pytest.raises(RuntimeError, match="export again, without --keep-key"):
            board.run(programs[4])
    assert other.committed == {}
    other.committed = {"hub_id": OTHER.encode(), "key": bytes(16), "boot": 3}
    give[5]()
    with pytest.raises(RuntimeError, match="erase its flash first"):
        other.run(programs[5])
    assert other.committed["hub_id"] == OTHER.encode()
    registry.close()


async def test_a_lost_registry_gives_out_no_key_and_boot_again(tmp_path: Path) -> None:
    voice = HubVoice(generation=3)
    host = Host(tmp_path, voice)
    await host.intake.receive(HUB, voice.start(1200), "mqtt")
    await host.journal.close()
    home = Registry.open(tmp_path).add_home()
    run(tmp_path, "hub", "add", home, "--id", HUB)
    run(tmp_path, "hub", "settings", HUB, 'links=["serial"]')
    registry = Registry.open(tmp_path)
    assert registry.hub(HUB).generation == 4
    run(tmp_path, "hub", "export", HUB, "-o", str(tmp_path / "hub.py"))
    board = Board()
    board.run(tmp_path / "hub.py")
    assert (board.committed["generation"], board.committed["boot"]) == (5, 11_200)


def test_export_writes_a_program_that_only_the_owner_reads(tmp_path: Path) -> None:
    home = Registry.open(tmp_path).add_home()
    run(tmp_path, "hub", "add", home, "--id", HUB)
    program = tmp_path / "hub.py"
    secrets = {"KANHU_WIFI_PASSWORD": "a wifi password", "KANHU_BROKER_PASSWORD": "a broker password"}

    def export(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path, "hub", "export", HUB, "-o", str(program), *words, **{**secrets, **more})

    way = ["--wifi", "HomeNet", "--broker", "192.168.1.10:1883", "--user", HUB]
    for words, line in (
        (way[:2], "give --wifi and --broker together"),
        ([*way[:3], "here"], "broker 'here': write HOST:PORT"),
        ([*way[:3], "here:0"], "broker 'here:0': write HOST:PORT"),
        (["--wifi", "x" * 33, *way[2:]], "a network's name has 1 to 32 bytes"),
    ):
        done = export(*words)
        assert (done.returncode, program.exists()) == (1, False)
        assert line in done.stderr
        assert done.stderr.count("\n") == 1
    assert "must be 8 to 63" in export(*way, KANHU_WIFI_PASSWORD="short").stderr
    assert set(Registry.open(tmp_path).keys(HUB)) == {1}

    done = export(*way)
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(program.stat().st_mode) == 0o600
    registry = Registry.open(tmp_path)
    generation, key = registry.key(HUB)
    assert generation == 2  # a board that counts its boots anew must not use a key that was used
    assert key.hex() not in done.stdout + done.stderr

    board = Board()
    board.run(program)
    config = registry.hub_config(
        HUB, ("HomeNet", "a wifi password"), ("192.168.1.10", 1883, HUB, "a broker password")
    )
    assert board.committed == {
        "hub_id": HUB.encode(), "key": key, "generation": 2, "config": config, "boot": 0,
    }  # fmt: skip

    again = export(*way)
    assert "not there yet" in again.stderr
    assert Registry.open(tmp_path).key(HUB) == (2, key)
    program.unlink()
    assert "has no way to the daemon" in export("--keep-key").stderr
    run(tmp_path, "hub", "settings", HUB, 'links=["serial"]')
    assert export("--keep-key").returncode == 0
    assert key.hex() in program.read_text()
    program.unlink()
    run(tmp_path, "hub", "revoke", HUB)
    assert "is revoked" in export("--keep-key").stderr
    assert not program.exists()
