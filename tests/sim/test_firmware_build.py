"""What build_files() makes of firmware sources, good and bad; the real firmware included."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kanhu.install import firmware
from kanhu.install.firmware import BuildError, build_files


@pytest.fixture
def sources(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    firmware.cache_dir.cache_clear()
    folder = tmp_path / "firmware"
    (folder / "kanhu_hub" / "inputs").mkdir(parents=True)
    (folder / "boot.py").write_text("print('boot')\n")
    (folder / "main.py").write_text("import kanhu_hub.app\n")
    (folder / "kanhu_hub" / "app.py").write_text("print('app')\n")
    (folder / "kanhu_hub" / "inputs" / "pir.py").write_text("PIN = 1\n")
    (folder / "kanhu_hub" / "__pycache__").mkdir()
    (folder / "kanhu_hub" / "__pycache__" / "x.py").write_text("no")
    (folder / "stimulus").mkdir()
    (folder / "stimulus" / "main.py").write_text("x = 1\n")
    protocol = tmp_path / "protocol"
    protocol.mkdir()
    (protocol / "__init__.py").write_text("")
    (protocol / "frame.py").write_text("FLAG = 0x7E\n")
    yield folder
    firmware.cache_dir.cache_clear()


def test_scripts_stay_source_and_modules_are_compiled(sources: Path) -> None:
    files = build_files(sources, sources.parent / "protocol")
    assert set(files) == {
        "/boot.py",
        "/main.py",
        "/a/kanhu_hub/app.mpy",
        "/a/kanhu_hub/inputs/pir.mpy",
        "/a/kanhu_protocol/__init__.mpy",
        "/a/kanhu_protocol/frame.mpy",
    }
    assert files["/boot.py"] == b"print('boot')\n"
    for path, data in files.items():
        if path.endswith(".mpy"):
            assert data[:2] == b"M\x06"  # .mpy version 6


def test_a_second_build_compiles_nothing(sources: Path, monkeypatch) -> None:
    first = build_files(sources, sources.parent / "protocol")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("compiled again")

    firmware._compiler_version()
    monkeypatch.setattr(subprocess, "run", refuse)
    assert build_files(sources, sources.parent / "protocol") == first


def test_a_changed_file_is_compiled_again(sources: Path) -> None:
    first = build_files(sources, sources.parent / "protocol")
    (sources / "kanhu_hub" / "app.py").write_text("print('other')\n")
    second = build_files(sources, sources.parent / "protocol")
    assert {p for p in first if first[p] != second[p]} == {"/a/kanhu_hub/app.mpy"}


@pytest.mark.parametrize("path", ["kanhu_hub/inputs/pir.py", "main.py"])
def test_a_syntax_error_names_file_and_line(sources: Path, path: str) -> None:
    (sources / path).write_text("x = 1\ny = = 2\n")
    with pytest.raises(BuildError, match=rf"{path}: line 2: SyntaxError"):
        build_files(sources, sources.parent / "protocol")


def test_a_missing_script_is_named(sources: Path) -> None:
    (sources / "boot.py").unlink()
    with pytest.raises(BuildError, match=r"boot\.py: No such file"):
        build_files(sources, sources.parent / "protocol")


def test_an_unwritable_cache_costs_time_only(sources: Path, monkeypatch) -> None:
    blocker = sources.parent / "file"
    blocker.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker / "below"))
    firmware.cache_dir.cache_clear()
    assert len(build_files(sources, sources.parent / "protocol")) == 6


def test_the_real_firmware_builds_quickly_the_second_time() -> None:
    build_files()
    start = time.monotonic()
    files = build_files()
    assert time.monotonic() - start < 1
    assert "/a/kanhu_hub/links/mqtt.mpy" in files
    assert "/main.py" in files


def test_an_installed_wheel_finds_its_own_sources(tmp_path: Path) -> None:
    """The layout that pyproject's force-include makes: kanhu/_firmware beside the package's modules."""
    import kanhu
    import kanhu_protocol

    site = tmp_path / "site"
    shutil.copytree(Path(kanhu.__file__).parent / "install", site / "kanhu" / "install")
    for name in ("__init__.py", "errors.py"):
        shutil.copy(Path(kanhu.__file__).parent / name, site / "kanhu")
    shutil.copytree(firmware.source_dir(), site / "kanhu" / "_firmware")
    shutil.copytree(Path(kanhu_protocol.__file__).parent, site / "kanhu_protocol")
    code = "import kanhu.install.firmware as f; print(f.__file__, f.source_dir(), len(f.build_files()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(site), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(site / "kanhu" / "_firmware") in done.stdout
