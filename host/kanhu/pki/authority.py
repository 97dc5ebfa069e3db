"""A folder with a CA and what it has issued. Keys are mode 0600; nothing is overwritten unless told so.

ca.crt, ca.key      sign what is issued
ca-next.crt, .key   a new CA that peers learn to trust before it signs (rotate begin)
ca-old.crt          the CA before, trusted until all servers have new certificates (rotate finish)
ca-bundle.crt       all of them: what daemons and hubs trust
NAME.crt, NAME.key  issued"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .certificates import CA_DAYS, LEAF_DAYS, Certified, is_client, issue, make_ca, sans_of
from .files import PkiError, load_certificates, write_private

BUNDLE = "ca-bundle.crt"
RESERVED = ("ca", "ca-next", "ca-old", "ca-bundle")
_FILE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")


@dataclass(frozen=True)
class Entry:
    """One certificate of the folder; `issuer` is the file of the CA that signed it, or "unknown"."""

    name: str
    certificate: x509.Certificate
    issuer: str

    @property
    def until(self) -> datetime:
        return self.certificate.not_valid_after_utc

    @property
    def kind(self) -> str:
        if self.name in RESERVED:
            return "CA"
        return "client" if is_client(self.certificate) else "server"


class Authority:
    """The folder. Every method that writes raises PkiError before it has changed anything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE

    def init(self, name: str, days: float = CA_DAYS, force: bool = False) -> None:
        """Make the folder and its CA."""
        if not force and (self.folder / "ca.key").exists():
            raise PkiError(
                f"{self.folder} has a CA: kanhu pki rotate replaces it without an outage; --force makes "
                "another that nobody trusts yet"
            )
        try:
            made = make_ca(name, days)
        except (ValueError, OverflowError) as error:
            raise PkiError(f"the CA: {error}") from None
        self._put("ca", made)
        for old in ("ca-next.crt", "ca-next.key", "ca-old.crt"):
            (self.folder / old).unlink(missing_ok=True)
        self._write_bundle()

    def issue(
        self,
        name: str,
        sans: Sequence[str],
        client: bool = False,
        days: float = LEAF_DAYS,
        force: bool = False,
    ) -> Entry:
        """NAME.crt and NAME.key for a server under these host names and addresses, or for a client."""
        if not _FILE_NAME.fullmatch(name) or name in RESERVED:
            raise PkiError(f"{name!r}: write a plain name for the files, such as broker")
        if not sans and not client:
            raise PkiError("a server's certificate needs its host names and addresses: --san broker.example")
        if not force and any((self.folder / f"{name}.{end}").exists() for end in ("crt", "key")):
            raise PkiError(f"{name} is there: kanhu pki renew {name} renews it, --force replaces it")
        return self._issue(name, sans, client, days)

    def renew(self, name: str, days: float = LEAF_DAYS) -> Entry:
        """A new certificate and key under the same names, signed by the CA of today."""
        old = self.entry(name)
        if old.kind == "CA":
            raise PkiError(f"{name} is a CA: kanhu pki rotate replaces it without an outage")
        return self._issue(name, sans_of(old.certificate), old.kind == "client", days)

    # Rotation of the CA: begin, (peers get the bundle), switch, (servers reload), finish

    def begin(self, name: str, days: float = CA_DAYS) -> None:
        """A second CA that is trusted but does not sign yet."""
        self._ca()
        if self._trusts_next() or (self.folder / "ca-old.crt").exists():
            raise PkiError(f"a rotation is under way in {self.folder}: {self.rotation()}")
        try:
            self._put("ca-next", make_ca(name, days))
        except (ValueError, OverflowError) as error:
            raise PkiError(f"the CA: {error}") from None
        self._write_bundle()

    def switch(self) -> list[str]:
        """The new CA signs from now on; everything issued is renewed. Returns the names."""
        if not (self.folder / "ca-next.key").exists() or not (
            self._trusts_next() or (self.folder / "ca-old.crt").exists()
        ):
            raise PkiError("no new CA waits: kanhu pki rotate begin")
        issued = [entry.name for entry in self.entries() if entry.kind != "CA"]
        ca, ca_next, ca_old = (self.folder / f"{name}.crt" for name in ("ca", "ca-next", "ca-old"))
        # Cut off after any step, the same command goes on from there.
        if not ca_old.exists():
            write_private(self.folder / ".ca-old.crt.new", ca.read_bytes(), 0o644)
            (self.folder / ".ca-old.crt.new").replace(ca_old)
        if ca_next.exists():
            ca_next.replace(ca)
        (self.folder / "ca-next.key").replace(self.folder / "ca.key")  # the old key signs no more
        for name in issued:
            self.renew(name)
        self._write_bundle()
        return issued

    def finish(self) -> None:
        """The CA before is trusted no longer."""
        if not (self.folder / "ca-old.crt").exists():
            raise PkiError("no CA of before is left to forget: kanhu pki rotate begin, then switch")
        ca = self._ca().certificate
        left = [e.name for e in self.entries() if e.kind != "CA" and not _signed(ca, e.certificate)]
        if left:
            raise PkiError(f"still of the CA before: {', '.join(left)}; kanhu pki renew them first")
        self._write_bundle("ca")  # before its file goes: cut off in between, this is done again
        (self.folder / "ca-old.crt").unlink()

    def rotation(self) -> str:
        """What is to be done next in a rotation; empty when none is under way."""
        if (self.folder / "ca-next.key").exists() and (self.folder / "ca-old.crt").exists():
            return "kanhu pki rotate switch was cut off: give it again"
        if self._trusts_next():
            return f"give {BUNDLE} to daemons and hubs, then kanhu pki rotate switch"
        if (self.folder / "ca-old.crt").exists():
            return "have brokers load their new certificates, then kanhu pki rotate finish"
        return ""

    # Looking

    def entries(self) -> list[Entry]:
        """Everything in the folder, CAs first."""
        names = sorted(path.stem for path in self.folder.glob("*.crt") if path.stem != "ca-bundle")
        if "ca" not in names:
            raise PkiError(f"{self.folder}: no CA here; kanhu pki init makes one")
        names.sort(key=lambda name: (name not in RESERVED, name))
        loaded = {name: load_certificates(self.folder / f"{name}.crt")[0] for name in names}
        cas = {name: loaded[name] for name in names if name in RESERVED}

        def signer(certificate: x509.Certificate) -> str:
            return next((ca for ca, found in cas.items() if _signed(found, certificate)), "unknown")

        return [Entry(name, certificate, signer(certificate)) for name, certificate in loaded.items()]

    def entry(self, name: str) -> Entry:
        """One of them by name."""
        for found in self.entries():
            if found.name == name:
                return found
        raise PkiError(f"{name}: {self.folder} has none of this name; kanhu pki show lists all")

    # Inside

    def _ca(self) -> Certified:
        if not (self.folder / "ca.crt").exists():
            raise PkiError(f"{self.folder}: no CA here; kanhu pki init makes one")
        certificate = load_certificates(self.folder / "ca.crt")[0]
        path = self.folder / "ca.key"
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except OSError as error:
            raise PkiError(f"{path}: {error.strerror}; the CA signs where its key is") from None
        except (ValueError, TypeError):
            raise PkiError(f"{path}: no usable key; put back a copy, or kanhu pki init --force") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise PkiError(f"{path}: not the key of ca.crt; put back a copy of both")
        return Certified(key, certificate)

    def _issue(self, name: str, sans: Sequence[str], client: bool, days: float) -> Entry:
        ca = self._ca()
        if ca.certificate.not_valid_after_utc <= datetime.now(UTC):
            raise PkiError("the CA has expired: kanhu pki rotate begin, then switch")
        try:
            self._put(name, issue(ca, name, sans, client=client, days=days))
        except (ValueError, OverflowError) as error:
            raise PkiError(f"{name}: {error}") from None
        return self.entry(name)

    def _put(self, name: str, made: Certified) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Both on disk before either is in its place: a broker that reloads meets the new pair.
            key, certificate = (self.folder / f".{name}.{end}.new" for end in ("key", "crt"))
            write_private(key, made.key_pem)
            write_private(certificate, made.pem, 0o644)
            key.replace(self.folder / f"{name}.key")
            certificate.replace(self.folder / f"{name}.crt")
        except OSError as error:
            raise PkiError(f"{error.filename or self.folder}: {error.strerror}") from None

    def _trusts_next(self) -> bool:
        """Whether the next CA is whole: begin ends with the bundle."""
        found = self.folder / "ca-next.crt"
        try:
            return found.exists() and found.read_bytes() in self.bundle.read_bytes()
        except OSError as error:
            raise PkiError(f"{error.filename}: {error.strerror}") from None

    def _write_bundle(self, *names: str) -> None:
        cas = [self.folder / f"{name}.crt" for name in names or ("ca", "ca-next", "ca-old")]
        new = self.folder / f".{BUNDLE}.new"
        try:
            write_private(new, b"".join(path.read_bytes() for path in cas if path.exists()), 0o644)
            new.replace(self.bundle)
        except OSError as error:
            raise PkiError(f"{error.filename or new}: {error.strerror}") from None


def _signed(ca: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
