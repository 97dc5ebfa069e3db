"""Modules that always come together in one file: each file has a table of names of its own.

Together come: what a script imports, all that this imports at its top, and what its forgotten parts import at
theirs (app.drop), because that stays when they go. Any other module goes into the only file that imports it,
if that does so at its top and neither is forgotten. Packages stay as they are. A name that would mean two
things in one file gets the module's name added, and whoever imports it asks for that."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from kanhu.install.scopes import Renamer, bound_at_top, uses

Trees = dict[str, ast.Module]


def merge(sources: Mapping[str, bytes], scripts: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Modules by device path under /a -> the same, fewer; what scripts import keeps its place."""
    return merged(sources, scripts)[0]


def merged(
    sources: Mapping[str, bytes], scripts: Iterable[bytes] = ()
) -> tuple[dict[str, bytes], Callable[[str], str]]:
    """The same, and what lets another module's source find its imports where they are now."""
    paths = {module_name(path): path for path in sources}
    packages = {name for name, path in paths.items() if path.endswith("/__init__.py")}
    trees = {
        name: _absolute(ast.parse(sources[path]), name, name in packages) for name, path in paths.items()
    }
    roots = {module for script in scripts for module, _ in _imports(ast.parse(script), trees)} - packages
    home = _homes(trees, packages, roots)
    final = _final_names(trees, home)
    made = {}
    for root in sorted(set(home.values())):
        tree = _joined(_in_order(trees, home, root), trees, home, final)
        made[paths[root]] = _text(tree).encode()

    def redirected(source: str) -> str:
        return _text(_Redirect(home, final, trees).visit(_absolute(ast.parse(source), "", False)))

    return made, redirected


