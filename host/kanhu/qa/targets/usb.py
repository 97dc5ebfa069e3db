"""`--target usb`: the boards of bench.toml, at serial ports."""

from __future__ import annotations

from contextlib import AbstractContextManager

from kanhu.qa.rig import Options, Parts, RigTrouble


def bench(options: Options) -> AbstractContextManager[Parts]:
    """Its boards, flashed, in their Wi-Fi and well."""
    raise RigTrouble("--target usb is not there yet: use --target sim")
