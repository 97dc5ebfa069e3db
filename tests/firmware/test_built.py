"""The hub's tests once more on what is copied to a board: compact modules mean what their sources mean."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kanhu_protocol
from kanhu.install.compact import collect, compact, inline, shorten
from kanhu.install.firmware import build_files, read_modules, source_dir
from kanhu.install.merge import merge, merged
from kanhu.install.trim import trim

BODIES = ("hub_cases", "delivery_cases", "upkeep_cases")
HERE = Path(__file__).parent
SOURCES = {
    f"/a/{package}/{name}": data
    for package, folder in (
        ("kanhu_hub", source_dir() / "kanhu_hub"),
        ("kanhu_protocol", Path(kanhu_protocol.__file__).parent),
    )
    for name, data in read_modules(folder).items()
}


SCRIPTS = [(source_dir() / name).read_bytes() for name in ("boot.py", "main.py")]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built packages, and the test bodies with the same constants put in."""
    folder = tmp_path_factory.mktemp("built")
    for path, data in build_files().items():
        if path.startswith("/a/"):
            file = folder / path.removeprefix("/a/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    # The host's half of the protocol is not built: the fake host has the sources, under another name.
    for path, data in SOURCES.items():
        if path.startswith("/a/kanhu_protocol/"):
            file = folder / path.removeprefix("/a/").replace("kanhu_protocol", "host_protocol")
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(data)
    known, short = collect(SOURCES), shorten(SOURCES)
    redirected = merged(compact(SOURCES, SCRIPTS), SCRIPTS)[1]
    for source in [*(HERE / "bodies").glob("*.py"), *(HERE / "fakes").glob("*.py")]:
        text = inline(source.read_text(encoding="utf-8"), "", known, short)
        if source.parent.name == "fakes":
            text = text.replace("kanhu_protocol", "host_protocol")
        (folder / source.name).write_text(redirected(text), "utf-8")
    return folder


def unfit(case: str) -> bool:
    """Whether a case gives a module an open() of its own: here that module is part of another."""
    module, _, name = case.partition(".")
    tree = ast.parse((HERE / "bodies" / f"{module}.py").read_text(encoding="utf-8"))
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return "Flaky(" in ast.unparse(body)


def test_under_micropython(case: str, built: Path, run_case: Callable[..., str]) -> None:
    run_case(case, built)


def test_the_real_sources_lose_only_constants_and_imports() -> None:
    made = compact(SOURCES)
    for path, source in SOURCES.items():
        before, after = ast.parse(source), ast.parse(made[path])
        kept = [type(node) for node in before.body if not isinstance(node, ast.Assign | ast.ImportFrom)]
        assert kept == [
            type(node) for node in after.body if not isinstance(node, ast.Assign | ast.ImportFrom)
        ]
        assert len(made[path]) > 0
    assert b"kinds" not in made["/a/kanhu_hub/faults.py"]
    assert compact(SOURCES) == made  # the same every time


def compacted(**modules: str) -> dict[str, str]:
    made = compact({f"/a/p/{name}.py": text.encode() for name, text in modules.items()})
    return {path[5:-3]: text.decode().strip() for path, text in made.items()}


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


def joined(**modules: str) -> dict[str, str]:
    sources = {f"/a/p/{name}.py": text.encode() for name, text in modules.items()}
    return {path[5:-3]: text.decode() for path, text in merge(sources).items()}


def test_a_module_goes_into_its_only_user() -> None:
    made = joined(
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
        {"a": "f = 1\n", "b": "from p import a\n\n\ndef g():\n    return a\n"},  # the module as a value
        {"a": "f = 1\n", "b": "from p import a\n\n\ndef g(a):\n    return a.f\n"},
    ],
)
def test_what_could_mean_something_else_stays_apart(modules: dict[str, str]) -> None:
    assert set(joined(**modules)) == set(modules)


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("X = 'a'\ndef f():\n    return X\n", "from p.a import f\nX = 'b'\nresult = f() + X\n", "ab"),
        ("len = 1\ndef f():\n    return len\n", "from p.a import f\nresult = len('abc') + f()\n", 4),
        (
            "import os\nx = os.sep\n",
            "import sys as os\nfrom p.a import x\nresult = x + os.__name__\n",
            "/sys",
        ),
        ("f = 1\n", "from p.a import f as h\nf = 2\nresult = h, f\n", (1, 2)),
        ("f = 1\n", "from p import a\ndef g(f):\n    return a.f + f\nresult = g(4)\n", 5),
        ("f = 1\n", "from p import a\nresult = [a.f for f in (7, 8)] + [a.f]\n", [1, 1, 1]),
        (
            "f = 1\n",
            "from p import a\nclass C:\n    f = 2\n    def g(self):\n        return a.f\nresult = C().g()\n",
            1,
        ),
        (
            "def f(n):\n    global N\n    N = n\n    return N\n",
            "from p import a\nN = 3\na.f(1)\nresult = N\n",
            3,
        ),
    ],
)
def test_a_name_with_two_meanings_is_told_apart(a: str, b: str, result: object) -> None:
    made = joined(a=a, b=b)
    assert set(made) == {"b"}
    space: dict[str, Any] = {}
    exec(made["b"], space)  # noqa: S102  what was just made
    assert space["result"] == result


