"""What makes a board one certain hub: a MicroPython program that writes its NVS (contracts, section 6)."""

from __future__ import annotations

import os
from pathlib import Path

from kanhu.journal.past import past

from .checks import RegistryError
from .registry import Registry

_PROGRAM = """\
# Makes a board hub {hub}, key generation {generation}. Secret: run it once, then delete it.
from esp32 import NVS

nvs = NVS("kanhu")


def held(name, size):
    found = bytearray(size)
    try:
        return bytes(found[: nvs.get_blob(name, found)])
    except OSError:
        return b""


{check}
nvs.set_blob("hub_id", b"{hub}")
nvs.set_blob("key", bytes.fromhex("{key}"))
nvs.set_i32("generation", {generation})
nvs.set_blob("config", bytes.fromhex("{config}"))
{trusted}{raise_boot}nvs.commit()
print("this board is hub {hub}: reset it")
"""
_NOT_ANOTHER = """\
if len(held("key", 16)) == 16 and held("hub_id", 10) != b"{hub}":
    raise RuntimeError("this board is another hub: erase its flash first (python -m esptool erase-flash)")
"""
_THE_SAME = """\
if (held("hub_id", 10), held("key", 16)) != (b"{hub}", bytes.fromhex("{key}")):
    raise RuntimeError("not the board with this key, or it was erased: export again, without --keep-key")
"""
_RAISE_BOOT = """\
try:
    boot = nvs.get_i32("boot")
except OSError:
    boot = 0
nvs.set_i32("boot", max(boot, {floor}))  # no board of this hub has come so far
"""


def write_program(
    registry: Registry,
    hub_id: str,
    target: Path,
    wifi: tuple[str, str] | None,
    broker: tuple[str, int, str, str] | None,
    keep_key: bool,
    ca: bytes = b"",
) -> int:
    """Write the program to target, a new file of mode 0600; returns the key's generation; RegistryError.

    Unless keep_key, the hub gets a new key, because on a board that was erased or replaced boots would count
    from 1 again and no nonce may come twice under one key; and a boot counter above all that boards of this
    hub can have used, because no identity may. With keep_key the program runs only on the board that has
    this key.
    """
    config = registry.hub_config(hub_id, wifi, broker, bool(ca))
    trusted = f'nvs.set_blob("ca", bytes.fromhex("{ca.hex()}"))\n' if ca else ""
    newest = registry.key(hub_id)
    if newest is None:
        raise RegistryError(f"hub {hub_id!r}: is revoked; add a new one")
    try:
        file = open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w")  # noqa: SIM115
    except OSError as error:
        raise RegistryError(f"{target}: {error.strerror}; name a file that is not there yet") from None
    try:
        with file:
            if keep_key:
                (generation, key), check, raise_boot = newest, _THE_SAME, ""
            else:
                generation, key, floor = registry.new_key(hub_id, past(registry.path.parent, hub_id))
                check, raise_boot = _NOT_ANOTHER, _RAISE_BOOT.format(floor=floor)
            file.write(
                _PROGRAM.format(
                    hub=hub_id,
                    generation=generation,
                    key=key.hex(),
                    config=config.hex(),
                    trusted=trusted,
                    check=check.format(hub=hub_id, key=key.hex()),
                    raise_boot=raise_boot,
                )
            )
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RegistryError(f"{target}: {error.strerror}; nothing was written") from None
        raise
    return generation
