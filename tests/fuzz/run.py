"""Coverage-guided fuzzing of every decoder (Atheris, libFuzzer).

make fuzz ARGS="--seconds 600"   all decoders, ten minutes in all
make fuzz ARGS="--target cbor --seconds 60"
make fuzz ARGS="--target cbor --input build/fuzz/crashes/cbor/crash-..."   one saved input again"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("protocol", "host", "firmware")]

import seeds  # noqa: E402  after the paths it needs
import targets  # noqa: E402

CHILD = str(Path(__file__).with_name("child.py"))
HUNG_S = 10  # one input may take so long
RSS_MIB = 1024  # a fuzzer that takes more ends as a crash
GROWTH_BYTES = 16 * 1024, 8  # more held after the corpus ran again: of caches, and of each run
MEASURED_S = 5.0  # each half of the memory measurement, unless the corpus takes longer
SPARE_S = 60  # beyond its time before a child is ended


@dataclass
class Report:
    """What one target showed."""

    target: str
    executions: int = 0
    seconds: float = 0.0
    edges: int = 0
    edges_seeded: int = 0  # that the seeds reach by themselves
    rss_mib: tuple[int, int] = (0, 0)  # the fuzzer's own, after the seeds and at the end
    corpus: int = 0
    lines: int = 0
    covered: int = 0
    percent: float = 0.0
    floor: int = 0
    peak_bytes: int = 0
    growth_bytes: int = 0
    measured: int = 0  # runs over which that grew
    missed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # one line each
    inputs: list[str] = field(default_factory=list)  # files that repeat them


def _child(arguments: list[str], limit_s: float) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, CHILD, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", cwd=Path(CHILD).parent,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        err += f"\nended after {limit_s:.0f} s"
    return process.returncode, out, err


def _tail(text: str) -> str:
    """The error that ended a child, with the line it came from."""
    frames = re.findall(r'^\s*File "(.*)", line (\d+), in', text, re.MULTILINE)
    where = f"{Path(frames[-1][0]).name}:{frames[-1][1]} " if frames else ""
    told = re.findall(r"^\w*(?:Error|Exception|Interrupt|Exit)\b.*|.*ERROR: libFuzzer.*", text, re.MULTILINE)
    return where + (told or text.strip().splitlines()[-1:] or ["no reason given"])[0].strip()[:300]


def attack(name: str, target: targets.Target, seconds: float, room: Path, seed: int) -> Report:
    """Fuzz one target for so long, then measure its corpus."""
    report = Report(name, floor=target.floor)
    corpus, crashes = room / "corpus" / name, room / "crashes" / name
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds.of(name, target.max_len)):
        (corpus / f"seed-{number:03d}").write_bytes(data)
    options = [
        f"-max_total_time={max(1, round(seconds))}", f"-max_len={target.max_len}", f"-seed={seed}",
        f"-timeout={HUNG_S}", f"-rss_limit_mb={RSS_MIB}", "-print_final_stats=1",
        f"-artifact_prefix={crashes}/",
    ]  # fmt: skip
    if target.words:
        words = room / f"{name}.dict"
        words.write_text("".join(json.dumps(word) + "\n" for word in target.words), encoding="ascii")
        options.append(f"-dict={words}")
    before = set(crashes.iterdir())
    began = time.monotonic()
    code, out, err = _child(["fuzz", name, str(corpus), *options], seconds + SPARE_S)
    report.seconds = round(time.monotonic() - began, 1)
    told = out + err
    found = re.findall(r"number_of_executed_units: (\d+)", told)
    steps = re.findall(r"^#(\d+)\s+(\w+).*?cov: (\d+).*?rss: (\d+)Mb", told, re.MULTILINE)
    report.executions = int(found[-1]) if found else int(steps[-1][0]) if steps else 0
    if steps:
        seeded = next((step for step in steps if step[1] == "INITED"), steps[0])
        report.edges_seeded, report.edges = int(seeded[2]), int(steps[-1][2])
        report.rss_mib = int(seeded[3]), int(steps[-1][3])
    report.inputs = [str(path) for path in sorted(set(crashes.iterdir()) - before)]
    if code:
        report.faults.append(_tail(told))
        (crashes / "last.log").write_text(told, encoding="utf-8")
    measure(report, target, corpus, min(MEASURED_S, seconds / 2))
    return report


def measure(report: Report, target: targets.Target, corpus: Path, seconds: float) -> None:
    """Lines reached and memory, from a second process that runs the corpus without the fuzzer."""
    code, out, err = _child(["replay", report.target, str(corpus), str(seconds)], 600)
    if code:
        if not report.faults:
            report.faults.append(f"the corpus does not run again: {_tail(err)}")
        return
    for key, value in json.loads(out.splitlines()[-1]).items():
        setattr(report, key, value)
    if report.growth_bytes > max(GROWTH_BYTES[0], GROWTH_BYTES[1] * report.measured):
        report.faults.append(f"memory grows: {report.growth_bytes} bytes more after {report.measured} runs")
    if report.peak_bytes > target.peak_bytes:
        report.faults.append(f"one input takes {report.peak_bytes} bytes")
    if report.percent < report.floor:
        report.faults.append(f"reaches {report.percent} % of the lines, not {report.floor}")


def table(reports: list[Report]) -> str:
    """For people."""
    rows = [("decoder", "executions", "/s", "edges", "of seeds", "lines", "reached", "corpus", "peak kB",
             "growth B", "in runs", "fuzzer MiB", "faults")]  # fmt: skip
    for r in reports:
        rows.append((
            r.target, f"{r.executions:,}", f"{r.executions / max(r.seconds, 0.1):,.0f}", str(r.edges),
            str(r.edges_seeded), str(r.lines), f"{r.percent:.1f} %", str(r.corpus),
            f"{r.peak_bytes / 1000:.1f}", str(r.growth_bytes), str(r.measured),
            f"{r.rss_mib[0]} to {r.rss_mib[1]}", str(len(r.faults)),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if number == 0 else cell.rjust(width) for number, (cell, width) in
                  enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]  # fmt: skip
    for r in reports:
        lines += [f"FAULT in {r.target}: {fault}" for fault in r.faults]
        lines += [f'  repeat: make fuzz ARGS="--target {r.target} --input {path}"' for path in r.inputs]
    total = sum(r.executions for r in reports)
    lines.append(f"{total:,} executions, {sum(len(r.faults) for r in reports)} faults")
    return "\n".join(lines)


def main() -> int:
    """Parse options and run; 1 when anything was found."""
    known = {**targets.TARGETS, **targets.PLANTED}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seconds", type=float, default=600, help="in all, shared by the targets (default 600)"
    )
    parser.add_argument(
        "--target", action="append", choices=list(known), help="only this one; may stand again"
    )
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    parser.add_argument("--seed", type=int, default=int(time.time()) & 0xFFFF or 1, help="of the mutations")
    parser.add_argument(
        "--room", type=Path, default=ROOT / "build" / "fuzz", help="corpus and crashes are kept here"
    )
    parser.add_argument("--input", type=Path, help="run this one saved input of the --target")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    args = parser.parse_args()
    if args.input is not None:
        if not args.target:
            parser.error("--input needs --target")
        return subprocess.call([sys.executable, CHILD, "input", args.target[0], str(args.input.resolve())])
    try:
        import atheris  # noqa: F401
    except ImportError:
        parser.error("Atheris is not installed: its wheels are for Linux on x86-64, Python 3.11 to 3.14")
    chosen = {name: known[name] for name in args.target or targets.TARGETS}
    share = args.seconds * args.jobs / len(chosen)
    room = args.room.resolve()
    print(f"seed {args.seed}, {share:.0f} s each, corpus and crashes in {room}", file=sys.stderr)

    def one(name: str) -> Report:
        report = attack(name, chosen[name], share, room, args.seed)
        print(f"{name}: {report.executions:,} executions, {len(report.faults)} faults", file=sys.stderr)
        return report

    with ThreadPoolExecutor(args.jobs) as pool:
        reports = list(pool.map(one, chosen))
    result: dict[str, Any] = {
        "seed": args.seed,
        "cpus": os.cpu_count(),
        "targets": [asdict(r) for r in reports],
    }
    print(json.dumps(result) if args.json else table(reports))
    return 1 if any(report.faults for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
