"""What makes a board one certain hub: a MicroPython program that writes its NVS (contracts, section 6)."""

from __future__ import annotations

import os
from pathlib import Path

from .checks import RegistryError
from .registry import Registry

_PROGRAM = """\
# Makes a board hub {hub}, key generation {generation}. Secret: run it once, then delete it.
from esp32 import NVS

nvs = NVS("kanhu")
nvs.set_blob("hub_id", b"{hub}")
nvs.set_blob("key", bytes.fromhex("{key}"))
nvs.set_i32("generation", {generation})
nvs.set_blob("config", bytes.fromhex("{config}"))
nvs.commit()
print("this board is hub {hub}: reset it")
"""


def write_program(
    registry: Registry,
    hub_id: str,
    target: Path,
    wifi: tuple[str, str] | None,
    broker: tuple[str, int, str, str] | None,
    keep_key: bool,
) -> int:
    """Write the program to target, a new file of mode 0600; returns the key's generation; RegistryError.

    Unless keep_key, the hub gets a new key: on a board that was erased or replaced boots count from 1
    again, and no nonce may come twice under one key.
    """
    config = registry.hub_config(hub_id, wifi, broker)
    newest = registry.key(hub_id)
    if newest is None:
        raise RegistryError(f"hub {hub_id!r}: is revoked; add a new one")
    try:
        file = open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w")  # noqa: SIM115
    except OSError as error:
        raise RegistryError(f"{target}: {error.strerror}; name a file that is not there yet") from None
    try:
        with file:
            generation, key = newest if keep_key else registry.new_key(hub_id)
            file.write(_PROGRAM.format(hub=hub_id, generation=generation, key=key.hex(), config=config.hex()))
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RegistryError(f"{target}: {error.strerror}; nothing was written") from None
        raise
    return generation
