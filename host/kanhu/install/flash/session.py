"""All boards at once: each is worked on by itself, and what became of it is on disk at once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kanhu.errors import KanhuError
from kanhu.install.flash.plan import Plan, Result
from kanhu.install.flash.ports import Port
from kanhu.install.flash.work import Work
from kanhu.registry import Registry

FILE = "flash-session.json"  # under data_dir
FORMAT = 1
Changed = Callable[[Work], None]


class SessionError(KanhuError):
    """There is no session that could be continued; says what to do."""


@dataclass
class Journal:
    """What is known of a session on disk: bundles by folder and digest, boards by MAC. No secrets."""

    path: Path
    bundles: dict[str, str] = field(default_factory=dict)
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, data_dir: Path) -> Journal:
        """The last session's; SessionError."""
        path = data_dir / FILE
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found["format"] != FORMAT:
                raise ValueError
            return cls(path, dict(found["bundles"]), {mac: dict(row) for mac, row in found["boards"].items()})
        except OSError:
            raise SessionError(f"no session to continue in {data_dir}: run kanhu flash BUNDLE") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SessionError(f"{path} is not readable: run kanhu flash BUNDLE without --resume") from None

    def note(self, result: Result) -> None:
        """Keep what is known of a board."""
        if result.mac:
            kept = {"port": result.port, "hub": result.hub, "state": result.state or "working"}
            if self.boards.get(result.mac) != kept:
                self.boards[result.mac] = kept
                self.write()

    def write(self) -> None:
        """Put it on disk; KanhuError."""
        new = self.path.with_suffix(".new")
        text = json.dumps({"format": FORMAT, "bundles": self.bundles, "boards": self.boards})
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(
                os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
            ) as file:
                file.write(text)
            new.replace(self.path)
        except OSError as error:
            raise SessionError(f"{self.path}: {error.strerror}; give a --data-dir with room") from None

    def passed(self) -> frozenset[str]:
        """MACs of boards that are done."""
        return frozenset(
            mac for mac, row in self.boards.items() if row.get("state") in ("passed", "unchanged")
        )

    def missing(self, results: Sequence[Result]) -> list[Result]:
        """Boards that are not done and were not found now."""
        there = {result.mac for result in results}
        return [
            Result(
                str(row.get("port", "")), mac=mac, hub=str(row.get("hub", "")), state="missing",
                sentence="it was not found; plug it in, and run kanhu flash --resume",
            )
            for mac, row in self.boards.items()
            if mac not in there | self.passed() and row.get("state") in ("working", "failed", "aborted")
        ]  # fmt: skip


async def run(
    found: Sequence[Port],
    plan: Plan,
    registry: Registry,
    journal: Journal,
    jobs: int,
    begun: Callable[[Sequence[Work]], None],
    changed: Changed,
) -> list[Result]:
    """Work on all ports, `jobs` at a time; the results in the ports' order. When cancelled, every board's
    work is ended in order first, and the results are in begun's works."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(jobs + 1))
    taken: dict[str, str] = {}

    def noted(work: Work) -> None:
        if not plan.dry_run:
            journal.note(work.result)
        changed(work)

    works = [Work(port, plan, registry, noted, taken) for port in found]
    begun(works)
    free = asyncio.Semaphore(jobs)

    async def one(work: Work) -> Result:
        async with free:
            return await work.run()

    tasks = [asyncio.create_task(one(work)) for work in works]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    return [work.result for work in works]
