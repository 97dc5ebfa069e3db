"""`kanhu qa promises`: whether every promise has its test, and the page that says so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kanhu.qa import promises as promised

TREE = typer.Option("--tree", help="A checkout: the folder in which hil_tests/ and docs/ are.")


def promises(
    write: Annotated[bool, typer.Option("--write", help="Write docs/promises.md anew.")] = False,
    tree: Annotated[Path, TREE] = Path(),
) -> None:
    """Which promise is proven by which test. Exit 1: one has no test, or the page is not up to date."""
    if write:
        made = promised.load(tree / promised.LIST)
        page = promised.page_of(made, promised.proofs(tree))
        (tree / promised.PAGE).write_text(page, encoding="utf-8")
    wrong = promised.troubles(tree)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        raise typer.Exit(1)
    shown = promised.proofs(tree)
    on_bench = {one for proof in shown for one in proof.promises}
    print(f"{len(promised.load(tree / promised.LIST))} promises, {len(on_bench)} proven on a bench")
