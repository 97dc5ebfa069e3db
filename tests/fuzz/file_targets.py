"""Fuzz targets of what is read from a disk, a flash or a command line: settings, and the hub's own files."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from protocol_targets import HUB_ID, Run


def room() -> Path:
    """A folder in memory that goes with the process."""
    made = tempfile.mkdtemp(prefix="kanhu-fuzz", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    atexit.register(shutil.rmtree, made, True)
    return Path(made)


def host_config() -> Run:
    """kanhu.toml: a configuration, or ConfigError on one line."""
    from kanhu.config import load
    from kanhu.errors import ConfigError

    path = room() / "kanhu.toml"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            config = load(path)
        except ConfigError as error:
            assert str(error).startswith(str(path))
            return
        assert config.data_dir.is_absolute()

    return run


def hub_config() -> Run:
    """The CBOR in a hub's NVS: every setting gets a usable value, and what was wrong is named."""
    import shim

    shim.install()
    from kanhu_hub import config

    known = vars(config.read(HUB_ID, None)).keys()

    def run(data: bytes) -> None:
        found = config.read(HUB_ID, data)
        assert vars(found).keys() == known
        assert all(isinstance(word, str) for word in found.wrong)
        assert all(item in ("mqtt", "serial") for item in found.links)
        assert found.heartbeat >= 5
        for row in found.buttons + found.pirs:
            assert 0 < row[0] < 256
            assert row[1] >= 0

    return run


def settings() -> Run:
    """What a person types at the registry: its one form, or RegistryError on one line."""
    from kanhu.registry import checks

    texts: list[Any] = [
        lambda text: checks.identifier(text, "hub"),
        checks.region,
        checks.time_zone,
        checks.mac,
        checks.role,
        lambda text: checks.plain_text(text, "name"),
        checks.phone,
        checks.setting,
        checks.endpoint,
        lambda text: checks.wifi(text[:10], text[10:]),
    ]

    def run(data: bytes) -> None:
        text = data[1:].decode("utf-8", "surrogateescape")
        check = texts[data[0] % len(texts)] if data else checks.settings
        try:
            check(text)
        except checks.RegistryError as error:
            assert "\n" not in str(error)
        try:
            given = json.loads(data[1:])
        except (ValueError, RecursionError):
            return
        try:
            assert checks.settings(given) is given
        except checks.RegistryError as error:
            assert str(error)

    return run


def hub_files() -> Run:
    """The hub's flash files: a record is whole or skipped; a device table is the last one that was whole,
    and so is what is kept of monitors."""
    import shim

    shim.install()
    from kanhu_hub import records, store
    from kanhu_hub.devices import Devices
    from kanhu_hub.inputs.monitors.bonds import Bonds

    path = str(room() / "devices")
    table, *others = [Path(path + suffix) for suffix in ("", ".bonds", ".monitors")]

    def run(data: bytes) -> None:
        end = 0
        for start, (cls, boot, seq, sealed, after) in records.salvage(data, len(data)):
            assert end <= start < after <= len(data)
            assert records.pack(cls, boot, seq, sealed) == data[start:after]
            end = after
        if data and data[0] & 1:
            store.replace(path, data[1:])
            assert store.read(path) == data[1:]
        else:
            table.write_bytes(data)
        for other in others:
            other.write_bytes(table.read_bytes())
        assert isinstance(Bonds(path).facts, dict)
        found = Devices(path)
        assert isinstance(found.all(), list)
        assert isinstance(found.version, int)

    return run


def broker_log() -> Run:
    """A broker's log, in which strangers' names stand: the same counts however it grows, bounded memory."""
    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    from kanhu.links import mqtt_refusals

    path = room() / "broker.log"

    def counted(data: bytes, step: int) -> dict[str, int]:
        path.write_bytes(b"")
        refusals = mqtt_refusals.Refusals(path)
        with path.open("ab", buffering=0) as log:
            for start in range(0, len(data), step):
                log.write(data[start : start + step])
                refusals.read()
        assert len(refusals._told) <= mqtt_refusals.TOLD_MAX
        assert len(refusals._wanted) <= mqtt_refusals.OPEN_MAX
        assert refusals.counts.keys() == set(mqtt_refusals.REASONS)
        return dict(refusals.counts)

    def run(data: bytes) -> None:
        assert counted(data, len(data) or 1) == counted(data, max(1, len(data) // 3))

    return run
