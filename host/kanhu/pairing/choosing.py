"""Which of the sensors that a hub hears a person may take."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from kanhu.registry import Registry, checks

from .values import Heard, PairingError, Window


def whose(registry: Registry, hub: str, address: bytes) -> str:
    """here (the hub has it), home (another hub of the home), elsewhere (another home); "": nobody's."""
    # A revoked hub has its sensors no more: who was given them must not have to ask its home.
    owners = [sensor.hub for sensor in registry.owners(address) if registry.knows(sensor.hub)]
    if hub in owners:
        return "here"
    home = registry.hub(hub).home
    if any(registry.hub(owner).home != home for owner in owners):
        return "elsewhere"
    return "home" if owners else ""


def choose(registry: Registry, window: Window, address: str, bind_key: bytes | None) -> Heard:
    """The one with this address, if it can be had and its key opens it; PairingError."""
    mac = checks.mac(address)
    found = window.heard.get(mac)
    if found is None:
        raise PairingError(
            f"sensor {address}: hub {window.hub} has not heard it; press its button or wake it near the hub",
            "not_heard",
        )
    if whose(registry, window.hub, mac) == "elsewhere":
        raise PairingError(f"sensor {found.mac}: belongs to another home; unpair it there first", "elsewhere")
    if found.advertised is None:
        if bind_key is not None:
            raise PairingError(f"sensor {found.mac}: does not encrypt; leave its key away", "no_key")
    elif bind_key is None:
        raise PairingError(
            f"sensor {found.mac}: encrypts; its key is needed (32 hexadecimal digits, from its app)",
            "key_needed",
        )
    elif not opens(bind_key, mac, found.advertised):
        raise PairingError(
            f"sensor {found.mac}: the key does not open what was heard of it; look again", "wrong_key"
        )
    return found


def opens(key: bytes, address: bytes, service: bytes) -> bool:
    """Whether a BTHome v2 bind key opens encrypted service data (bthome.io/encryption)."""
    at = 7 if service[0] & 2 else 1
    if len(service) < at + 8:
        return False
    mac = bytes(reversed(service[1:7])) if at == 7 else address
    nonce = mac + b"\xd2\xfc" + service[:1] + service[-8:-4]
    try:
        AESCCM(key, tag_length=4).decrypt(nonce, service[at:-8] + service[-4:], None)
    except InvalidTag:
        return False
    return True
