"""What a run was made with: versions, commit and computer, as a report names them."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def commit(folder: Path) -> str:
    """The commit checked out there, "+" behind it when files differ from it; "" outside a repository."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def facts(folder: Path) -> dict[str, Any]:
    """The fields of a Run that describe this computer and the work tree at folder."""
    try:
        host = version("kanhu")
    except PackageNotFoundError:
        host = ""
    return {
        "host_version": host,
        "git": commit(folder),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": ["pytest", *sys.argv[1:]],
    }
