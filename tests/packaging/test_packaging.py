"""The distribution holds what it promises, and what runs real hubs needs nothing of the extra kanhu[sim]."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SIM_FOLDERS = ("sim", "demo", "qa")  # of host/kanhu; they may use the extra


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    return {canonical(re.match(r"[\w.-]+", requirement).group()) for requirement in requirements}


REQUIRED = declared(PROJECT["dependencies"])
WITH_SIM = REQUIRED | declared(PROJECT["optional-dependencies"]["sim"])
WITH_PLOT = REQUIRED | declared(PROJECT["optional-dependencies"]["plot"])
WITH_QA = WITH_SIM | declared(PROJECT["optional-dependencies"]["qa"])
PLOTS = Path("host/kanhu/care/backtest/plot.py")  # says what to install where it is missing


def sources() -> list[Path]:
    host = [path for path in (ROOT / "host" / "kanhu").rglob("*.py") if "device" not in path.parts]
    return sorted(host + list((ROOT / "protocol" / "kanhu_protocol").glob("*.py")))


def imported(path: Path) -> set[str]:
    """Top-level modules a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_import_is_declared() -> None:
    """A package that happens to be installed for another one's sake is not a dependency."""
    owners = packages_distributions()
    own = {"kanhu", "kanhu_protocol"}
    micropython_only = {"micropython"}  # guarded by try in the shared protocol code
    undeclared = []
    for path in sources():
        place = path.relative_to(ROOT)
        allowed = WITH_SIM if place.parts[2] in SIM_FOLDERS else WITH_PLOT if place == PLOTS else REQUIRED
        allowed = WITH_QA if place.parts[2] == "qa" else allowed
        for module in imported(path) - own - micropython_only - sys.stdlib_module_names:
            distributions = {canonical(name) for name in owners.get(module, [module])}
            if not distributions & allowed:
                undeclared.append(f"{place}: {module}")
    assert undeclared == []


WITHOUT_SIM = """
import importlib, importlib.abc, pathlib, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"bumble", "esp32_mock_bootloader"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_everything_for_real_hubs_imports_without_the_extra() -> None:
    modules = []
    for path in sources():
        place = path.relative_to(ROOT)
        if place.parts[2] in SIM_FOLDERS or path.name == "__main__.py":
            continue
        modules.append(".".join(place.with_suffix("").parts[1:]).removesuffix(".__init__"))
    assert {"kanhu.cli", "kanhu.daemon", "kanhu.platform", "kanhu_protocol.cbor"} <= set(modules)
    done = subprocess.run([sys.executable, "-c", WITHOUT_SIM, *modules], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in the wheel that hatchling builds from this tree."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("host/kanhu", "kanhu"),
        ("protocol/kanhu_protocol", "kanhu_protocol"),
        ("firmware", "kanhu/_firmware"),
    ],
)
def test_wheel_holds_every_source(wheel: set[str], source: str, target: str) -> None:
    folder = ROOT / source
    expected = {f"{target}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}
    assert expected
    assert expected - wheel == set()


def test_wheel_holds_the_contract_and_nothing_astray(wheel: set[str]) -> None:
    assert {"kanhu/_contract/events.cddl", "kanhu/_contract/platform.asyncapi.yaml"} <= wheel
    assert {name.partition("/")[0] for name in wheel} - {"kanhu", "kanhu_protocol"} == {
        f"kanhu-{PROJECT['version']}.dist-info"
    }
    assert [name for name in wheel if "__pycache__" in name or name.endswith(".pyc")] == []


def test_lock_covers_what_is_declared() -> None:
    locked = {
        canonical(match)
        for match in re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    }
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert (WITH_SIM | declared(groups["dev"])) - locked == set()
