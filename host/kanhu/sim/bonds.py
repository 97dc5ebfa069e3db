"""The keys of a bond: pairing and encrypting for a hub that keeps its secrets itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bumble import hci
from bumble.device import Connection
from bumble.keys import KeyStore, MemoryKeyStore, PairingKeys
from bumble.pairing import PairingConfig, PairingDelegate

OURS, PEERS = 1, 2  # types of secret: NimBLE's BLE_STORE_OBJ_TYPE_OUR_SEC and _PEER_SEC
SECRET_SIZE = 80  # bytes; what NimBLE stores, and refuses in any other size
KEY_SIZE = 16  # bytes of the long term key
NO_INPUT_OUTPUT = 3
TIMEOUT_S = 30.0  # Core specification, Vol 3, Part H, 3.4
KEY_AT, AUTHENTICATED_AT = 20, 52  # where a secret has them here; to a hub it is opaque


def key(address: hci.Address) -> bytes:
    """Under what a secret is kept: address type, address least significant byte first."""
    return bytes((int(address.address_type),)) + bytes(address)


def config(
    bond: bool = True,
    mitm: bool = False,
    io: int = NO_INPUT_OUTPUT,
    delegate: PairingDelegate | None = None,
) -> PairingConfig:
    """How one side pairs; io as MicroPython's config(io=...), whose numbers are the security manager's."""
    return PairingConfig(
        sc=True,
        mitm=mitm,
        bonding=bond,
        delegate=delegate or PairingDelegate(PairingDelegate.IoCapability(io)),
        identity_address_type=PairingConfig.AddressType.RANDOM,  # else Bumble's is of zeros
    )


def just_works(connection: Connection) -> PairingConfig:
    """Of a peripheral that pairs with anybody."""
    return config()


async def pair(connection: Connection, config: PairingConfig) -> bytes:
    """Pair anew; the secret of 80 bytes. Bumble's errors when the peer refuses."""
    address = connection.peer_address  # replaced by what the peer calls itself
    connection.device.pairing_config_factory = lambda connection: config
    got: asyncio.Future[PairingKeys] = asyncio.get_running_loop().create_future()
    connection.once(connection.EVENT_PAIRING, got.set_result)
    async with asyncio.timeout(TIMEOUT_S):
        await connection.pair()
    return secret(address, await got)


def secret(address: hci.Address, keys: PairingKeys) -> bytes:
    """What a hub keeps of a pairing; ValueError if it made no key."""
    if keys.ltk is None:
        raise ValueError("the pairing made no long term key")
    kept = bytearray(SECRET_SIZE)
    kept[:7] = key(address)
    kept[KEY_AT : KEY_AT + KEY_SIZE] = keys.ltk.value
    kept[AUTHENTICATED_AT] = keys.ltk.authenticated
    return bytes(kept)


class AppKeys(KeyStore):
    """Keys that an application keeps: get(type, key) asks it for a secret."""

    def __init__(self, get: Callable[[int, bytes], Awaitable[bytes | None]]) -> None:
        self._get = get

    async def update(self, name: str, keys: PairingKeys) -> None:
        """The application is told of a pairing's keys by an event."""

    async def get(self, name: str) -> PairingKeys | None:
        found = await self._get(OURS, key(hci.Address(name)))
        if found is None or len(found) != SECRET_SIZE:
            return None
        return PairingKeys(ltk=PairingKeys.Key(found[KEY_AT : KEY_AT + KEY_SIZE]))

    async def get_all(self) -> list[tuple[str, PairingKeys]]:
        return []


async def encrypt(connection: Connection, secret: bytes) -> None:
    """Encrypt with a key of before. Bumble's errors when the peer does not have it."""
    store = connection.device.keystore = MemoryKeyStore()
    name = str(connection.peer_address)
    await store.update(name, PairingKeys(ltk=PairingKeys.Key(secret[KEY_AT : KEY_AT + KEY_SIZE])))
    await connection.encrypt()


def state(secret: bytes) -> tuple[bool, bool, bool, int]:
    """(encrypted, authenticated, bonded, key size) of a link encrypted with it."""
    return (True, bool(secret[AUTHENTICATED_AT]), True, KEY_SIZE)
