"""People at the call desk: who may log in, what they may do and which region they may see."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import bcrypt

from . import checks
from .checks import RegistryError
from .registry import Registry

Role = Literal["operator", "supervisor", "viewer"]
Language = Literal["zh", "en"]
ROLES: tuple[Role, ...] = get_args(Role)
LANGUAGES: tuple[Language, ...] = get_args(Language)
MIN_PASSWORD = 10  # characters
MAX_PASSWORD = 256  # characters
BCRYPT_COST = 12  # about 0.2 s: a person waits once, a guesser each time
MAX_SUBJECT = 255  # characters (OpenID Connect Core 1.0, section 2)
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
# What stands in histories where nobody at a desk acted.
RESERVED = frozenset({"home", "movement", "mode", "bound", "nobody", "daemon", "administrator", "family"})


@dataclass(frozen=True, slots=True)
class Operator:
    """One person; id is the pseudonym that events carry, region what it may see, and below ("" all)."""

    id: str
    name: str
    role: Role
    region: str
    language: Language
    epoch: int  # log-ins of another epoch are over
    subject: str | None  # of the OpenID provider
    local: bool  # has a password here
    disabled: bool
    created_ms: int


class Operators:
    """The operators of an open registry; in its thread. Changes of other processes show after refresh()."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._version = (-1, -1)
        self._all: dict[str, Operator] = {}
        self._hashes: dict[str, str] = {}

    # Looking

    def list(self) -> list[Operator]:
        """All operators, disabled ones too, by id."""
        self._load()
        return [*self._all.values()]

    def get(self, operator_id: str) -> Operator | None:
        """One operator, disabled or not; None when unknown."""
        self._load()
        return self._all.get(operator_id)

    def of_subject(self, subject: str) -> Operator | None:
        """Whoever the OpenID provider knows by this subject."""
        return next((one for one in self.list() if one.subject == subject), None)

    def hash_of(self, operator_id: str) -> str | None:
        """What verify() takes; None for an operator who cannot log in here."""
        found = self.get(operator_id)
        return None if found is None or found.disabled else self._hashes.get(operator_id)

    # Changing

    def add(
        self, operator_id: str, name: str = "", role: str = "operator", region: str = "",
        language: str = "zh", password: str | None = None, subject: str | None = None,
    ) -> Operator:  # fmt: skip
        """A new operator; RegistryError says what is wrong."""
        if not _ID.fullmatch(operator_id):
            raise RegistryError(
                f"operator {operator_id!r}: must be 1 to 32 of a-z, 0-9, dot, hyphen or underscore, as op17"
            )
        if operator_id in RESERVED:
            raise RegistryError(
                f"operator {operator_id!r}: stands for somebody else in histories; take another"
            )
        if self.get(operator_id) is not None:
            raise RegistryError(f"operator {operator_id!r}: there already")
        if subject is not None and self.of_subject(subject) is not None:
            raise RegistryError("subject: another operator has it")
        row = (
            operator_id, checks.plain_text(name, "name"), None if password is None else hashed(password),
            _subject(subject), _role(role), checks.region(region) or "", _language(language), _now_ms(),
        )  # fmt: skip
        with self._registry._change(operators=True) as db:
            db.execute(
                "INSERT INTO operators (id, name, password, subject, role, region, language, created_ms) "
                "VALUES (?,?,?,?,?,?,?,?)",
                row,
            )
        return self._must(operator_id)

    def set_password(self, operator_id: str, password: str) -> None:
        """Another password; ends all log-ins of the operator."""
        self._must(operator_id)
        self._set(operator_id, "password=?, epoch=epoch+1", hashed(password))

    def disable(self, operator_id: str) -> None:
        """End all log-ins and allow no further one; the name stays known to the past."""
        self._must(operator_id)
        self._set(operator_id, "disabled_ms=coalesce(disabled_ms, ?), epoch=epoch+1", _now_ms(), duty=True)

    def enable(self, operator_id: str) -> None:
        """Allow log-ins again."""
        self._must(operator_id)
        self._set(operator_id, "disabled_ms=NULL", duty=True)

    def log_out(self, operator_id: str) -> None:
        """End all log-ins of an operator, on every machine."""
        self._must(operator_id)
        self._set(operator_id, "epoch=epoch+1")

    def set_language(self, operator_id: str, language: str) -> None:
        """What an operator reads."""
        if self._must(operator_id).language != language:
            self._set(operator_id, "language=?", _language(language))

    def change(
        self, operator_id: str, name: str | None = None, role: str | None = None, region: str | None = None
    ) -> Operator:
        """Another name, role or region, of those given."""
        found = self._must(operator_id)
        new = (
            found.name if name is None else checks.plain_text(name, "name"),
            found.role if role is None else _role(role),
            found.region if region is None else checks.region(region) or "",
        )
        if new != (found.name, found.role, found.region):
            self._set(operator_id, "name=?, role=?, region=?", *new)
        return self._must(operator_id)

    # Inside

    def _must(self, operator_id: str) -> Operator:
        found = self.get(operator_id)
        if found is None:
            raise RegistryError(f"operator {operator_id!r}: not known; `kanhu operator list` shows all")
        return found

    def _set(self, operator_id: str, change: str, *values: object, duty: bool = False) -> None:
        with self._registry._change(operators=not duty) as db:  # the duty lists name nobody who is disabled
            db.execute(f"UPDATE operators SET {change} WHERE id=?", (*values, operator_id))  # noqa: S608  # fixed columns

    def _load(self) -> None:
        version = (self._registry.version, self._registry.operators_version)
        if self._version == version:
            return
        rows = self._registry._db.execute(
            "SELECT id, name, role, region, language, epoch, subject, password, disabled_ms, created_ms "
            "FROM operators ORDER BY id"
        ).fetchall()
        self._version = version
        self._hashes = {row[0]: row[7] for row in rows if row[7] is not None}
        self._all = {}
        for name, text, role, region, language, epoch, subject, password, disabled_ms, created_ms in rows:
            self._all[name] = Operator(
                name, text, role, region, language, epoch, subject, password is not None,
                disabled_ms is not None, created_ms,
            )  # fmt: skip


