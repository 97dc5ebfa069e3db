"""Commands known by name and help alone: what they need is imported once one of them is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from kanhu.errors import KanhuError

NEEDS_SIM = "needs the simulator: pip install 'kanhu[sim]' (Linux x86-64 or macOS arm64)"


class Later(TyperCommand):
    """The command or group that `where` (module:name) holds; help is what the list of commands says."""

    def __init__(self, name: str, where: str, help: str, needs_sim: bool = False) -> None:  # noqa: A002
        super().__init__(name, callback=None, help=help)
        self.where = where
        self.needs_sim = needs_sim

    def loaded(self) -> TyperCommand | TyperGroup:
        """The command itself; KanhuError when it needs an extra that is not installed."""
        module, _, name = self.where.partition(":")
        try:
            found = getattr(import_module(module), name)
        except ImportError as error:
            if not self.needs_sim:
                raise
            raise KanhuError(f"{NEEDS_SIM}; missing: {error.name}") from None
        holder = typer.Typer(pretty_exceptions_enable=False)
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=self.name, help=self.help)
        else:
            holder.command(self.name)(found)
        return cast("TyperCommand | TyperGroup", get_group(holder).commands[str(self.name)])

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """The context is the command's own: whoever runs a context runs the command in it."""
        return self.loaded().make_context(*args, **extra)
