"""Whole numbers in the place of the names that stand for them, so that a hub need not hold their tables.

What is written once at a module's top as `NAME = 5`, in capitals, is a constant of that module. Where it is
used, there or in a module that imports it at its top, its number is put in; a definition or an import that
nothing refers to any more is left out. Private names of data (`self._window`) become short, because a module
holds every name it uses; functions keep theirs, for tracebacks. Everything else stays as it is written."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from kanhu.install.merge import module_name

Constants = dict[str, dict[str, int]]  # module -> name -> number


def collect(sources: Mapping[str, bytes]) -> Constants:
    """The constants of modules by their device path under /a; SyntaxError with that path as filename."""
    return {module_name(path): _constants(ast.parse(source, path)) for path, source in sources.items()}


def compact(sources: Mapping[str, bytes], scripts: Sequence[bytes] = ()) -> dict[str, bytes]:
    """Modules by device path under /a -> the same, compact; what scripts refer to stays defined."""
    known = collect(sources)
    trees = {path: _inlined(ast.parse(source), _package(path), known) for path, source in sources.items()}
    mentioned = {name for script in scripts for name in _mentions(ast.parse(script))}
    for tree in trees.values():
        mentioned |= _mentions(tree)
    short = shorten(sources)
    return {
        path: _text(_renamed(_stripped(tree, known[module_name(path)], mentioned), short)).encode()
        for path, tree in trees.items()
    }


def inline(source: str, package: str, known: Constants, short: Mapping[str, str]) -> str:
    """One module's source with the known constants of others put in and private data named as in `short`."""
    return _text(_renamed(_inlined(ast.parse(source), package, known), short))


def shorten(sources: Mapping[str, bytes]) -> dict[str, str]:
    """Private name of data -> its short one, the same in all modules, the most frequent ones first."""
    uses: Counter[str] = Counter()
    stored: set[str] = set()
    other: set[str] = set()  # names of functions, classes, arguments; constants leave no name behind
    for source in sources.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                other.add(node.name)
            elif isinstance(node, ast.arg):
                other.add(node.arg)
            elif isinstance(node, ast.Assign) and _number(node.value) is not None:
                other |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Attribute | ast.Name):
                name = node.attr if isinstance(node, ast.Attribute) else node.id
                if name[:1] == "_" and name[1:2] not in ("", "_"):
                    uses[name] += 1
                    if isinstance(node.ctx, ast.Store):
                        stored.add(name)
    letters = "abcdefghijklmnopqrstuvwxyz"
    free = (f"_{a}{b}" for a in ("", *letters) for b in letters if f"_{a}{b}" not in uses.keys() | other)
    return {name: next(free) for name, _ in uses.most_common() if name in stored and name not in other}


def _inlined(tree: ast.Module, package: str, known: Constants) -> ast.Module:
    bound = Counter(_bound(tree))
    names: dict[str, int] = {}  # this module's name for a constant of another
    modules: dict[str, dict[str, int]] = {}  # this module's name for another module
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            origin = _origin(statement, package)
            for alias in statement.names:
                name = alias.asname or alias.name
                if bound[name] != 1:
                    continue
                if alias.name in known.get(origin, {}):
                    names[name] = known[origin][alias.name]
                elif f"{origin}.{alias.name}" in known:
                    modules[name] = known[f"{origin}.{alias.name}"]
    before = _loaded(tree)  # what is imported for others only stays
    tree = _Inliner(names, modules).visit(tree)
    return _without_imports(tree, (names.keys() | modules.keys()) & (before - _loaded(tree)))


def _without_imports(tree: ast.Module, unused: set[str]) -> ast.Module:
    body: list[ast.stmt] = []
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            statement.names = [one for one in statement.names if (one.asname or one.name) not in unused]
            if not statement.names:
                continue
        body.append(statement)
    tree.body = body
    return tree


def _stripped(tree: ast.Module, own: dict[str, int], mentioned: set[str]) -> ast.Module:
    """The module with its own constants put in, and without those that no other module mentions."""
    tree = _Inliner(own, {}).visit(tree)
    gone = own.keys() - mentioned
    tree.body = [
        statement
        for statement in tree.body
        if not isinstance(statement, ast.Assign)
        or not all(ast.unparse(name) in gone for name, _ in _pairs(statement.targets[0], statement.value))
    ]
    return _without_imports(tree, {"const"} - _loaded(tree))


def _renamed(tree: ast.Module, short: Mapping[str, str]) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            node.attr = short.get(node.attr, node.attr)
        elif isinstance(node, ast.Name):
            node.id = short.get(node.id, node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [short.get(name, name) for name in node.names]
    return tree


class _Inliner(ast.NodeTransformer):
    def __init__(self, names: dict[str, int], modules: dict[str, dict[str, int]]) -> None:
        self._names = names
        self._modules = modules

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self._names and isinstance(node.ctx, ast.Load):
            return ast.Constant(self._names[node.id])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and isinstance(node.ctx, ast.Load):
            number = self._modules.get(node.value.id, {}).get(node.attr)
            if number is not None:
                return ast.Constant(number)
        self.generic_visit(node)
        return node


def _constants(tree: ast.Module) -> dict[str, int]:
    bound = Counter(_bound(tree))
    found: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            for target, value in _pairs(node.targets[0], node.value):
                if isinstance(target, ast.Name) and target.id.isupper() and bound[target.id] == 1:
                    number = _number(value)
                    if number is not None:
                        found[target.id] = number
    return found


def _number(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "const" and len(node.args) == 1:
        return _number(node.args[0])
    return None


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        yield from zip(target.elts, value.elts, strict=True)
    else:
        yield target, value


def _bound(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound anywhere in a module, once for each time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler):
            yield node.name or ""
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.Global | ast.Nonlocal):
            yield from node.names


def _loaded(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _mentions(tree: ast.AST) -> set[str]:
    """What a module may ask of others by name: attributes and imported names."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _package(path: str) -> str:
    return module_name(path) if path.endswith("/__init__.py") else module_name(path).rpartition(".")[0]


def _origin(statement: ast.ImportFrom, package: str) -> str:
    parts = package.split(".") if statement.level else []
    parts = parts[: len(parts) - statement.level + 1]
    return ".".join([*parts, *([statement.module] if statement.module else [])])
