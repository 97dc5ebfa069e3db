"""The record of an acceptance: canonical JSON that an installer signs, and anybody can check.

Keys sorted, no spaces, UTF-8, whole numbers only; Ed25519 over b"kanhu acceptance 1\\n" and its bytes. A file
of it is {"record": .., "signature": hexadecimal}."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanhu.errors import KanhuError
from kanhu.install import signing
from kanhu_protocol import names
from kanhu_protocol.checks import MAX_TEXT, is_id

CONTEXT = b"kanhu acceptance 1\n"
FORMAT = 1
MAX_RECORD = 65_536  # bytes: 28 sensors and every press of a home take a tenth of it
VERDICTS = {name: number for number, name in names.VERDICTS.items()}


class RecordError(KanhuError):
    """A record that cannot be believed or made; one line that says why."""


class Signed(NamedTuple):
    """A record with its signature; neither is believed before `by`."""

    data: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the record, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def fields(self) -> dict[str, Any]:
        """What it says; RecordError when it is none, or not in its one form."""
        try:
            found = json.loads(self.data)
        except (ValueError, RecursionError):
            raise RecordError("this is no record of an acceptance") from None
        if not isinstance(found, dict) or canonical(found) != self.data:
            raise RecordError("this record is not in its canonical form: it was changed")
        _check(found)
        return found

    def by(self, trusted: Sequence[bytes]) -> bytes | None:
        """Whose of these public keys (32 bytes) signed it; None: nobody's."""
        return signing.signer(trusted, CONTEXT, self.data, self.signature)

    def file(self) -> str:
        """As a file."""
        found = {"record": self.fields(), "signature": self.signature.hex()}
        return json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def canonical(fields: dict[str, Any]) -> bytes:
    """A record in its one form."""
    text = json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def signed(fields: dict[str, Any], key: Ed25519PrivateKey) -> Signed:
    """A record with its signature; RecordError."""
    _check(fields)
    data = canonical(fields)
    return Signed(data, signing.sign(key, CONTEXT, data))


def of_key(found: Signed) -> bytes:
    """The public key that a record names as its own; RecordError when it did not sign it."""
    public = bytes.fromhex(found.fields()["by"]["key"])
    if found.by([public]) is None:
        raise RecordError("this record was not signed by the key that it names")
    return public


def read(path: Path) -> Signed:
    """The record of a file; RecordError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD * 2 + 1)
        found = json.loads(data)
        return Signed(canonical(found["record"]), bytes.fromhex(found["signature"]))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RecordError(f"{path}: this is no record of an acceptance; kanhu check show makes one") from None


def _check(fields: dict[str, Any]) -> None:
    by = fields.get("by")
    key = by.get("key") if isinstance(by, dict) else None
    good = (
        fields.get("format") == FORMAT
        and is_id(fields.get("hub"))
        and isinstance(fields.get("verdict"), str)
        and fields["verdict"] in VERDICTS
        and type(fields.get("at_ms")) is int
        and 0 <= fields["at_ms"] < 1 << 47  # of a moment that a calendar has
        and isinstance(fields.get("findings"), list)
        and isinstance(by, dict)
        and isinstance(by.get("name"), str)
        and isinstance(by.get("id"), str)
        and (by["name"] + by["id"]).isprintable()
        and 0 < len(by["id"].encode()) <= MAX_TEXT
        and isinstance(key, str)
        and len(key) == 2 * signing.KEY_SIZE
        and set(key) <= set("0123456789abcdef")
        and len(canonical(fields)) <= MAX_RECORD
    )
    if not good:
        raise RecordError("this is no record of an acceptance of this version")
