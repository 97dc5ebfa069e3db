"""Code costs heap: what the hub keeps loaded is listed and bounded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kanhu.install.firmware import build_files

ROOT = Path(__file__).resolve().parents[2]

LIMIT = 40_000  # bytes of .mpy loaded once a hub runs
BOARD = ("kanhu_hub/board/__init__", "kanhu_hub/board/nvs", "kanhu_hub/board/radio")
DROPPED = {"kanhu_hub/wiring", "kanhu_hub/config", "kanhu_hub/losses", "kanhu_hub/board/sntp"}
DROPPED |= {"kanhu_hub/asking", "kanhu_hub/proof", "kanhu_hub/pairing"}
DROPPED |= {f"kanhu_hub/{name}" for name in ("commissioning", "door", "requests", "improv", "attempt")}
DROPPED |= {f"kanhu_hub/{name}" for name in ("update", "archive", "ed25519", "order", "slots", "trial")}
DROPPED |= {f"kanhu_hub/{name}" for name in ("believed", "resting", "survey")}
HOST_ONLY = {"kanhu_protocol/names", "kanhu_protocol/checks"}
WIFI = "kanhu_hub/board/wifi"
# Stand in the collector's file, which a home without a health monitor never loads.
COLLECTOR = {f"kanhu_hub/inputs/monitors/{name}" for name in ("bonds", "monitor", "session")}
SOURCES = {
    path.relative_to(ROOT / folder).with_suffix("").as_posix()
    for folder in ("firmware", "protocol")
    for package in ("kanhu_hub", "kanhu_protocol")
    for path in (ROOT / folder / package).rglob("*.py")
}
# A hub as it comes, and one on a cable. With both links a hub loads what either has.
LINKS = {"mqtt": "kanhu_hub/links/mqtt_session", "serial": "kanhu_protocol/frame"}


def source(module: str) -> Path:
    return ROOT / ("protocol" if module.startswith("kanhu_protocol") else "firmware") / f"{module}.py"


def modules_in_use(out: str) -> set[str]:
    found = set(BOARD)
    for name in re.findall(r"^module (\S+)", out, re.MULTILINE):
        path = name.replace(".", "/")
        if source(path).exists():
            found.add(path)
        elif source(path + "/__init__").exists():
            found.add(path + "/__init__")
    return found


@pytest.mark.parametrize("link", sorted(LINKS))
def test_loaded_code_fits(run_case, link: str) -> None:
    used = modules_in_use(run_case(f"memory_cases.test_{link}_hub"))
    if link == "mqtt":
        used.add(WIFI)
    built = build_files()  # what is copied to a board
    every = {name[3:-4]: len(data) for name, data in built.items() if name.startswith("/a/")}
    for name, size in sorted(every.items(), key=lambda item: -item[1]):
        print(f"{size:6} {'' if name in used else '(not loaded)':13} {name}")
    total = sum(every.get(name, 0) for name in used)  # some stand in the file of their only user
    print(f"{total:6} loaded by a hub on {link}")
    assert not used & (DROPPED | HOST_ONLY | COLLECTOR)
    if link == "mqtt":  # what stands in another module's file is loaded with it, and so must be in use
        assert every.keys() | used >= SOURCES - {"kanhu_protocol/frame"} - COLLECTOR
    assert {"kanhu_hub/inputs/pir", "kanhu_hub/inputs/advertisements", "kanhu_hub/alarm"} <= used
    assert used & set(LINKS.values()) == {LINKS[link]}
    assert total <= LIMIT
