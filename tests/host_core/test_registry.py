from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import types
from pathlib import Path

import pytest

from helpers_intake import OTHER, Host, HubVoice
from kanhu.aead import AesCcm
from kanhu.errors import DataError
from kanhu.registry import Registry, RegistryError
from kanhu.registry.board import write_program
from kanhu.registry.checks import MAX_SUPERVISION_S, bind_key
from kanhu_protocol import cbor, down, seal
from kanhu_protocol import kinds as k
from kanhu_protocol.checks import is_id
from kanhu_protocol.down import encode

HUB = "7m3k0xq2fz"
MAC = "A4:C1:38:0B:5E:9D"
BIND_KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


@pytest.fixture
def registry(tmp_path: Path):
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def home(registry: Registry) -> str:
    return registry.add_home("cn/42/01/06/03", name="王秀英", address="武汉", phones=["+86 27 8888 1234"])


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


def test_device_table(registry: Registry, home: str) -> None:
    hub, _ = registry.add_hub(home)
    assert registry.device_table(hub) == (0, [])
    assert (
        registry.add_sensor(hub, "motion", MAC, room="kitchen", supervision_s=3600) == 3
    )  # 1 and 2 are wired
    assert registry.add_sensor(hub, "call", "a4c1380b5e9e") == 4
    assert registry.add_sensor(hub, "smoke", "A4-C1-38-0B-5E-9F", index=200) == 200
    version, entries = registry.device_table(hub)
    assert version == 3
    assert entries[0] == [3, 2, bytes.fromhex("A4C1380B5E9D"), 3600]
    assert encode(k.DEVICES, {k.NUMBER: 1, k.VERSION_OF: version, k.TABLE: entries})
    registry.remove_sensor(hub, 3)
    assert registry.device_table(hub)[0] == 4
    assert registry.add_sensor(hub, "motion", MAC) == 201  # 3 still names the old one's events
    registry.add_sensor(hub, "door", "A4:C1:38:0B:5E:00", index=255)
    assert registry.add_sensor(hub, "door", "A4:C1:38:0B:5E:01") == 3  # nothing else is left above
    with pytest.raises(RegistryError, match="hub '7m3k0xq2fz': not known"):
        registry.sensors(HUB)


def test_a_hub_holds_as_many_sensors_as_one_message_does_and_no_more(registry: Registry, home: str) -> None:
    hub, _ = registry.add_hub(home)
    for number in range(28):
        registry.add_sensor(
            hub,
            "motion",
            f"A4:C1:38:00:00:{number:02X}",
            supervision_s=MAX_SUPERVISION_S,
            index=255 - number,
            bind_key=BIND_KEY,
        )
    version, entries = registry.device_table(hub)
    plain = down.encode(k.DEVICES, {k.NUMBER: 2**32 - 1, k.VERSION_OF: version + 2**31, k.TABLE: entries})
    full = 2**32 - 1
    assert seal.seal(AesCcm(bytes(16)), 65_535, HUB, seal.DOWN, full, full, full, plain)
    with pytest.raises(RegistryError, match="28 sensors"):
        registry.add_sensor(hub, "motion", MAC)


def test_a_bind_key_is_in_the_table_and_nowhere_else(registry: Registry, home: str, tmp_path: Path) -> None:
    hub, _ = registry.add_hub(home)
    plain, secret = registry.add_sensor(hub, "call", MAC), None
    secret = registry.add_sensor(hub, "call", "A4:C1:38:0B:5E:9E", bind_key=BIND_KEY)
    assert [sensor.encrypted for sensor in registry.sensors(hub)] == [False, True]
    assert BIND_KEY.hex() not in repr(registry.sensors(hub))
    assert repr(BIND_KEY) not in repr(registry.sensors(hub))
    version, entries = registry.device_table(hub)
    assert [entry[4:] for entry in entries] == [[], [BIND_KEY]]
    registry.set_bind_key(hub, plain, BIND_KEY)
    registry.set_bind_key(hub, secret, None)
    assert registry.device_table(hub) == (version + 2, [[*entries[0], BIND_KEY], entries[1][:4]])
    with pytest.raises(RegistryError, match="no such sensor"):
        registry.set_bind_key(hub, 99, BIND_KEY)
    registry.remove_sensor(hub, plain)
    registry.close()
    assert BIND_KEY not in (tmp_path / "data" / "registry.db").read_bytes()


