"""Names as Python's scopes see them: which are a module's own, and the same module with other names."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def bound_at_top(body: Iterable[ast.stmt]) -> set[str]:
    """Names that statements bind in their own scope."""
    found: set[str] = set()
    for node in body:
        found |= _bound(node)
    return found


def uses(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names that mean the module's own or a built-in anywhere, and names that are local anywhere."""
    watcher = Renamer({})
    watcher.visit(tree)
    return watcher.outer, watcher.local


class Renamer(ast.NodeTransformer):
    """Gives names of the module's scope other ones; what is local to a function or a class keeps its name."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._hidden: list[set[str]] = []  # what each function or class around hides
        self.outer: set[str] = set()
        self.local: set[str] = set()

    def _name(self, name: str) -> str:
        if any(name in hidden for hidden in self._hidden):
            self.local.add(name)
            return name
        self.outer.add(name)
        return self._names.get(name, name)

    def _list(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._name(node.id)
        return node

    def visit_Global(self, node: ast.Global) -> ast.Global:
        self.outer |= {*node.names}
        node.names = [self._names.get(name, name) for name in node.names]
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import:
        for alias in node.names:
            self._import(alias)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        for alias in node.names:
            self._import(alias)
        return node

    def _import(self, alias: ast.alias) -> None:
        name = alias.asname or alias.name
        if (new := self._name(name)) != name:
            alias.asname = new

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.ExceptHandler:
        node.name = node.name and self._name(node.name)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self._name(node.name)
        self._list(node.decorator_list)
        self._function(node, node.body)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.name = self._name(node.name)
        self._list(node.decorator_list)
        self._function(node, node.body)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._function(node, [node.body])
        return node

    def _function(self, node: Function, body: Iterable[ast.AST]) -> None:
        args = arguments(node)
        self._list([*node.args.defaults, *node.args.kw_defaults])
        hidden = {arg.arg for arg in args}
        stated: set[str] = set()  # global, nonlocal: not this function's own
        for part in body:
            hidden |= _bound(part)
            stated |= {
                name
                for one in ast.walk(part)
                if isinstance(one, ast.Global | ast.Nonlocal)
                for name in one.names
            }
        self.local |= hidden - stated
        self._hidden.append(hidden - stated)
        self._list(body)
        self._hidden.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.name = self._name(node.name)
        self._list([*node.decorator_list, *node.bases, *node.keywords])
        hidden = bound_at_top(node.body)
        for part in node.body:  # methods do not see the names of their class
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                self._list(part.decorator_list)
                self._function(part, part.body)
            else:
                self._hidden.append(hidden)
                self.visit(part)
                self._hidden.pop()
        return node

    def _comprehension(self, node: Comprehension) -> Comprehension:
        hidden = set().union(*(_bound(one.target) for one in node.generators))
        self._hidden.append(hidden)
        self.generic_visit(node)
        self._hidden.pop()
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension


def arguments(node: Function) -> list[ast.arg]:
    """Every argument of a function, starred ones too."""
    args = node.args
    starred = [one for one in (args.vararg, args.kwarg) if one]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *starred]


def _bound(node: ast.AST) -> set[str]:
    """Names that a statement or expression binds in the scope it stands in."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return set()
    found: set[str] = set()
    if isinstance(node, ast.Import | ast.ImportFrom):
        found |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        found.add(node.id)
    elif isinstance(node, ast.ExceptHandler) and node.name:
        found.add(node.name)
    for child in ast.iter_child_nodes(node):
        found |= _bound(child)
    return found
