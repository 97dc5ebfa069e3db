"""The hub's tests once more on what is copied to a board: compact modules mean what their sources mean."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import kanhu_protocol
from helpers_micropython import run_micropython
from kanhu.install.compact import collect, compact, inline, shorten
from kanhu.install.firmware import build_files, read_modules, source_dir
from kanhu.install.merge import merge

BODY = "hub_cases"
HERE = Path(__file__).parent
SOURCES = {
    f"/lib/{package}/{name}": data
    for package, folder in (
        ("kanhu_hub", source_dir() / "kanhu_hub"),
        ("kanhu_protocol", Path(kanhu_protocol.__file__).parent),
    )
    for name, data in read_modules(folder).items()
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built packages, and the test bodies with the same constants put in."""
    folder = tmp_path_factory.mktemp("built")
    for path, data in build_files().items():
        if path.startswith("/lib/"):
            file = folder / path.removeprefix("/lib/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    known, short = collect(SOURCES), shorten(SOURCES)
    for path, data in compact(SOURCES).items():
        file = folder / path.removeprefix("/lib/")
        if not file.with_suffix(".mpy").exists():  # in the file of its only user; here for the tests' own use
            file.write_bytes(data)
    for source in [*(HERE / "bodies").glob("*.py"), *(HERE / "fakes").glob("*.py")]:
        text = inline(source.read_text(encoding="utf-8"), "", known, short)
        (folder / source.name).write_text(text, "utf-8")
    return folder


def unfit(case: str) -> bool:
    """Whether a case gives a module an open() of its own: here that module is part of another."""
    tree = ast.parse((HERE / "bodies" / f"{BODY}.py").read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == case)
    return "Flaky(" in ast.unparse(body)


def test_under_micropython(case: str, built: Path, tmp_path: Path) -> None:
    script = f"import {BODY}\n{BODY}.FOLDER = {str(tmp_path)!r}\n{BODY}.{case}()\nprint('case done')\n"
    out = run_micropython(script, heap="1m", paths=(built,))
    assert out.endswith("case done\n"), out


def test_the_real_sources_lose_only_constants_and_imports() -> None:
    made = compact(SOURCES)
    for path, source in SOURCES.items():
        before, after = ast.parse(source), ast.parse(made[path])
        kept = [type(node) for node in before.body if not isinstance(node, ast.Assign | ast.ImportFrom)]
        assert kept == [
            type(node) for node in after.body if not isinstance(node, ast.Assign | ast.ImportFrom)
        ]
        assert len(made[path]) > 0
    assert b"kinds" not in made["/lib/kanhu_hub/faults.py"]
    assert compact(SOURCES) == made  # the same every time


def compacted(**modules: str) -> dict[str, str]:
    made = compact({f"/lib/p/{name}.py": text.encode() for name, text in modules.items()})
    return {path[7:-3]: text.decode().strip() for path, text in made.items()}


def test_constants_are_put_in_and_left_out() -> None:
    made = compacted(
        a='"""Numbers."""\nfrom micropython import const\n'
        'ONE, TWO = 1, 2\nTEXT = "x"\nYES = True\n_OWN = const(5)\n'
        "def f():\n    return ONE + _OWN\n",
        b="from . import a as k\nfrom p.a import TWO\n\n\ndef g(n):\n    return k.ONE + TWO + n\n",
        c="from p import a\n\n\ndef h():\n    return a.f() + a.ONE + a.TEXT\n",
    )
    assert made["a"] == '"""Numbers."""\nTEXT = \'x\'\nYES = True\n\ndef f():\n    return 1 + 5'
    assert made["b"] == "def g(n):\n    return 1 + 2 + n"
    assert made["c"] == "from p import a\n\ndef h():\n    return a.f() + 1 + a.TEXT"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("N = 1\nN = 2\n", "from p import a\nx = a.N\n"),  # bound twice
        ("N = 1\n\n\ndef f():\n    global N\n    N = 2\n", "from p import a\nx = a.N\n"),
        ("N = 1\n", "def f():\n    from p import a\n    return a.N\n"),  # imported late
        ("N = 1\n", "from p import a\n\n\ndef f(a):\n    return a.N\n"),  # another a
        ("N = 1\n", "from p.a import N\n\n\ndef f():\n    N = 3\n    return N\n"),  # another N
        ("N = len('x')\n", "from p.a import N\nx = N\n"),  # no literal
    ],
)
def test_what_is_not_plainly_a_constant_stays(a: str, b: str) -> None:
    made = compacted(a=a, b=b)
    assert ast.dump(ast.parse(made["a"])) == ast.dump(ast.parse(a))
    assert ast.dump(ast.parse(made["b"])) == ast.dump(ast.parse(b))