@pytest.mark.parametrize(
    "text",
    ["231d39c1d7cc1ab1aee224cd096db932", "231D39C1-D7CC1AB1-AEE224CD-096DB932 ", "23:1d:" + "39c1" * 7],
)
def test_bind_keys_as_people_write_them(text: str) -> None:
    assert bind_key(text).hex() == "".join(c for c in text.lower() if c in "0123456789abcdef")


@pytest.mark.parametrize("text", ["", "secret", "231d39c1d7cc1ab1aee224cd096db9", "0" * 32, "231d39c1" * 5])
def test_what_is_no_bind_key_is_not_repeated(text: str) -> None:
    with pytest.raises(RegistryError) as found:
        bind_key(text)
    assert not text or text not in str(found.value)


def test_indices_of_removed_sensors_serve_again_last(registry: Registry, home: str) -> None:
    hub, _ = registry.add_hub(home)
    seen = set()
    for number in range(300):
        index = registry.add_sensor(hub, "motion", f"A4:C1:38:00:{number >> 8:02X}:{number & 255:02X}")
        registry.remove_sensor(hub, index)
        if number < 250:
            assert index not in seen
        seen.add(index)


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
        ({"links": ["ble"]}, "setting links"),
        ({"pir_warm_up": -1}, "setting pir_warm_up: must be seconds, 0 to 600"),
        ({"pir_warm_up": 601}, "setting pir_warm_up"),
    ):
        with pytest.raises(RegistryError, match=line):
            registry.set_settings(hub, wrong)
    assert registry.settings(hub) == buttons


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


@pytest.mark.parametrize(
    ("role", "address", "more", "line"),
    [
        ("motion", "A4:C1:38:0B:5E", {}, "address 'A4:C1:38:0B:5E': must be six bytes as printed"),
        ("motion", "A4:C1-38:0B:5E:9E", {}, "must be six bytes"),
        ("motion", "00:00:00:00:00:00", {}, "no sensor has this address"),
        ("motion", MAC, {}, "A4:C1:38:0B:5E:9D: hub .* has it as 3"),
        ("pir", "A4:C1:38:0B:5E:9E", {}, "role 'pir': must be one of call, motion"),
        ("motion", "A4:C1:38:0B:5E:9E", {"index": 3}, "index 3: another sensor"),
        ("motion", "A4:C1:38:0B:5E:9E", {"index": 1}, "index 1: a wired input"),
        ("motion", "A4:C1:38:0B:5E:9E", {"index": 256}, "index 256: must be 1 to 255"),
        ("motion", "A4:C1:38:0B:5E:9E", {"supervision_s": -1}, "supervision -1 s"),
    ],
)
def test_a_wrong_sensor_is_one_clear_line(
    registry: Registry, home: str, role: str, address: str, more: dict[str, int], line: str
) -> None:
    hub, _ = registry.add_hub(home)
    registry.add_sensor(hub, "motion", MAC)
    with pytest.raises(RegistryError, match=line):
        registry.add_sensor(hub, role, address, **more)  # type: ignore[arg-type]
    assert registry.device_table(hub)[0] == 1


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


def test_two_at_once_do_not_take_the_same_index(registry: Registry, home: str, tmp_path: Path) -> None:
    hub, _ = registry.add_hub(home)
    other = Registry.open(tmp_path / "data")
    assert other.add_sensor(hub, "motion", MAC) == 3
    with pytest.raises(RegistryError, match="look, and try again"):
        registry.add_sensor(hub, "call", MAC)
    assert registry.add_sensor(hub, "call", "A4:C1:38:0B:5E:9E") == 4
    assert registry.device_table(hub)[0] == 2
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


