"""The whole check does not pass by skipping."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parents[1] / "conftest.py"
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="no broker")
def test_marked(): ...

def test_called():
    pytest.skip("no disk")

def test_platform():
    pytest.skip("not on this platform: no fork")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False

def test_passes(): ...
"""


def outcome(folder: Path, required: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "-c", "pytest.ini", "."],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "KANHU_REQUIRE_ALL": required},
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_skip_is_a_failure_where_all_is_required(tmp_path: Path) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    code, said = outcome(tmp_path, "")
    assert (code, "1 passed, 4 skipped, 1 xfailed" in said) == (0, True), said
    (tmp_path / "test_module.py").unlink()
    code, said = outcome(tmp_path, "1")
    assert (code, "1 failed, 1 passed, 1 skipped, 1 xfailed, 1 error" in said) == (1, True), said
    assert "skipped where everything is required (KANHU_REQUIRE_ALL=1): no broker" in said
    assert "skipped where everything is required (KANHU_REQUIRE_ALL=1): no disk" in said
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    code, said = outcome(tmp_path, "1")
    assert code != 0
    assert "could not import 'no_such_module'" in said
