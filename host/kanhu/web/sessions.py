"""Who is logged in: a signed cookie that names an operator, checked against the registry on each request."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from kanhu.errors import DataError
from kanhu.pki.files import write_private
from kanhu.registry.operators import Operator, Operators

SECRET_BYTES = 32
COOKIE, SECURE_COOKIE = "kanhu_desk", "__Host-kanhu_desk"


def kept_secret(path: Path) -> str:
    """The key that signs cookies, in a file of mode 0600; made at the first call. DataError."""
    try:
        if not path.exists():
            new = path.with_name(f".{path.name}.new")
            write_private(new, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
            new.replace(path)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or 'not text'}") from None
    if len(text) < 2 * SECRET_BYTES:
        raise DataError(f"{path}: holds no key; remove it, and everybody logs in anew")
    return text


class Sessions:
    """Cookies of one desk; they end after `hours`, with the operator's epoch, or when it is disabled."""

    def __init__(self, operators: Operators, secret: str, hours: float, secure: bool) -> None:
        self._operators = operators
        self._signer = URLSafeTimedSerializer(secret, salt="kanhu.desk.session")
        self._limit_s = int(hours * 3600)
        self.secure = secure
        self.cookie = SECURE_COOKIE if secure else COOKIE

    def begin(self, response: Response, operator: Operator) -> None:
        """Log an operator in with this response."""
        # A cookie of its own for each log-in: what a script on another site may plant is not made better.
        value = self._signer.dumps([operator.id, operator.epoch, secrets.token_hex(8)])
        response.set_cookie(
            self.cookie, value, max_age=self._limit_s, path="/",
            secure=self.secure, httponly=True, samesite="strict",
        )  # fmt: skip

    def end(self, response: Response) -> None:
        """Take the cookie back."""
        response.delete_cookie(self.cookie, path="/", secure=self.secure, httponly=True, samesite="strict")

    def who(self, request: HTTPConnection) -> Operator | None:
        """The operator of a request, as the registry has it now; None when nobody is logged in."""
        operator, _ = self.look(request)
        return operator

    def look(self, request: HTTPConnection) -> tuple[Operator | None, float]:
        """(operator or None, Unix time at which the log-in ends)."""
        value = request.cookies.get(self.cookie)
        if not value:
            return None, 0.0
        try:
            (name, epoch, _), since = self._signer.loads(value, max_age=self._limit_s, return_timestamp=True)
        except (BadData, ValueError, TypeError):
            return None, 0.0
        operator = self._operators.get(name) if isinstance(name, str) else None
        if operator is None or operator.disabled or operator.epoch != epoch:
            return None, 0.0
        return operator, since.timestamp() + self._limit_s

    def still(self, operator: Operator, until: float) -> Operator | None:
        """The same operator as the registry has it now, unless its log-in has ended meanwhile."""
        now = self._operators.get(operator.id)
        if now is None or now.disabled or now.epoch != operator.epoch or time.time() >= until:
            return None
        return now