def module_name(path: str) -> str:
    """Dotted name of the module at a device path under /a."""
    return path.removeprefix("/a/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class _Needs(NamedTuple):
    """The known modules that a module imports: at its top, later, and those it handles as values."""

    top: list[str]
    late: list[str]
    values: set[str]


def _homes(trees: Trees, packages: set[str], roots: set[str]) -> dict[str, str]:
    """Module -> the module in whose file it stands."""
    needs = {name: _needs(tree, trees) for name, tree in trees.items()}
    forgotten = _forgotten(trees.values())
    apart = packages | forgotten | roots | {name for need in needs.values() for name in need.values}
    home = {name: name for name in trees}
    for root in sorted(roots):
        members = _started(needs, root, apart, forgotten)
        if not _circular(needs, members):
            home |= dict.fromkeys(members, root)

    def users(module: str) -> set[str]:
        """The files that import a file or something of it."""
        return {
            home[name] for name, need in needs.items() if module in {home[m] for m in need.top + need.late}
        }

    def only_user(inner: str) -> str | None:
        """The one file that needs a file, and does so from its start on."""
        found = users(inner) - {inner}
        for user in found & forgotten:
            if users(user) <= found:  # itself needed by that file only
                found = found - {user}
        if len(found) != 1 or found <= forgotten:
            return None
        late = {home[module] for name, need in needs.items() if home[name] in found for module in need.late}
        return None if inner in late else next(iter(found))

    while True:
        for name in sorted({*home.values()} - apart):
            if user := only_user(name):
                home = {one: user if place == name else place for one, place in home.items()}
                break
        else:
            return home


def _needs(tree: ast.Module, known: Mapping[str, object]) -> _Needs:
    imports = list(_imports(tree, known))
    values = set()
    for module, node in imports:
        if isinstance(node, ast.Import):
            values.add(module)
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.{node.names[0].name}" == module:
            alias = node.names[0].asname or node.names[0].name
            values |= set() if _only_as_prefix(tree, alias) else {module}
    top = [module for module, node in imports if node in tree.body]
    return _Needs(top, [module for module, node in imports if node not in tree.body], values)


def _started(needs: Mapping[str, _Needs], root: str, apart: set[str], forgotten: set[str]) -> set[str]:
    """What a root loads at its start and keeps, itself included."""
    members = {root}
    waiting = [root]
    while waiting:
        need = needs[waiting.pop()]
        loaded = {*need.top}.union(*(needs[one].top for one in {*need.top, *need.late} & forgotten))
        waiting += loaded - apart - members
        members |= loaded - apart
    return members


def _circular(needs: Mapping[str, _Needs], members: set[str]) -> bool:
    """Whether something that stays outside is needed before the file it needs itself is complete."""
    waiting = [module for name in members for module in needs[name].top if module not in members]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needs[name].top
    return bool(seen & members)


def _final_names(trees: Trees, home: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """(module, name bound at its top) -> its name in its file, where that is another one."""
    final: dict[tuple[str, str], str] = {}
    for root in set(home.values()):
        members = [name for name in trees if home[name] == root]
        if len(members) == 1:
            continue
        own: dict[str, dict[str, str]] = {}  # name -> module -> what it is there
        meant: dict[str, set[str]] = {}  # module -> names that mean something else in it
        for module in members:
            joined = bound_at_top(node for node in trees[module].body if _origin(node, trees) in members)
            for node in trees[module].body:
                if _origin(node, trees) in members:
                    continue
                outside = isinstance(node, ast.Import | ast.ImportFrom)
                for name in bound_at_top([node]):
                    own.setdefault(name, {})[module] = ast.unparse(node) if outside else module
            outer, local = uses(trees[module])
            meant[module] = (outer | local) - (joined - local)
        for name, modules in own.items():
            others = {one for one in members if one not in modules and name in meant[one]}
            if others or len(set(modules.values())) > 1:
                for module in modules:
                    final[module, name] = f"{name}_{module.rpartition('.')[2]}"
    return final


def _joined(
    members: list[str], trees: Trees, home: Mapping[str, str], final: Mapping[tuple[str, str], str]
) -> ast.Module:
    """The modules of one file, what is imported before what imports it."""
    root = home[members[0]]
    redirect = _Redirect(home, final, trees)
    body: dict[str, ast.stmt] = {}
    rest: list[ast.stmt] = []
    doc: list[ast.stmt] = []
    for name in members:
        names = {old: new for (module, old), new in final.items() if module == name}
        aliases: dict[str, str] = {}
        for node in trees[name].body:
            if (origin := _origin(node, trees)) in members and isinstance(node, ast.ImportFrom):
                alias = node.names[0]
                if f"{node.module}.{alias.name}" == origin:
                    aliases[alias.asname or alias.name] = origin
                else:
                    names[alias.asname or alias.name] = final.get((str(origin), alias.name), alias.name)
        kept = [node for node in trees[name].body if _origin(node, trees) not in members]
        tree = _Direct(aliases, final).visit(Renamer(names).visit(redirect.visit(ast.Module(kept, []))))
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                body.setdefault(ast.unparse(node), node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                doc += [node] if name == root else []
            else:
                rest.append(node)
    return ast.Module([*doc, *body.values(), *rest], [])


def _in_order(trees: Trees, home: Mapping[str, str], root: str) -> list[str]:
    """The modules of one file, each after those it imports; the file's own last."""
    order: list[str] = []

    def place(name: str) -> None:
        for module in _at_top(trees[name], trees):
            if home[module] == root and module not in order and module != root:
                place(module)
        order.append(name)

    place(root)
    for name in sorted(trees):
        if home[name] == root and name not in order:
            order.remove(root)
            place(name)
            order.append(root)
    return order


class _Direct(ast.NodeTransformer):
    """store.replace as replace, where store is a module of the same file."""

    def __init__(self, aliases: Mapping[str, str], final: Mapping[tuple[str, str], str]) -> None:
        self._aliases, self._final = aliases, final

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and (module := self._aliases.get(node.value.id)):
            return ast.Name(self._final.get((module, node.attr), node.attr), node.ctx)
        self.generic_visit(node)
        return node


class _Redirect(ast.NodeTransformer):
    """Imports from the file where a module stands now, under the names that things have there."""

    def __init__(
        self, home: Mapping[str, str], final: Mapping[tuple[str, str], str], trees: Mapping[str, object]
    ) -> None:
        self._home, self._final, self._trees = home, final, trees
        self._moved: dict[str, str] = {}  # alias -> module

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self._moved = {}
        for one in ast.walk(node):
            module = _origin(one, self._trees)
            if module and self._home[module] != module and isinstance(one, ast.ImportFrom):
                alias = one.names[0]
                if f"{one.module}.{alias.name}" == module:
                    self._moved[alias.asname or alias.name] = module
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        module = _origin(node, self._trees)
        if module is None or self._home[module] == module:
            return node
        home, alias = self._home[module], node.names[0]
        name = alias.asname or alias.name
        if f"{node.module}.{alias.name}" == module:
            package, _, last = home.rpartition(".")
            return ast.ImportFrom(package, [ast.alias(last, name if name != last else None)], 0)
        new = self._final.get((module, alias.name), alias.name)
        return ast.ImportFrom(home, [ast.alias(new, name if name != new else None)], 0)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._moved:
            node.attr = self._final.get((self._moved[node.value.id], node.attr), node.attr)
        return node


def _absolute(tree: ast.Module, name: str, package: bool) -> ast.Module:
    """`from . import a, b` as `from p import a` and `from p import b`."""
    base = name.split(".") if package else name.split(".")[:-1]

    class Absolute(ast.NodeTransformer):
        def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
            origin = [*base[: len(base) - node.level + 1]] if node.level else []
            origin += [node.module] if node.module else []
            return [ast.ImportFrom(".".join(origin), [alias], 0) for alias in node.names]

    made: ast.Module = Absolute().visit(tree)
    return made


def _imports(tree: ast.AST, known: Mapping[str, object]) -> Iterator[tuple[str, ast.AST]]:
    """Each import of a known module anywhere, as (module, statement)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                if module in known or node.module in known:
                    yield module if module in known else str(node.module), node


def _origin(node: ast.AST, known: Mapping[str, object]) -> str | None:
    """The known module that a `from` statement imports, or imports from."""
    return (
        next((name for name, _ in _imports(node, known)), None) if isinstance(node, ast.ImportFrom) else None
    )


def _at_top(tree: ast.Module, known: Mapping[str, object]) -> list[str]:
    return [module for node in tree.body for module in [_origin(node, known)] if module]


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


def _text(tree: ast.Module) -> str:
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"
