"""`python tests/qa/mutants/run.py`: breaks the product in ten ways, one at a time, and prints who noticed.

--all plays the whole release suite against each of them; without it, the tests that have to notice."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from helpers_mutants import Mutant, Stale, Verdict, apply, caught, copy, judged, load, play

EVERYTHING = ["hil_tests", "-m", "release or smoke"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="begins of names of mutants (default: all ten)")
    parser.add_argument("--all", action="store_true", help="the whole release suite for each")
    parser.add_argument("--no-control", action="store_true", help="leave the unbroken tree out")
    parser.add_argument("--keep", type=Path, help="keep copies and reports in this folder")
    given = parser.parse_args()
    chosen = [one for one in load() if not given.names or any(map(one.name.startswith, given.names))]
    if not chosen:
        print(f"no mutant begins so: there is {', '.join(one.name for one in load())}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="kanhu-mutants-") as scratch:
        folder = given.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wrong = []
        if not given.no_control:
            wrong += control(folder, chosen, given.all)
        for one in chosen:
            wrong += judge(folder, one, given.all)
    print()
    print("\n\n".join(wrong) if wrong else f"{len(chosen)} of {len(chosen)} were noticed")
    return 1 if wrong else 0


def control(folder: Path, chosen: list[Mutant], everything: bool) -> list[str]:
    """The unbroken tree passes: what is noticed below is noticed for the defect's sake."""
    begin = time.monotonic()
    tree = copy(folder / "unbroken")
    tests = EVERYTHING if everything else sorted({one.test for one in chosen})
    verdict = play(tree, tests, folder / "unbroken-report")
    # A test that is skipped notices nothing: none of those that have to.
    fine = {"passed", "skipped"} if everything else {"passed"}
    bad = [one for one in verdict.run.tests if one.outcome not in fine] if verdict.run else []
    show("unbroken", "passes" if verdict.run and not bad else "FAILS", begin, verdict, len(bad))
    if verdict.run is None:
        return [f"the unbroken tree did not run:\n{verdict.output[-3000:]}"]
    return [f"the unbroken tree: {one.id} {one.outcome}: {one.message[:500]}" for one in bad]


def judge(folder: Path, one: Mutant, everything: bool) -> list[str]:
    """One mutant; why it was not noticed."""
    begin = time.monotonic()
    tree = copy(folder / one.name)
    try:
        apply(one, tree)
    except Stale as error:
        print(f"{one.name:<34} STALE")
        return [str(error)]
    verdict = judged(one, tree, EVERYTHING if everything else [one.test], folder / f"{one.name}-report")
    why = caught(one, verdict)
    bad = [each for each in verdict.run.tests if each.outcome == "failed"] if verdict.run else []
    show(one.name, f"PROMISE BROKEN {one.promise}" if not why else "NOT NOTICED", begin, verdict, len(bad))
    if everything:
        for each in bad:
            print(f"    {each.id.rpartition('::')[2]}: {', '.join(each.promises)}")
    return [f"{one.name} ({one.breaks}): {why}"] if why else []


def show(name: str, what: str, begin: float, verdict: Verdict, bad: int) -> None:
    """A row."""
    count = len(verdict.run.tests) if verdict.run else 0
    print(f"{name:<34} {what:<22} {bad:>3} of {count} failed {time.monotonic() - begin:7.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
