"""What a run of spine.py showed, over its rounds: as one JSON object, or as a table for people."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any


def median(values: list[float]) -> dict[str, float]:
    """Median and the extremes."""
    return {"p50": statistics.median(values), "min": min(values), "max": max(values)}


def summarize(turns: dict[str, list[dict[str, Any]]], reference: str) -> dict[str, Any]:
    """Over the rounds, per system; ratios of events/s to the reference's are taken within a round."""
    out: dict[str, Any] = {}
    for system, rounds in turns.items():
        entry: dict[str, Any] = {"events_per_s": median([r["events_per_s"] for r in rounds])}
        pairs = zip(rounds, turns[reference], strict=False)
        entry["of_reference"] = median([round(a["events_per_s"] / b["events_per_s"], 3) for a, b in pairs])
        for name in ("idle", "idle_acknowledged", "paced", "loaded", "loaded_calls"):
            entry[name] = {
                key: round(statistics.median(r[name].get(key, float("nan")) for r in rounds), 2)
                for key in ("p50_ms", "p99_ms")
            }
        entry["relay_cpu_us"] = statistics.median(r["relay_cpu_us"] for r in rounds)
        entry["cpu_percent"] = {
            name: statistics.median(r["cpu_percent"][name] for r in rounds)
            for name in rounds[0]["cpu_percent"]
        }
        entry["lost"] = sum(r["lost"] for r in rounds)
        kills = [r["killed"] for r in rounds if "killed" in r]
        for name in ("flow", "backlog"):
            entry[f"killed_{name}"] = {
                key: sum(kill[name][key] for kill in kills) for key in ("published", "lost", "said_again")
            }
        entry["duplicates"] = sum(kill["duplicates"] for kill in kills)
        out[system] = entry
    return out


def versions() -> dict[str, str]:
    """Machine and programs."""
    first = subprocess.run(["/usr/sbin/mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return {
        "machine": f"{os.cpu_count()} x {models[0].partition(': ')[2] if models else platform.machine()}",
        "python": platform.python_version(),
        "mosquitto": first.partition("\n")[0].removeprefix("mosquitto version "),
        "load_average": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(result: dict[str, Any]) -> str:
    """For people."""
    rows: list[tuple[str, ...]] = [("", *result["systems"])]
    systems = list(result["systems"].values())

    def add(label: str, *cells: str) -> None:
        rows.append((label, *cells))

    def both(name: str) -> list[str]:
        return [f"{s[name]['p50_ms']:.1f} / {s[name]['p99_ms']:.1f}" for s in systems]

    rate = [s["events_per_s"] for s in systems]
    add("events/s", *(f"{r['p50']:,.0f}" for r in rate))
    add("  least, most", *(f"{r['min']:,.0f}, {r['max']:,.0f}" for r in rate))
    ratios = [s["of_reference"] for s in systems]
    add(f"of {result['reference']}", *(f"{r['p50']:.2f}" for r in ratios))
    add("  least, most", *(f"{r['min']:.2f}, {r['max']:.2f}" for r in ratios))
    add("idle call, ms p50 / p99", *both("idle"))
    add("  acknowledged", *both("idle_acknowledged"))
    add(f"{result['sizes']['rate']}/s, ms", *both("paced"))
    add("full load, ms", *both("loaded"))
    add("  calls in it", *both("loaded_calls"))
    add("relay CPU, us an event", *(f"{s['relay_cpu_us']:.0f}" for s in systems))
    for name in systems[0]["cpu_percent"]:
        add(f"CPU % {name}", *(f"{s['cpu_percent'][name]:.0f}" for s in systems))
    add("lost without a fault", *(str(s["lost"]) for s in systems))
    if systems[0]["killed_flow"]["published"]:
        for name, label in (("flow", "in the flow"), ("backlog", "with a backlog")):
            kills = [s[f"killed_{name}"] for s in systems]
            add(f"lost to kill -9 {label}", *(f"{kill['lost']} of {kill['published']}" for kill in kills))
        add("arrived twice", *(str(s["duplicates"]) for s in systems))
    width = max(len(row[0]) for row in rows)
    lines = [f"{row[0]:<{width}}" + "".join(f"{cell:>18}" for cell in row[1:]) for row in rows]
    about = ", ".join(f"{key} {value}" for key, value in result["versions"].items())
    if result["wanted"] is not None:
        ratio = result["systems"][result["trial"]]["of_reference"]["p50"]
        verdict = "met" if ratio >= result["wanted"] else "MISSED"
        told = f"{result['trial']} / {result['reference']}: {ratio:.3f}, wanted {result['wanted']}: {verdict}"
        lines += ["", told]
    return "\n".join([about, f"{result['rounds']} rounds, interleaved", "", *lines])