def test_settings_by_hand(tmp_path: Path) -> None:
    home = Registry.open(tmp_path).add_home()
    run(tmp_path, "hub", "add", home, "--id", HUB)

    def settings(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path, "hub", "settings", HUB, *words, **more)

    assert settings().stdout.startswith("no settings beside the defaults")
    assert "version 2" in settings("buttons=[[1,4,5],[7,6,null]]", "heartbeat=60").stdout
    assert settings().stdout == "buttons=[[1, 4, 5], [7, 6, null]]\nheartbeat=60\n"
    assert settings("heartbeat=").returncode == 0
    assert json.loads(settings("--json").stdout) == {"buttons": [[1, 4, 5], [7, 6, None]]}
    assert settings("--file", "-", given='{"pirs": [[2, 12]], "lamp": 21}').returncode == 0
    assert json.loads(settings("--json").stdout) == {"pirs": [[2, 12]], "lamp": 21}
    assert "lamp=21" in run(tmp_path, "hub", "show", HUB).stdout
    whole = settings("--json").stdout
    for words, text, line in (
        (["lamp"], "", "'lamp': write KEY=VALUE with KEY one of links, ntp"),
        (["wifi=1"], "", "'wifi=1': write KEY=VALUE"),
        (["lamp=two"], "", "setting lamp: must be a pin number, 0 to 48"),
        (["lamp=49"], "", "setting lamp: must be a pin number, 0 to 48"),
        (["lamp=12"], "", "settings: pin 12 is taken twice"),
        (["buzzer=4"], "", "settings: pin 4 is taken twice"),
        (["buttons=[[1,4]]"], "", "setting buttons: must be a list of [device, pin, "),
        (["buttons=[[1,-4,null]]"], "", "setting buttons: must be a list of [device, pin, "),
        (["--file", "-"], "[1]", "settings: must be a JSON object"),
        (["--file", "-"], "{", "-: not JSON: "),
        (["--file", "/nowhere"], "", "/nowhere: No such file"),
    ):
        done = settings(*words, given=text)
        assert done.returncode == 1
        assert line in done.stderr
        assert done.stderr.count("\n") == 1
    assert settings("--json").stdout == whole


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


async def test_a_table_changed_in_an_older_registry_is_above_the_hubs(tmp_path: Path) -> None:
    registry = Registry.open(tmp_path)
    registry.add_hub(registry.add_home(), HUB)
    host = Host(tmp_path, HubVoice())
    await host.commands.create(HUB, k.DEVICES, {k.VERSION_OF: 7, k.TABLE: []})
    registry.add_sensor(HUB, "call", MAC)
    assert registry.device_table(HUB)[0] == 8
    registry.remove_sensor(HUB, 3)
    assert registry.device_table(HUB)[0] == 9
    await host.journal.close()
    registry.close()


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


def run(data_dir: Path, *args: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from kanhu.cli.registry import app; from kanhu.errors import KanhuError; import sys\n"
    code += "try: app(standalone_mode=False)\nexcept KanhuError as e: sys.exit(f'kanhu: {e}')"
    env = {**os.environ, "KANHU_DATA_DIR": str(data_dir), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=env, input=given, timeout=60
    )


def test_the_commands_of_a_first_evening(tmp_path: Path) -> None:
    home = json.loads(run(tmp_path, "home", "add", "--region", "cn/42", "--name", "王", "--json").stdout)[
        "home"
    ]
    assert home in run(tmp_path, "home", "list").stdout
    added = run(tmp_path, "hub", "add", home, "--id", HUB)
    assert added.stdout == f"hub {HUB} added to home {home}\n"
    assert json.loads(run(tmp_path, "sensor", "add", HUB, "motion", MAC, "--json").stdout) == {
        "hub": HUB,
        "index": 3,
    }
    shown = run(tmp_path, "sensor", "list", HUB).stdout
    assert MAC in shown
    hub = json.loads(run(tmp_path, "hub", "show", HUB, "--json").stdout)
    assert hub["sensors"][0]["address"] == MAC
    assert json.loads(run(tmp_path, "home", "show", home, "--json").stdout)["hubs"][0]["hub"] == HUB
    assert run(tmp_path, "sensor", "remove", HUB, "3").returncode == 0
    assert "no sensors yet" in run(tmp_path, "sensor", "list", HUB).stdout
    assert HUB in run(tmp_path, "hub", "list").stdout
    wrong = run(tmp_path, "sensor", "add", HUB, "motion", "A4:C1")
    assert wrong.returncode != 0
    assert wrong.stderr.strip().count("\n") == 0
    assert "six bytes as printed" in wrong.stderr
    key = Registry.open(tmp_path).keys(HUB)[1]
    everything = "".join(
        run(tmp_path, *args).stdout
        for args in (
            ["hub", "show", HUB],
            ["hub", "show", HUB, "--json"],
            ["hub", "list", "--json"],
            ["home", "show", home],
        )
    )
    assert key.hex() not in everything
    assert run(tmp_path, "hub", "revoke", HUB).returncode == 0
    assert Registry.open(tmp_path).keys(HUB) == {}