def test_what_is_imported_for_others_stays() -> None:
    made = compacted(a="ONE = 1\n", b="from .a import ONE\n", c="from .b import ONE\n\nx = ONE\n")
    assert made == {"a": "ONE = 1", "b": "from .a import ONE", "c": "from .b import ONE\nx = ONE"}


def test_private_data_is_short_and_functions_keep_their_names() -> None:
    made = compacted(
        a="class A:\n\n    def __init__(self):\n        self._count = self._limit = 0\n\n"
        "    def _step(self):\n        self._count += self._foreign\n",
        b="def f(a, _limit):\n    a._step()\n    return a._count\n",
    )
    assert made["a"] == (
        "class A:\n\n    def __init__(self):\n        self._a = self._limit = 0\n\n"
        "    def _step(self):\n        self._a += self._foreign"
    )
    assert made["b"] == "def f(a, _limit):\n    a._step()\n    return a._a"


def merged(**modules: str) -> dict[str, str]:
    sources = {f"/lib/p/{name}.py": text.encode() for name, text in modules.items()}
    return {path[7:-3]: text.decode() for path, text in merge(sources).items()}


def test_a_module_goes_into_its_only_user() -> None:
    made = merged(
        __init__="",
        a='"""Inner."""\nimport os\nfrom . import d\n\n\ndef one():\n    return os.sep + d.x()\n',
        b="import os\nfrom p.a import one\n\n\ndef two():\n    return one() + os.sep\n",
        c='"""Outer."""\nfrom p import b as other\nfrom p import d\n\n\ndef three():\n'
        "    return other.two() + d.x()\n",
        d="def x():\n    return 'x'\n",
    )
    assert set(made) == {"__init__", "c"}
    space: dict[str, Any] = {}
    exec(made["c"], space)  # noqa: S102  what was just made
    assert space["three"]() == "/x/x"
    assert space["__doc__"] == "Outer."
    assert "import p" not in made["c"]


@pytest.mark.parametrize(
    "modules",
    [
        {"a": "def f():\n    pass\n", "b": "from p.a import f\n", "c": "from p.a import f\n"},  # two users
        {"a": "def f():\n    pass\n", "b": "def g():\n    from p.a import f\n    f()\n"},  # imported late
        {"a": "def f():\n    pass\n", "b": "from p.a import f\n\n\ndef g():\n    drop('p.b')\n"},  # dropped
        {"a": "def f():\n    pass\n", "b": "def g():\n    drop('p.a')\n\n\nfrom p.a import f\n"},
        {"a": "X = 'a'\n\n\ndef f():\n    return X\n", "b": "from p.a import f\nX = 'b'\n"},  # one name twice
        {"a": "def f():\n    pass\n\n\nlen = 1\n", "b": "from p.a import f\nx = len('')\n"},  # a built-in
        {"a": "import os\nx = os.sep\n", "b": "import sys as os\nfrom p.a import x\n"},
        {"a": "f = 1\n", "b": "from p import a\n\n\ndef g():\n    return a\n"},  # the module as a value
        {"a": "f = 1\n", "b": "from p import a\n\n\ndef g(a):\n    return a.f\n"},
        {"a": "f = 1\n", "b": "from p.a import f as h\nx = h\n"},
    ],
)
def test_what_could_mean_something_else_stays_apart(modules: dict[str, str]) -> None:
    assert set(merged(**modules)) == set(modules)


def test_what_scripts_import_stays() -> None:
    sources = {"/lib/p/a.py": b"ONE = 1\nTWO = 2\n"}
    assert compact(sources, [b"from p.a import TWO\nprint(TWO)\n"]) == {"/lib/p/a.py": b"TWO = 2\n"}
