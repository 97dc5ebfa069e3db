"""Two runs of one source tree say that they tested one firmware, though each signs with a key of its own."""

from __future__ import annotations

from pathlib import Path

from kanhu.qa.installing import Installer, Network, program

NOWHERE = Network(("kanhu-lab", "simulated"), ("127.0.0.1", 1883))


def test_the_program_is_named_by_its_files_and_not_by_its_signer(tmp_path: Path) -> None:
    first, second = (Installer(tmp_path / name, tmp_path, {}, NOWHERE).bundle("esp32")[0] for name in "ab")
    assert first.digest != second.digest
    assert program(first) == program(second)
    assert len(program(first)) == 64
