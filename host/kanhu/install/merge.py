"""Modules that always come together in one file: each file has a table of names of its own.

A module goes into the only other one that imports it, if that does so at its top and is not forgotten again
(app.drop), and if no name of one means something else in the other."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping


def merge(sources: Mapping[str, bytes], scripts: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Modules by device path under /lib -> the same, fewer; packages and what scripts import stay."""
    paths = {module_name(path): path for path in sources}
    packages = {name for name, path in paths.items() if path.endswith("/__init__.py")}
    trees = {
        name: _absolute(ast.parse(sources[path]), name, name in packages) for name, path in paths.items()
    }
    forgotten = _forgotten(trees.values())
    kept = {*packages, *forgotten}
    for script in scripts:
        kept |= {module for module, _ in _imports(ast.parse(script), trees)}
    importers: dict[str, list[str]] = {name: [] for name in trees}  # once for each import
    for name, tree in trees.items():
        for module, _ in _imports(tree, trees):
            importers[module].append(name)

    def fits(inner: str) -> bool:
        if inner in kept or inner not in trees or len(set(importers[inner])) != 1:
            return False
        outer = importers[inner][0]
        at_top = sum(_module_of(node, trees) == inner for node in trees[outer].body)
        return (
            outer not in forgotten
            and at_top == len(importers[inner])
            and _joinable(trees[outer], trees[inner], inner)
        )

    while fitting := next(filter(fits, sorted(importers)), None):
        outer = importers[fitting][0]
        trees[outer] = _joined(trees[outer], trees.pop(fitting), fitting)
        for module in importers:  # what both imported is imported once now
            importers[module] = [user for user in importers[module] if user not in (outer, fitting)]
        for module, _ in _imports(trees[outer], trees):
            importers[module].append(outer)
    return {
        paths[name]: (ast.unparse(ast.fix_missing_locations(tree)) + "\n").encode()
        for name, tree in trees.items()
    }


def module_name(path: str) -> str:
    """Dotted name of the module at a device path under /lib."""
    return path.removeprefix("/lib/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _joinable(outer: ast.Module, inner: ast.Module, name: str) -> bool:
    for node in outer.body:
        alias = _alias_of(node, name)
        if alias and not _only_as_prefix(outer, alias):
            return False
        if not alias and isinstance(node, ast.ImportFrom) and node.module == name and node.names[0].asname:
            return False
    shared = {ast.unparse(node) for node in outer.body} & {ast.unparse(node) for node in inner.body}
    wanted = [node for node in outer.body if _module_of(node, {name: inner}) == name]
    own = [node for node in outer.body if node not in wanted and ast.unparse(node) not in shared]
    new = [node for node in inner.body if ast.unparse(node) not in shared]
    asked = _bound_at_top(wanted) - _bound(own, ast.Store)
    return not ((_names(own) - asked) & _bound_at_top(new) or _names(new) & _bound_at_top(own))


def _joined(outer: ast.Module, inner: ast.Module, name: str) -> ast.Module:
    for node in outer.body:
        if alias := _alias_of(node, name):
            outer = _Direct(alias).visit(outer)
    own = [node for node in outer.body if _module_of(node, {name: inner}) != name]
    doc = [node for node in own[:1] if isinstance(node, ast.Expr)]
    rest = [node for node in inner.body if not isinstance(node, ast.Expr)]
    body: dict[str, ast.stmt] = {}
    for wanted in (True, False):  # imports first, each once
        for node in (*doc, *rest, *own):
            if isinstance(node, ast.Import | ast.ImportFrom) is wanted or node in doc:
                body.setdefault(ast.unparse(node), node)
    return ast.Module([*body.values()], [])


class _Direct(ast.NodeTransformer):
    def __init__(self, alias: str) -> None:
        self._alias = alias

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == self._alias:
            return ast.Name(node.attr, node.ctx)
        self.generic_visit(node)
        return node


def _absolute(tree: ast.Module, name: str, package: bool) -> ast.Module:
    """`from . import a, b` as `from p import a` and `from p import b`, at the module's top."""
    base = name.split(".") if package else name.split(".")[:-1]
    body: list[ast.stmt] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            origin = [*base[: len(base) - node.level + 1]] if node.level else []
            origin += [node.module] if node.module else []
            body += [ast.ImportFrom(".".join(origin), [alias], 0) for alias in node.names]
        else:
            body.append(node)
    return ast.Module(body, [])


def _imports(tree: ast.AST, known: Mapping[str, object]) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                if module in known or node.module in known:
                    yield module if module in known else str(node.module), node


def _module_of(node: ast.stmt, known: Mapping[str, object]) -> str | None:
    found = [module for module, _ in _imports(node, known)] if isinstance(node, ast.ImportFrom) else []
    return found[0] if found else None


def _alias_of(node: ast.stmt, name: str) -> str | None:
    """The name under which a statement imports the module itself."""
    if isinstance(node, ast.ImportFrom) and f"{node.module}.{node.names[0].name}" == name:
        return node.names[0].asname or node.names[0].name
    return None


def _only_as_prefix(tree: ast.Module, alias: str) -> bool:
    names = prefixes = 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == alias:
            names += 1
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            prefixes += isinstance(node.value, ast.Name) and node.value.id == alias
        elif isinstance(node, ast.arg) and node.arg == alias:
            return False
    return names == prefixes


def _names(body: list[ast.stmt]) -> set[str]:
    """Every name used or bound: a built-in that the other module binds would mean something else, too."""
    return _bound(body, ast.expr_context) | _bound_at_top(body)


def _bound(body: list[ast.stmt], how: type[ast.expr_context]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Name) and isinstance(node.ctx, how):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
    return found


def _bound_at_top(body: Iterable[ast.stmt]) -> set[str]:
    found: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        else:
            found |= {
                one.id
                for one in ast.walk(node)
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
            }
    return found


def _forgotten(trees: Iterable[ast.Module]) -> set[str]:
    """What app.drop("module", ...) names."""
    return {
        argument.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "drop"
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
