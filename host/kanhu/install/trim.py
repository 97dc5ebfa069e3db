"""What a finished module can do without: definitions nobody refers to, long names of arguments, far places.

Bytecode names a thing by its place in its file's table of names: one byte for the first 128 places, two for
those beyond. So the names used most are mentioned first, in a line that is compiled to nothing because
nothing leads to it."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import count

from kanhu.install.scopes import Function, Renamer, arguments

ONE_BYTE = 128  # places that one byte of bytecode can name
FIRST = 4  # names of the compiler's own that come before: file, <module>, two to spare


def trim(sources: Mapping[str, bytes], scripts: Iterable[bytes] = ()) -> dict[str, bytes]:
    """Modules by device path -> the same, smaller; what scripts refer to stays."""
    trees = {path: ast.parse(source) for path, source in sources.items()}
    others = [ast.parse(script) for script in scripts]
    while True:
        known = _mentions([*trees.values(), *others])
        before = {path: len(tree.body) for path, tree in trees.items()}
        for tree in trees.values():
            tree.body = [node for node in tree.body if known[_defined(node)] or not _defined(node)]
        if before == {path: len(tree.body) for path, tree in trees.items()}:
            break
    kept = {"self"} | {
        node.arg or ""
        for tree in [*trees.values(), *others]
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword)
    }
    made = {}
    for path, tree in trees.items():
        _Arguments(kept).visit(tree)
        made[path] = (ast.unparse(ast.fix_missing_locations(_frequent_first(tree))) + "\n").encode()
    return made


def _defined(node: ast.stmt) -> str:
    """The function or class that a statement defines, else nothing."""
    return node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) else ""


def _mentions(trees: Iterable[ast.Module]) -> Counter[str]:
    """Names and texts that could refer to a definition, its own body not counted."""
    found: Counter[str] = Counter()
    for tree in trees:
        for top in tree.body:
            here: Counter[str] = Counter()
            for node in ast.walk(top):
                if isinstance(node, ast.Name):
                    here[node.id] += 1
                elif isinstance(node, ast.Attribute):
                    here[node.attr] += 1
                elif isinstance(node, ast.alias):
                    here[node.name] += 1
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    here[node.value] += 1
            here.pop(_defined(top), None)
            found += here
    return found


class _Arguments(ast.NodeTransformer):
    """Arguments that are never passed by name get names that private data has anyway."""

    def __init__(self, kept: set[str]) -> None:
        self._kept = kept

    def _shortened(self, node: Function) -> None:
        own = arguments(node)
        taken: set[str | None] = set()  # a name that the function uses for anything
        for one in ast.walk(node):
            taken |= {getattr(one, part, None) for part in ("id", "arg", "name", "asname")}
        free = (name for name in (f"_{_letters(number)}" for number in count()) if name not in taken)
        names = {one.arg: next(free) for one in own if one.arg not in self._kept}
        for one in own:
            one.arg = names.get(one.arg, one.arg)
        renamer = Renamer(names)
        body = node.body if isinstance(node.body, list) else [node.body]
        for part in body:
            renamer.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self._shortened(node)
        self.generic_visit(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        self._shortened(node)
        self.generic_visit(node)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        self._shortened(node)
        self.generic_visit(node)
        return node


def _letters(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else _letters(number // 26 - 1) + _letters(number % 26)


def _frequent_first(tree: ast.Module) -> ast.Module:
    counter = _Places()
    counter.visit(tree)
    if len(counter.places) < ONE_BYTE:
        return tree
    chain: ast.expr = ast.Name("_", ast.Load())
    for name, _ in counter.places.most_common(ONE_BYTE - FIRST):
        chain = ast.Attribute(chain, name, ast.Load())
    never = ast.While(ast.Constant(True), [ast.Break(), ast.Expr(chain)], [])
    tree.body.insert(0, never)
    return tree


class _Places(Renamer):
    """Counts how often bytecode names each thing; locals have no name there."""

    def __init__(self) -> None:
        super().__init__({})
        self.places: Counter[str] = Counter()

    def _name(self, name: str) -> str:
        if not any(name in hidden for hidden in self._hidden):
            self.places[name] += 1
        return super()._name(name)

    def visit_Attribute(self, node: ast.Attribute) -> ast.Attribute:
        self.places[node.attr] += 1
        self.generic_visit(node)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.places[node.arg or ""] += 1
        self.generic_visit(node)
        return node

    def _function(self, node: Function, body: Iterable[ast.AST]) -> None:
        self.places.update(one.arg for one in arguments(node))
        super()._function(node, body)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        for part in node.body:  # stored in the class, and named in tracebacks
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                self.places[part.name] += 2
        return super().visit_ClassDef(node)
