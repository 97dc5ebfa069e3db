"""`kanhu` commands in this process, as their entry point runs them: a start of Python costs a second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from kanhu import cli


class Done(NamedTuple):
    """What an ended command left."""

    returncode: int
    stdout: str
    stderr: str


Kanhu = Callable[..., Done]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kanhu:
    """kanhu(word, ..) runs one command to its end."""

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["kanhu", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return run