def started(**modules: str) -> dict[str, str]:
    """What is made of modules when a script imports p.main."""
    sources = {f"/a/p/{name}.py": text.encode() for name, text in modules.items()}
    return {path[5:-3]: text.decode() for path, text in merge(sources, [b"import p.main\n"]).items()}


def test_what_a_start_needs_stands_in_one_file_and_others_find_it_there() -> None:
    made = started(
        main="from p import store\n\n\ndef start():\n    from p import parts\n    drop('p.parts')\n"
        "    return parts.x\n\n\ndef drop(name):\n    store.read(name)\n",
        parts="from p.store import read\nfrom p.link import send as say\nfrom p import clock\n"
        "x = read(say(clock.now()))\n\n\ndef more():\n    from p import rare\n    return rare\n",
        store="def read(name):\n    return name\n",
        link="from p.store import read\n\n\ndef send(text):\n    return read(text)\n",
        clock="def now():\n    return 5\n\n\ndef read():\n    return 6\n",
        rare="from p import clock\n\ny = clock.read()\n",
    )
    assert set(made) == {"main", "parts", "rare"}
    assert "def read_store(name)" in made["main"]
    assert "def read_clock()" in made["main"]
    assert made["parts"].splitlines()[:3] == [
        "from p.main import read_store as read",
        "from p.main import send as say",
        "from p import main as clock",
    ]
    assert made["rare"] == "from p import main as clock\ny = clock.read_clock()\n"


def test_what_is_needed_by_a_part_that_stays_outside_stays_outside_too() -> None:
    made = started(
        main="from p import value\nfrom p.store import read\n\nx = [value, read]\n",  # a module as a value
        value="from p.store import read\n",
        store="def read():\n    pass\n",
    )
    assert set(made) == {"main", "value", "store"}


def test_what_nothing_refers_to_is_left_out_and_arguments_are_short() -> None:
    text = (
        "def used(first, key, *rest):\n    return lambda value: first + value + key + helper(rest)\n\n\n"
        "def helper(rest):\n    return len(rest)\n\n\ndef unused():\n    return more()\n\n\n"
        "def more():\n    return unused()\n\n\ndef forgotten():\n    pass\n\n\n"
        "def again():\n    return forgotten()\n"
    )
    script = b"from p.a import used\nprint(used(1, key=2))\n"
    made = trim({"/a/p/a.py": text.encode()}, [script])["/a/p/a.py"].decode()
    assert "forgotten" not in made
    assert "again" not in made
    space: dict[str, Any] = {}
    exec(made, space)  # noqa: S102  what was just made
    assert space["used"](1, 2, 3, 4)(5) == 10
    assert "first" not in made
    assert "key" in made  # passed by name


def test_what_scripts_import_stays() -> None:
    sources = {"/a/p/a.py": b"ONE = 1\nTWO = 2\n"}
    assert compact(sources, [b"from p.a import TWO\nprint(TWO)\n"]) == {"/a/p/a.py": b"TWO = 2\n"}
