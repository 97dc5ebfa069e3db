"""A board's NVS image: what the simulated chip finds in it, and that nothing of it stays on a disk."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kanhu.errors import KanhuError
from kanhu.install.flash import nvs
from kanhu.sim.board.nvs import parse

VALUES: dict[str, int | bytes] = {
    "hub_id": b"7m3k0xq2fz", "key": bytes(range(16)), "generation": 3, "config": bytes(700), "boot": 20_000,
    "release": bytes(32), "commission": bytes(reversed(range(16))), "ca": os.urandom(1024),
}  # fmt: skip


def test_a_chip_reads_what_was_put_in() -> None:
    data = nvs.image(0x6000, VALUES)
    assert len(data) == 0x6000
    assert parse(data).values["kanhu"] == VALUES
    assert nvs.image(0x6000, VALUES) == data


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(KanhuError, match="does not fit"):
        nvs.image(0x3000, {f"blob{n}": bytes(1024) for n in range(12)})


def test_on_linux_it_is_in_memory_only(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("not on this platform: memfd is Linux's")
    with nvs.secret_file(b"secret") as (path, keep):
        assert path.startswith("/proc/self/fd/")
        read = "import sys; sys.stdout.write(open(sys.argv[1]).read())"
        done = subprocess.run(
            [sys.executable, "-c", read, path], pass_fds=keep, capture_output=True, text=True, check=True
        )
        assert done.stdout == "secret"
        (handle,) = keep
        assert "memfd:" in os.readlink(f"/proc/self/fd/{handle}")
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(handle)


def test_elsewhere_the_file_is_overwritten_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with nvs.secret_file(b"secret", "win32") as (path, keep):
        assert keep == ()
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert Path(path).read_bytes() == b"secret"
        os.link(path, tmp_path / "kept")
    assert not Path(path).exists()
    assert (tmp_path / "kept").read_bytes() == bytes(6)
