"""Chip images for simulated boards, put together without flashing; NVS from Espressif's own generator."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import cbor2
from esp_idf_nvs_partition_gen import nvs_partition_gen as generator

from helpers_firmware import loaded
from kanhu.install.bundle import Bundle
from kanhu.sim.board import hasty

NVS_AT, NVS_SIZE = 0x9000, 0x6000  # of the boards' partition tables
KEY = bytes(range(16))


def esptool(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return _run("esptool", *arguments, timeout=timeout)


def mpremote(url: str, *arguments: object, timeout: float = 60) -> str:
    done = _run("mpremote", "connect", url, *arguments, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run(module: str, *arguments: object, timeout: float) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=timeout, env=hasty(), stdin=subprocess.DEVNULL
    )


def nvs(values: Mapping[str, int | bytes], size: int = NVS_SIZE, space: str = "kanhu") -> bytes:
    """The partition as the generator of ESP-IDF makes it."""
    return nvs_of([(space, key, *_typed(value)) for key, value in values.items()], size)


def _typed(value: int | bytes) -> tuple[str, Any]:
    return ("i32", str(value)) if isinstance(value, int) else ("hex2bin", value.hex())


def nvs_of(entries: list[tuple[str, str, str, Any]], size: int = NVS_SIZE) -> bytes:
    """The same of (namespace, key, encoding, value), entries of one namespace after the other."""
    out = io.BytesIO()
    with generator.nvs_open(out, size - 4096, version=generator.Page.VERSION2) as partition:
        before = None
        for space, key, encoding, value in entries:
            if space != before:
                generator.write_entry(partition, space, "namespace", "", "")
                before = space
            generator.write_entry(partition, key, "data", encoding, value)
    return out.getvalue()


def provisioning(hub_id: str, config: Mapping[str, Any] | None = None) -> dict[str, int | bytes]:
    return {
        "hub_id": hub_id.encode(),
        "key": KEY,
        "generation": 1,
        "config": cbor2.dumps(dict(config or {}), canonical=True),
    }


def chip_image(bundle: Bundle, values: Mapping[str, int | bytes] | None = None) -> bytes:
    """A flash of the bundle's size with all its regions, and with these values in the NVS."""
    flash = bytearray(b"\xff" * bundle.flash_size)
    for region in bundle.regions:
        flash[region.offset : region.offset + region.size] = region.data()
    if values is not None:
        flash[NVS_AT : NVS_AT + NVS_SIZE] = nvs(values)
    return bytes(flash)


def provisioned(chip: str, hub_id: str, config: Mapping[str, Any] | None = None) -> bytes:
    """chip_image of the board with that chip, for a hub of that id."""
    return chip_image(loaded(chip), provisioning(hub_id, config))
