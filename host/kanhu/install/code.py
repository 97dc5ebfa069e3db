"""The code on a hub's label: its commissioning key, as a person reads and types it.

26 characters of Crockford base32 and one that checks them, in groups: `4W7B-0K2N-...`. I and L are read as 1,
O as 0; case, blanks and dashes do not matter."""

from __future__ import annotations

from kanhu.errors import KanhuError

KEY_BYTES = 16
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS = DIGITS + "*~$=U"  # of modulo 37: any one wrong character, and any two exchanged, are noticed
LENGTH = 27  # 128 bits in 26 characters, and the check
GROUP = 4
_SAME = str.maketrans({"O": "0", "I": "1", "L": "1"})
_IGNORED = " \t\r\n-_.·‐‑‒–—"  # what people and word processors put between groups


class ProvisionError(KanhuError):
    """What keeps a hub from being provisioned; one line that says what to do."""


def code(key: bytes) -> str:
    """The code of a 16-byte key, in groups of four."""
    if len(key) != KEY_BYTES:
        raise ValueError(f"a commissioning key has {KEY_BYTES} bytes")
    value = int.from_bytes(key, "big")
    text = "".join(DIGITS[value >> 5 * place & 31] for place in range(LENGTH - 2, -1, -1))
    text += CHECKS[value % 37]
    return "-".join(text[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def key(text: str) -> bytes:
    """The key that a code stands for; ProvisionError when it was not read right."""
    plain = "".join(char for char in text if char not in _IGNORED).upper().translate(_SAME)
    wrong = [char for char in plain[:-1] if char not in DIGITS] + [c for c in plain[-1:] if c not in CHECKS]
    if wrong:
        raise ProvisionError(f"code: {wrong[0]!r} stands in no code; read it from the label again")
    if len(plain) != LENGTH:
        raise ProvisionError(
            f"code: has {len(plain)} characters, {LENGTH} belong there; read it from the label again"
        )
    value = 0
    for char in plain[:-1]:
        value = value << 5 | DIGITS.index(char)
    if value >> 8 * KEY_BYTES or CHECKS[value % 37] != plain[-1]:
        raise ProvisionError("code: a character is wrong; read it from the label again")
    return value.to_bytes(KEY_BYTES, "big")
