"""The registry's device tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers_intake import Host, HubVoice
from helpers_registry import HUB, MAC
from kanhu.aead import AesCcm
from kanhu.registry import Registry, RegistryError
from kanhu.registry.checks import MAX_SUPERVISION_S, bind_key
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k
from kanhu_protocol.down import encode

BIND_KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


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


def test_two_at_once_do_not_take_the_same_index(registry: Registry, home: str, tmp_path: Path) -> None:
    hub, _ = registry.add_hub(home)
    other = Registry.open(tmp_path / "data")
    assert other.add_sensor(hub, "motion", MAC) == 3
    with pytest.raises(RegistryError, match="look, and try again"):
        registry.add_sensor(hub, "call", MAC)
    assert registry.add_sensor(hub, "call", "A4:C1:38:0B:5E:9E") == 4
    assert registry.device_table(hub)[0] == 2
    other.close()


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


def test_owners_of_an_address_follow_every_change(registry: Registry, home: str) -> None:
    one, other = (registry.add_hub(home)[0] for _ in range(2))
    mac = bytes.fromhex("A4C1380B5E9D")
    assert registry.owners(mac) == []
    index = registry.add_sensor(one, "call", MAC)
    registry.add_sensor(other, "call", MAC)
    assert {sensor.hub for sensor in registry.owners(mac)} == {one, other}
    version, _ = registry.device_table(one)
    registry.tables_confirmed({one: version})
    assert {sensor.hub: sensor.paired_ms is not None for sensor in registry.owners(mac)} == {
        one: True, other: False,
    }  # fmt: skip
    registry.replace_sensor(one, index, "A4:C1:38:0B:5E:01")
    assert [sensor.hub for sensor in registry.owners(mac)] == [other]
    again = Registry.open(registry.path.parent)
    again.remove_sensor(other, again.sensors(other)[0].index)
    again.close()
    registry.refresh()
    assert registry.owners(mac) == []