def hashed(password: str) -> str:
    """What is kept of a password; RegistryError, which does not repeat it."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or not password.isprintable():
        raise RegistryError(
            f"password: must be {MIN_PASSWORD} to {MAX_PASSWORD} printable characters; length is what counts"
        )
    return bcrypt.hashpw(_whole(password), bcrypt.gensalt(BCRYPT_COST)).decode()


def verify(password: str, kept: str | None) -> bool:
    """Whether the password fits; takes as long when there is none (kept None). Run it in a thread."""
    fits = bcrypt.checkpw(_whole(password[: MAX_PASSWORD + 1]), (kept or _nobody()).encode())
    return fits and kept is not None


@cache
def _nobody() -> str:
    return bcrypt.hashpw(_whole(secrets.token_hex()), bcrypt.gensalt(BCRYPT_COST)).decode()


def _whole(password: str) -> bytes:
    # bcrypt sees 72 bytes at most, and 24 Chinese characters are as many.
    digest = hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
    return base64.b64encode(digest)


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    raise RegistryError(f"role {text!r}: must be one of {', '.join(ROLES)}")


def _language(text: str) -> Language:
    for language in LANGUAGES:
        if language == text:
            return language
    raise RegistryError(f"language {text!r}: must be one of {', '.join(LANGUAGES)}")


def _subject(text: str | None) -> str | None:
    if text is not None and not (0 < len(text) <= MAX_SUBJECT and text.isprintable()):
        raise RegistryError(f"subject: must be 1 to {MAX_SUBJECT} printable characters")
    return text


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
