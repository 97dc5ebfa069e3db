"""What a process loads: commands start without what they do not use, and the daemon without sim and plots."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kanhu.cli import COMMANDS
from kanhu.cli.later import Later

HEAVY = {"aiomqtt", "bumble", "jinja2", "kanhu.journal.journal", "matplotlib", "starlette", "structlog"}
SIMULATED = {"bumble", "littlefs", "matplotlib", "kanhu.sim", "kanhu.demo"}


def loaded(code: str, *words: str) -> set[str]:
    """Modules that are there when a Python of its own has run code."""
    end = "import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    done = subprocess.run(
        [sys.executable, "-c", end + code, *words], capture_output=True, text=True, timeout=60
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_the_command_alone_loads_nothing_heavy(word: str) -> None:
    modules = loaded("from kanhu.cli import main; main()", word)
    assert "kanhu.cli" in modules
    assert not modules & (HEAVY | {"cryptography", "kanhu.registry", "pydantic"})


@pytest.mark.parametrize("words", ["registry home list", "duty list", "operator list"])
def test_small_commands_do_without_the_daemon(words: str) -> None:
    modules = loaded("from kanhu.cli import main; main()", *words.split(), "--help")
    assert "kanhu.registry" in modules
    assert not modules & HEAVY


def test_the_daemon_loads_neither_simulator_nor_plots() -> None:
    modules = loaded("import kanhu.daemon, kanhu.web, kanhu.cli.operate")
    assert "kanhu.daemon" in modules
    assert not modules & SIMULATED


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_each_command_is_what_the_list_of_commands_says(command: Later) -> None:
    found = command.loaded()
    assert found.name == command.name
    assert " ".join((found.help or "").split()).startswith(str(command.help).removesuffix("."))


def test_a_command_without_its_extra_says_what_to_install() -> None:
    gone = "import sys; sys.modules['littlefs'] = sys.modules['bumble'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", gone + "from kanhu.cli import main; main()", "demo"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'kanhu[sim]'" in done.stderr
