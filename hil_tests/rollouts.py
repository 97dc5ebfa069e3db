"""`kanhu update` at the daemon of the bench, and releases for it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kanhu.install import build, signing
from kanhu.install.firmware import source_version
from kanhu.install.release import number, version_of
from kanhu.qa.board import Board
from kanhu.qa.installing import packaged
from kanhu.qa.rig import Rig

BOARD = "esp32"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Rollouts:
    """`kanhu update` at the daemon of the bench."""

    def __init__(self, bench: Rig, folder: Path) -> None:
        self._config = bench.host.town.daemon.config
        self.folder = folder
        self.trust = folder / "trust.pem"
        self.trust.write_bytes(signing.public_pem(KEY.public_key()))

    def ask(self, *words: str) -> str:
        """What it says; AssertionError with its words when it ends with an error."""
        done = subprocess.run(
            [sys.executable, "-m", "kanhu", "update", *words, "--config", str(self._config)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def image(self) -> tuple[Path | None, str | None]:
        """MicroPython's, and its SHA-256; None: the board's file says where it is."""
        image = packaged(BOARD)
        return image, hashlib.sha256(image.read_bytes()).hexdigest() if image else None

    def key_file(self) -> Path:
        """KEY, as `kanhu firmware build` reads it."""
        path = self.folder / "release.pem"
        path.touch(mode=0o600)
        path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path

    def add(self, bundle: Path) -> None:
        """Keep a release that was built, signed with KEY."""
        self.ask("add", str(bundle), "--trust", str(self.trust))

    def release(self, above: int, key: Ed25519PrivateKey = KEY) -> str:
        """The hub's own program under a higher version, kept by the daemon; the version."""
        version = version_of(number(source_version()) + above)
        image, digest = self.image()
        build.build(BOARD, self.folder / version, key, image, digest, version)
        self.add(self.folder / version)
        return version

    def state(self, hub: Board) -> str:
        """How the newest rollout stands at a hub."""
        units = json.loads(self.ask("status", "--hubs", "--json"))
        found = [one for one in units["hubs"] if one["hub"] == hub.hub_id]
        return str(found[0]["state"]) if found else ""

    def cancel(self) -> None:
        """Whatever is under way is over."""
        words = [sys.executable, "-m", "kanhu", "update", "cancel", "--config", str(self._config)]
        subprocess.run(words, capture_output=True, timeout=120)
