"""One board, from its port to a passed self-test, step by step; what became of it is in `result`."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kanhu.errors import KanhuError
from kanhu.install.bundle import Bundle
from kanhu.install.flash import console, esptool, judge, nvs, ports, rules, troubles
from kanhu.install.flash.esptool import Chip, Part
from kanhu.install.flash.judge import Expected
from kanhu.install.flash.plan import Plan, Result
from kanhu.install.flash.ports import Port
from kanhu.install.flash.troubles import Refused, Trouble
from kanhu.registry import Registry
from kanhu.registry.boards import Allocation, BoardRow, Boards

T = TypeVar("T")
BAUDS = (921_600, 460_800, 115_200)  # one after the other, when a faster one does not work
POLL_S = 1.0
TABLE_MAGIC = b"\xaa\x50"  # of an entry in ESP-IDF's partition table
CHIPS = {"esp32": "ESP32", "esp32s2": "ESP32-S2", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}


class Work:
    """One board's work; `stage` and `share` say how far it is, `changed` is called when they change."""

    def __init__(
        self,
        port: Port,
        plan: Plan,
        registry: Registry,
        changed: Callable[[Work], None] = lambda work: None,
        taken: dict[str, str] | None = None,
    ) -> None:
        self.port, self.result = port, Result(port.url, troubles.printable(port.serial))
        self.stage, self.share = "waiting", 0.0
        self._plan, self._registry, self._boards, self._changed = plan, registry, Boards(registry), changed
        self._taken = {} if taken is None else taken  # MAC: port, of the boards of one session
        self._stop = threading.Event()
        self._in_loader = False
        self._allocated: Allocation | None = None
        self._started = 0.0

    async def run(self) -> Result:
        """All of it; never raises but when cancelled, and then nothing of the board is trusted."""
        self._started = time.monotonic()
        result = self.result
        try:
            result.state, result.sentence = await self._flash()
        except Refused as refusal:
            result.state, result.sentence = "refused", str(refusal)
        except KanhuError as trouble:
            result.state, result.sentence = "failed", str(trouble)
        except asyncio.CancelledError:
            result.state = "aborted"
            result.sentence = "interrupted; nothing of it is trusted, run kanhu flash --resume to go on"
            await self._restarted()  # it may be a hub in service that was only looked at
            raise
        except Exception as error:
            result.state = "failed"
            result.sentence = f"{self.port.url}: {type(error).__name__}: {error}; please report this"
        finally:
            self._end()
        await self._restarted()
        return result

    async def _restarted(self) -> None:
        """No board is left in its loader, where it would stay until it is plugged in anew."""
        if self._in_loader:
            self._in_loader = False
            await esptool.restart(self.port.url)

    def _end(self) -> None:
        result = self.result
        result.sentence = troubles.printable(result.sentence)
        result.seconds = time.monotonic() - self._started
        try:
            if self._allocated and not result.good:
                self._boards.aborted(self._allocated.mac)
                if rules.in_service(result.hub, self._plan, self._registry):
                    result.sentence += f"; hub {result.hub} may not be heard before it has been flashed again"
            self._say(result.state, 1.0 if result.good else self.share)
        except KanhuError as error:  # a full disk: nothing more is trusted by it, and other boards go on
            result.sentence += f"; {error}"

    def _say(self, stage: str, share: float | None = None) -> None:
        self.stage = stage
        self.share = self.share if share is None else share
        self._changed(self)

    # The steps

    async def _flash(self) -> tuple[str, str]:
        chip = await self._identified()
        bundle, expected = self._fitting(chip)
        self._registry.refresh()  # another kanhu may have changed it since
        row = self._boards.of(chip.mac)
        if row:
            self.result.hub, self.result.generation = row.hub, row.generation
        if row and chip.mac in self._plan.passed:
            return "unchanged", "passed earlier in the session that this one continues"
        facts: dict[str, Any] | None = None
        if row and (row.state, row.bundle) == ("trusted", bundle.digest) and self._registry.knows(row.hub):
            same, facts = await self._unchanged(chip, row, bundle, expected)
            if same:
                return "unchanged", f"hub {row.hub} runs {bundle.version} already, and works"
        elif await self._occupied(chip, bundle):
            facts = await self._asked(chip)
        rules.allowed(row, facts, bundle, self._plan, self._registry)
        if self._plan.dry_run:
            return "planned", f"would be written with {bundle.board} {bundle.version}"
        self._say("giving it an id and a key")
        given = self._allocated = self._boards.allocate(
            chip.mac,
            chip.chip,
            bundle.board,
            self.port.serial,
            bundle.digest,
            bundle.version,
            self._plan.home,
        )
        self.result.hub, self.result.generation = given.hub, given.generation
        await self._written(chip, bundle, given)
        self._boards.written(chip.mac)
        await self._proved(chip, expected, given)
        self._boards.trusted(given)
        return "passed", f"hub {given.hub} runs {bundle.version}, and works"

    async def _identified(self) -> Chip:
        # esptool would share a port with whoever has it, and both would be disturbed.
        who = None if self.port.remote else troubles.holder(self.port.url)
        if who:
            raise Trouble(troubles.busy(self.port.url, who=who))
        self._say("asking which chip it is")
        chip = await self._twice(lambda: esptool.identify(self._here().url))
        result = self.result
        result.mac, result.chip, result.flash_size = chip.mac, chip.chip, chip.flash_size
        self._in_loader = True
        if self._plan.mac not in ("", chip.mac):
            raise Refused(f"this is board {chip.mac}, and {self._plan.mac} was to be written: nothing was")
        other = self._taken.setdefault(chip.mac, self.port.url)
        if other != self.port.url:
            raise Refused(
                f"this board is plugged in twice, and {other} is it as well: use one of its sockets"
            )
        self._say("looking at what it is")
        return chip

    def _fitting(self, chip: Chip) -> tuple[Bundle, Expected]:
        name = CHIPS.get(chip.chip, chip.chip.upper())
        if chip.chip not in self._plan.bundles:
            have = ", ".join(sorted(CHIPS.get(one, one.upper()) for one in self._plan.bundles))
            raise Refused(
                f"this board has an {name}, and what is to be written is for {have}: take another board, or "
                f"give the bundle for {name} as well"
            )
        bundle, expected = self._plan.bundles[chip.chip]
        if chip.flash_size < bundle.flash_size:
            raise Refused(
                f"its flash has {_mb(chip.flash_size)}, and {bundle.board} needs {_mb(bundle.flash_size)}: "
                "take a board with more, or the bundle for this one"
            )
        self.result.board, self.result.version = bundle.board, bundle.version
        return bundle, expected

    async def _unchanged(
        self, chip: Chip, row: BoardRow, bundle: Bundle, expected: Expected
    ) -> tuple[bool, dict[str, Any] | None]:
        self._say("comparing what is on it")
        # Its file system lives: what is in there the board says itself, below.
        with _held(bundle, leave_out="vfs") as (parts, keep):
            compare = partial(esptool.verify, self.port.url, chip.chip, parts, BAUDS[0], keep)
            wrong = await self._twice(compare)
        self.result.regions = {part.name: "kept" for part in parts}
        if wrong:
            return False, await self._asked(chip)
        facts = await self._tested(chip, rules.pins(row.hub, self._registry))
        key = self._registry.keys(row.hub).get(row.generation, b"")
        same = not [
            *judge.identity(facts, row.hub, row.generation, key),
            *judge.application(facts, expected),
            *judge.health(facts, chip.mac),
        ]
        return same, facts

    async def _occupied(self, chip: Chip, bundle: Bundle) -> bool:
        """Whether anything on it can start: without a partition table nothing can."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table"
            place = bundle.region("partitions").offset, esptool.SECTOR, str(path)
            await self._twice(partial(esptool.read, self.port.url, chip.chip, *place))
            return path.read_bytes()[:2] == TABLE_MAGIC

    async def _asked(self, chip: Chip) -> dict[str, Any] | None:
        """What the hub on it says of itself; None when there is none that answers."""
        self._say("asking what is on it")

        def ask() -> dict[str, Any] | None:
            board, start = console.opened(self.port, chip.mac, self._stop, self._stage_apart)
            try:
                if start.empty or start.loops >= console.LOOPS:
                    return None
                facts = board.ask("look()")
                facts["started"] = start.boot
                board.reset()
                return facts if facts.get("hub") else None
            except Trouble:
                # Something else runs there, or a hub that said who it is and nothing more.
                return {"hub": start.hub, "firmware": "", "started": start.boot} if start.hub else None
            finally:
                board.close()

        return await self._apart(ask)

    async def _written(self, chip: Chip, bundle: Bundle, given: Allocation) -> None:
        partition = bundle.partition("nvs")
        data = nvs.image(partition.size, rules.values(bundle, given, self._plan, self._registry))
        self._in_loader = True
        with _held(bundle) as (regions, signed), nvs.secret_file(data) as (path, secret):
            parts = sorted(
                [*regions, Part("nvs", partition.offset, len(data), path)], key=lambda part: part.offset
            )
            keep = (*signed, *secret)
            trouble = Trouble("")
            for attempt, baud in enumerate((*BAUDS, BAUDS[-1])):
                try:
                    if attempt:
                        await self._back(chip, trouble)
                    self.result.attempts, self.result.baud = attempt + 1, baud
                    found = await esptool.write(self.port.url, chip.chip, parts, baud, self._writing, keep)
                    for name, what in found.items():
                        if self.result.regions.get(name) != "written":
                            self.result.regions[name] = what
                    self._say("comparing all of it", 0.9)
                    wrong = await esptool.verify(self.port.url, chip.chip, parts, baud, keep)
                    if not wrong:
                        return
                    trouble = troubles.esptool_said(["error: Verification failed"], self.port.url)
                except Trouble as error:
                    if not error.again:
                        raise
                    trouble = error
            raise trouble

    async def _back(self, chip: Chip, trouble: Trouble) -> None:
        """Wait for the same board to answer again; Trouble."""
        self._say("waiting for it to answer again")
        end = time.monotonic() + self._plan.return_s
        while True:
            try:
                found = await esptool.identify(self._here().url)
                break
            except Trouble:
                if time.monotonic() > end:
                    raise Trouble(troubles.unplugged(self.port.url)) from trouble
                await asyncio.sleep(POLL_S)
        if found.mac != chip.mac:
            raise Trouble(
                f"{self.port.url}: another board was plugged in ({found.mac}): run kanhu flash again"
            )

    async def _proved(self, chip: Chip, expected: Expected, given: Allocation) -> None:
        facts = await self._tested(chip, rules.pins(given.hub, self._registry))
        wrong = [
            *judge.identity(facts, given.hub, given.generation, given.key),
            *judge.application(facts, expected),
            *judge.health(facts, chip.mac),
        ]
        if wrong:
            raise Trouble("the self-test found: " + "; ".join(wrong) + ". Put the board aside")

    async def _tested(self, chip: Chip, pins: list[int]) -> dict[str, Any]:
        """The self-test's facts of what runs after a reset. Trouble; the board is left running."""
        self._say("starting it", 0.93)

        def test() -> dict[str, Any]:
            board, start = console.opened(self.port, chip.mac, self._stop, self._stage_apart)
            try:
                if start.empty or start.loops >= console.LOOPS:
                    raise Trouble(
                        troubles.boot_loop(self.port.url, "nothing to start" if start.empty else "resets")
                    )
                self._stage_apart("self-test", 0.96)
                facts = board.ask(f"run({pins!r})")
                facts["started"] = start.boot
                board.ask("passed()")
                board.reset()
                return facts
            finally:
                board.close()

        try:
            facts = await self._apart(test)
        except Trouble as trouble:
            if not trouble.again:
                raise
            self._say("starting it once more: the self-test broke off", 0.93)
            facts = await self._apart(test)  # a console may stumble once, over what the hub was printing
        self.result.facts = {name: value for name, value in facts.items() if name != "held"}
        return facts

    # Inside

    async def _twice(self, what: Callable[[], Awaitable[T]]) -> T:
        """Once more where that may help: a line may stumble once."""
        try:
            return await what()
        except Trouble as trouble:
            if not trouble.again:
                raise
            await asyncio.sleep(POLL_S)
            return await what()

    def _here(self) -> Port:
        self.port = ports.again(self.port, self.result.mac) or self.port
        return self.port

    def _writing(self, name: str, share: float) -> None:
        self._say(f"writing {name}", 0.9 * share)

    def _stage_apart(self, stage: str, share: float | None = None) -> None:
        self._loop.call_soon_threadsafe(self._say, stage, share)

    async def _apart(self, work: Callable[[], T]) -> T:
        """Run what blocks in a thread; when cancelled, it is told to stop and waited for."""
        self._loop, self._in_loader = asyncio.get_running_loop(), False
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._stop.set()
            await asyncio.wait([task])
            raise
        except OSError as error:
            raise troubles.opening(error, self.port.url) from None


@contextmanager
def _held(bundle: Bundle, leave_out: str = "") -> Iterator[tuple[list[Part], tuple[int, ...]]]:
    """Its regions as they were signed, whatever becomes of the folder meanwhile; BundleError."""
    with ExitStack() as stack:
        parts, keep = list[Part](), list[int]()
        for one in bundle.regions:
            if one.name != leave_out:
                path, handles = stack.enter_context(nvs.secret_file(one.data()))
                parts.append(Part(one.name, one.offset, one.size, path))
                keep += handles
        yield parts, tuple(keep)


def _mb(size: int) -> str:
    return f"{size / (1 << 20):g} MB"
