"""One target in a process of its own. python child.py fuzz TARGET FOLDER [libFuzzer option ...] attacks it
under Atheris until an option ends it; python child.py replay TARGET FOLDER SECONDS runs the corpus again,
measured, and prints one JSON object; python child.py input TARGET FILE runs one input."""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("protocol", "host", "firmware")]

import targets  # noqa: E402  after the paths it needs

REPLAYED = 2000  # inputs of a corpus that are measured; a corpus holds one input for each thing it reached
RUNS = 4000  # in each half of the memory measurement, as far as time allows: caches fill in the first


def fuzz(target: targets.Target, arguments: list[str]) -> None:
    """Never returns."""
    import atheris

    with atheris.instrument_imports(include=list(target.packages)):
        run = target.make()

    def attack(data: bytes) -> None:
        run(data)

    atheris.Setup([sys.argv[0], *arguments], attack)
    atheris.Fuzz()


def _lines(where: str) -> tuple[str, range]:
    module_name, _, name = where.partition(":")
    found: Any = importlib.import_module(module_name)
    file = inspect.getsourcefile(found)
    assert file is not None
    if not name:
        return file, range(1, 1_000_000)
    for part in name.split("."):
        found = getattr(found, part)
    source, first = inspect.getsourcelines(found)
    return file, range(first, first + len(source))


def coverage_of(target: targets.Target, inputs: list[bytes]) -> dict[str, Any]:
    """Lines of the decoder that the corpus reaches: those an import runs do not count."""
    import coverage

    imported = coverage.Coverage(data_file=None, config_file=False)
    imported.start()
    run = target.make()
    imported.stop()
    reached = coverage.Coverage(data_file=None, config_file=False)
    reached.start()
    for data in inputs:
        run(data)
    reached.stop()
    counted = hit = 0
    missed = []
    for where in target.covers:
        file, span = _lines(where)
        at_import = set(imported.get_data().lines(file) or ())
        _, statements, _, missing, _ = reached.analysis2(file)
        own = [line for line in statements if line in span and line not in at_import]
        counted += len(own)
        hit += len(set(own) - set(missing))
        missed += [f"{Path(file).name}:{line}" for line in own if line in set(missing)]
    return {"lines": counted, "covered": hit, "percent": round(100 * hit / counted, 1), "missed": missed}


def memory_of(target: targets.Target, inputs: list[bytes], limit_s: float) -> dict[str, Any]:
    """Highest peak of one input, and how much more a second half of the runs leaves held, in bytes."""
    run = target.make()
    peak = 0
    held = []
    done = [0, 0]
    tracemalloc.start()
    for half in (0, 1):
        until = time.monotonic() + limit_s
        while done[half] < len(inputs) or (done[half] < RUNS and time.monotonic() < until):
            data = inputs[done[half] % len(inputs)]
            done[half] += 1
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            run(data)
            peak = max(peak, tracemalloc.get_traced_memory()[1] - before)
            if half and done[1] == done[0]:
                break
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return {"peak_bytes": peak, "growth_bytes": held[1] - held[0], "measured": done[1]}


def main() -> None:
    """See the module."""
    how, name, folder, *arguments = sys.argv[1:]
    target = {**targets.TARGETS, **targets.PLANTED}[name]
    if how == "fuzz":
        fuzz(target, [folder, *arguments])
    elif how == "input":
        target.make()(Path(folder).read_bytes())
        print("taken, nothing wrong")
    else:
        inputs = [file.read_bytes() for file in sorted(Path(folder).iterdir())[:REPLAYED]]
        limit_s = float(arguments[0])
        found = {**coverage_of(target, inputs), **memory_of(target, inputs, limit_s)}
        print(json.dumps({"corpus": len(inputs), **found}))


if __name__ == "__main__":
    main()
