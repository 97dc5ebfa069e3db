"""The install page: a bundle written to one board from a browser, with everything on this machine.

ESP Web Tools comes from npm, pinned by its hash, once into a cache; the page asks nothing of other hosts."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import jinja2

from kanhu.errors import KanhuError
from kanhu.install import image, signing
from kanhu.install.bundle import INSTALL, Bundle
from kanhu.install.cache import cached
from kanhu.install.firmware import cache_dir

PACKAGE = "esp-web-tools@10.4.0"
# Of the package's archive, as npm's registry publishes it (dist.integrity).
INTEGRITY = "3pwkeFFm5Fj7UQo8SJNYK5RXrtNCpq6X9QoI6bMT4GBZWgrJqjn0YvM9ihG74BtMoSFYXfmDtkehuxe50PTMPQ=="
SCRIPTS = "package/dist/web/"  # in the archive: built scripts that import each other and nothing else
TIMEOUT_S = 120
FOLDER = Path(__file__).parent
OWN = ("page.css", "page.js")


class PageError(KanhuError):
    """The install page cannot be made: one sentence that says what to do."""


def make(bundle: Bundle, out: Path, archive: Path | None = None) -> None:
    """Write the page, the tools and what of the bundle it installs into a new folder; PageError.

    archive: the package's .tgz, where npm cannot fetch it."""
    scripts = _scripts(_archive(archive))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PageError(f"{out}: is there and not empty; name a new folder")
    try:
        for folder in (out / "tools", out / "bundle"):
            folder.mkdir(parents=True)
        for name, data in scripts.items():
            (out / "tools" / name).write_bytes(data)
        for region in bundle.regions:
            (out / "bundle" / region.path.name).write_bytes(region.data())
        shutil.copyfile(bundle.folder / INSTALL, out / "bundle" / INSTALL)
        for name in OWN:
            shutil.copyfile(FOLDER / name, out / name)
        (out / "index.html").write_text(_page(bundle), encoding="utf-8")
    except OSError as error:
        raise PageError(f"{error.filename or out}: {error.strerror}") from None


def _page(bundle: Bundle) -> str:
    loader = jinja2.FileSystemLoader(FOLDER)
    pages = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return pages.get_template("index.html").render(
        bundle=bundle,
        family=image.CHIPS[bundle.chip].family,
        flash_mb=bundle.flash_size >> 20,
        signer=signing.fingerprint(bundle.signer),
        kilobytes=sum(region.size for region in bundle.regions) // 1000,
    )


def _archive(given: Path | None) -> bytes:
    """The package's archive, its hash checked: as given, out of the cache, or fetched by npm."""
    if given is not None:
        try:
            data = given.read_bytes()
        except OSError as error:
            raise PageError(f"{given}: {error.strerror}") from None
        return _checked(data, str(given))
    folder = cache_dir().parent / "npm"
    return cached(
        folder / f"{PACKAGE.replace('@', '-')}.tgz",
        lambda data: _integrity(data) == INTEGRITY,
        lambda: _checked(_fetch(), f"npm's {PACKAGE}"),
    )


def _fetch() -> bytes:
    cure = f"; or fetch {PACKAGE} elsewhere (npm pack {PACKAGE}) and give the file as --tools FILE"
    npm = shutil.which("npm")
    if npm is None:
        raise PageError(f"npm is not installed: it brings ESP Web Tools (Debian: apt install npm){cure}")
    with tempfile.TemporaryDirectory(prefix="kanhu-npm-") as scratch:
        try:
            # pack only downloads: no script of the package runs.
            done = subprocess.run(
                [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error"],
                cwd=scratch,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PageError(f"npm: {error}{cure}") from None
        made = list(Path(scratch).glob("*.tgz"))
        if done.returncode or len(made) != 1:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise PageError(f"npm: {said[-1] if said else f'exit {done.returncode}'}{cure}")
        return made[0].read_bytes()


def _integrity(data: bytes) -> str:
    return base64.b64encode(hashlib.sha512(data).digest()).decode()


def _checked(data: bytes, where: str) -> bytes:
    if _integrity(data) != INTEGRITY:
        raise PageError(f"{where}: not {PACKAGE} as it was published: its SHA-512 is another; not used")
    return data


def _scripts(archive: bytes) -> dict[str, bytes]:
    """File name -> content of the package's built scripts, and its licence."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            wanted = member.name.startswith(SCRIPTS) and member.name.endswith(".js")
            if member.isfile() and (wanted or member.name == "package/LICENSE"):
                file = tar.extractfile(member)
                found[member.name.rpartition("/")[2]] = file.read() if file else b""
    return found
