"""What kanhu_protocol offers, what the hub loads of it, and what that costs."""

import ast
import importlib
from pathlib import Path

import pytest

from helpers_micropython import mpy_size, run_micropython

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "protocol" / "kanhu_protocol"

PUBLIC = {
    "cbor": {"CborError", "MAX_DEPTH", "MAX_SIZE", "decode_at", "dumps", "loads", "split_sequence"},
    "frame": {
        *("COMMISSION_DOWN", "COMMISSION_UP", "DOWN", "Decoder", "FrameError", "HELLO", "MAX_FRAME", "UP"),
        "encode",
    },
    "seal": {
        *("AES_CCM_16_64_128", "DOWN", "MAX_DOWN", "MAX_SEALED", "SUITES", "SealError", "Sealed", "UP"),
        *("parse", "seal"),
    },
    "events": {"EventError", "MAX_NUMBER", "decode", "encode"},
    "down": {"DownError", "MAX_UTC_MS", "decode", "encode"},
    "checks": {
        *(
            "ID_ALPHABET",
            "ID_LENGTH",
            "MAX_LIST",
            "MAX_REASON",
            "MAX_TEXT",
            "MAX_WORDS",
            "REQUIRED",
            "VALID",
            "check",
            "is_id",
        ),
    },
}
# What a hub imports in normal running; names, checks and mqtt (but for its start) are the host's.
HUB = ("__init__", "cbor", "down", "events", "frame", "kinds", "mqtt_packets", "seal")
HUB_LIMIT = 14_000  # bytes of .mpy, the protocol's share of the firmware's 40 kB
ALLOWED_IMPORTS = {"binascii", "struct", "hashlib", "micropython"}


def defined(module: str) -> set[str]:
    """Public names a module binds itself, imports left out."""
    names: set[str] = set()
    for node in ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def imported(module: str) -> tuple[set[str], set[str]]:
    """(outside modules, modules of this package) that a module imports."""
    outside, inside = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            outside |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            outside.add(str(node.module))
        elif isinstance(node, ast.ImportFrom):
            inside |= {node.module} if node.module else {alias.name for alias in node.names}
    return outside, inside


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module: str) -> None:
    assert defined(module) == PUBLIC[module]
    loaded = importlib.import_module(f"kanhu_protocol.{module}")
    assert all(hasattr(loaded, name) for name in PUBLIC[module])


@pytest.mark.parametrize("module", HUB)
def test_the_hub_loads_only_what_it_needs(module: str) -> None:
    outside, inside = imported(module)
    assert outside <= ALLOWED_IMPORTS
    assert inside <= set(HUB)


def test_class_of_a_kind() -> None:
    kinds = importlib.import_module("kanhu_protocol.kinds")
    assert {kind: kinds.class_of(kind) for kind in (1, 31, 32, 63, 64, 127, 128, 191, 192, 255)} == {
        **dict.fromkeys((1, 31), 1),
        **dict.fromkeys((32, 63), 2),
        **dict.fromkeys((64, 127), 3),
        **dict.fromkeys((128, 191), 4),
        **dict.fromkeys((192, 255), 5),
    }
    for bad in (0, -1, 256, 2**32):
        with pytest.raises(ValueError, match="kind"):
            kinds.class_of(bad)


def test_size_on_the_hub() -> None:
    sizes = {name: mpy_size(PACKAGE / f"{name}.py") for name in HUB}
    sizes["ccm (firmware)"] = mpy_size(ROOT / "firmware" / "kanhu_hub" / "ccm.py")
    print("\n.mpy bytes of the wire code on the hub")
    for name, size in sizes.items():
        print(f"{name:16}{size:7}")
    print(f"{'sum':16}{sum(sizes.values()):7}")
    assert sum(sizes.values()) <= HUB_LIMIT


def test_garbage_of_one_sealed_event() -> None:
    # An ESP32 collects when its heap is full: what one event leaves behind sets how often.
    out = run_micropython(
        """
import gc
from kanhu_hub.ccm import Ccm
from kanhu_protocol import events, seal
aead = Ccm(bytes(16))
fields = {2: 1767225600123, 3: 1, 4: 3, 6: 87, 7: -71}
for part in ("encode", "seal", "open"):
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    for number in range(20):
        if part == "encode":
            plain = events.encode(1, 777600000, fields)
        elif part == "seal":
            raw = seal.seal(aead, 1, "7k3m9q2xwt", 1, 1200, 70000 + number, 0, plain)
        else:
            seal.parse(raw).open(aead, "7k3m9q2xwt", 1)
    print(part, (gc.mem_alloc() - before) // 20)
    gc.enable()
""",
        heap="1m",
    )
    print("\nbytes of garbage for one call on the 64-bit port (about half on an ESP32)\n" + out)
    assert all(int(line.split()[1]) < 8000 for line in out.splitlines())
