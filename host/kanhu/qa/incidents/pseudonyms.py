"""Names that stand in for real ones: the same for the same thing, and no use to whoever has only them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from kanhu_protocol.checks import ID_ALPHABET, ID_LENGTH

_MAC = re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b")


class Pseudonyms:
    """Stand-ins by a secret that stays where it is: without it nobody can try addresses until one fits.

    secret: the hub's key; None (a revoked hub has none): other stand-ins each time."""

    def __init__(self, hub: str, secret: bytes | None) -> None:
        self._hub = hub
        self._secret = secret or secrets.token_bytes(16)
        self._people: dict[str, str] = {}

    def _digest(self, what: str, value: bytes) -> bytes:
        return hmac.digest(self._secret, f"kanhu incident {what} 1\n".encode() + value, hashlib.sha256)

    @property
    def hub(self) -> str:
        """Of the hub itself, in a hub_id's form."""
        digest = self._digest("hub", self._hub.encode())
        return "".join(ID_ALPHABET[byte % 32] for byte in digest[:ID_LENGTH])

    def address(self, address: bytes) -> str:
        """Of a BLE address: locally administered, so it is nobody's."""
        return (b"\x02" + self._digest("address", address)[:5]).hex(":")

    def person(self, who: str | None) -> str | None:
        """Of whoever acted: op1, op2, ... in order of appearance."""
        return None if who is None else self._people.setdefault(who, f"op{len(self._people) + 1}")

    def text(self, text: str) -> str:
        """A text without the hub's id and with stand-ins for the addresses in it."""
        text = text.replace(self._hub, self.hub)
        return _MAC.sub(lambda found: self.address(bytes.fromhex(re.sub("[:-]", "", found.group()))), text)
