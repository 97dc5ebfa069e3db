"""A registry's names, and its command as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HUB = "7m3k0xq2fz"
MAC = "A4:C1:38:0B:5E:9D"


def run(data_dir: Path, *args: str, given: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    code = "from kanhu.cli.registry import app; from kanhu.errors import KanhuError; import sys\n"
    code += "try: app(standalone_mode=False)\nexcept KanhuError as e: sys.exit(f'kanhu: {e}')"
    env = {**os.environ, "KANHU_DATA_DIR": str(data_dir), **environment}
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=env, input=given, timeout=60
    )
