"""Who may do what at a broker, for nats-server and mosquitto: every hub on its own topics, daemon, platform,
service platform.

Passwords are random (hubs' stand in the registry), so their hashes need few rounds: guessing is hopeless, and
ten thousand hubs that come back at once must not keep a broker busy hashing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import bcrypt

from kanhu.pki.files import write_private

from .checks import RegistryError
from .registry import PASSWORD_BYTES, Registry

Kind = Literal["nats", "mosquitto"]

DAEMON, PLATFORM, SERVICE = "kanhu", "platform", "service"  # user names
OWN_NAMES = {DAEMON: "daemon", PLATFORM: "platform", SERVICE: "service"}  # of their password files
BCRYPT_COST = 4  # the least there is; see above
PBKDF2_ROUNDS = 101  # mosquitto's own default
SALT_BYTES = 12
_HUBS = "kanhu/1/hubs/"
REFERRALS = "kanhu/1/referrals"


@dataclass(frozen=True)
class User:
    """A name, its password and the MQTT topic filters it may publish and subscribe to."""

    name: str
    password: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def new_password() -> str:
    """192 random bits as text."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def users(registry: Registry, daemon: str, platform: str, service: str) -> list[User]:
    """Daemon, platform, service platform and every hub that is not revoked; the texts are passwords."""
    found = [
        User(
            DAEMON,
            daemon,
            (f"{_HUBS}+/down", "kanhu/1/events/+", "kanhu/1/replies", REFERRALS),
            (f"{_HUBS}+/up/+", f"{_HUBS}+/availability", "kanhu/1/commands"),
        ),
        User(PLATFORM, platform, ("kanhu/1/commands",), ("kanhu/1/events/+", "kanhu/1/replies")),
        User(SERVICE, service, (), (REFERRALS,)),
    ]
    for hub in registry.hubs():
        if hub.revoked_ms is None:
            own = f"{_HUBS}{hub.id}/"
            publish = (f"{own}up/+", f"{own}availability")
            found.append(User(hub.id, registry.mqtt_password(hub.id), publish, (f"{own}down",)))
    return found


def users_of(registry: Registry, folder: Path) -> list[User]:
    """The same, with the passwords in folder, made at the first call; RegistryError."""
    return users(registry, *(kept_password(folder / f"{name}.password") for name in OWN_NAMES.values()))


# nats-server


def nats(found: Iterable[User], hashed: dict[str, str] | None = None) -> dict[str, Any]:
    """The `authorization` block; `hashed` keeps password -> bcrypt hash over calls."""
    hashed = {} if hashed is None else hashed
    rows = []
    for user in found:
        if user.password not in hashed:
            salt = bcrypt.gensalt(BCRYPT_COST)
            hashed[user.password] = bcrypt.hashpw(user.password.encode(), salt).decode()
        rows.append(
            {
                "user": user.name,
                "password": hashed[user.password],
                # On the server's own port the right to $MQTT.sub.> would be one to everybody's messages.
                "allowed_connection_types": ["MQTT"],
                "permissions": {
                    # An empty list of what is allowed would be no limit at all.
                    "publish": {"allow": [subject(topic) for topic in user.publish]}
                    if user.publish
                    else {"deny": [">"]},
                    # Its own way to hand QoS 1 messages to an MQTT client.
                    "subscribe": {"allow": [*map(subject, user.subscribe), "$MQTT.sub.>"]},
                },
            }
        )
    return {"users": rows}


def subject(topic: str) -> str:
    """A NATS subject for an MQTT topic filter of ours, which has neither dots nor blanks."""
    return topic.replace("/", ".").replace("+", "*").replace("#", ">")


# mosquitto


def mosquitto_passwords(found: Iterable[User]) -> str:
    """password_file: PBKDF2-SHA512, the `$7$` form of mosquitto_passwd."""
    lines = []
    for user in found:
        salt, digest = _pbkdf2(user.password)
        lines.append(f"{user.name}:$7${PBKDF2_ROUNDS}${salt}${digest}\n")
    return "".join(lines)


def mosquitto_acl(found: Iterable[User]) -> str:
    """acl_file. It does not look at SUBSCRIBE: a foreign one is granted, and nothing is ever delivered."""
    lines = []
    for user in found:
        lines += [f"user {user.name}", *(f"topic write {topic}" for topic in user.publish)]
        lines += [*(f"topic read {topic}" for topic in user.subscribe), ""]
    return "\n".join(lines)


def mosquitto_dynamic(found: Iterable[User]) -> dict[str, Any]:
    """The dynamic security plugin's file: a foreign SUBSCRIBE is refused, too."""
    clients, roles = [], []
    for user in found:
        salt, digest = _pbkdf2(user.password)
        clients.append(
            {
                "username": user.name,
                "password": digest,
                "salt": salt,
                "iterations": PBKDF2_ROUNDS,
                "roles": [{"rolename": user.name, "priority": 0}],
            }
        )
        rights = [("publishClientSend", topic) for topic in user.publish]
        rights += [
            (right, topic)
            for topic in user.subscribe
            for right in ("subscribePattern", "unsubscribePattern", "publishClientReceive")
        ]
        acls = [{"acltype": right, "topic": topic, "priority": 0, "allow": True} for right, topic in rights]
        roles.append({"rolename": user.name, "acls": acls})
    denied = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    return {
        "defaultACLAccess": dict.fromkeys(denied, False),
        "clients": clients,
        "groups": [],
        "roles": roles,
    }


def _pbkdf2(password: str) -> tuple[str, str]:
    salt = os.urandom(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS)
    return base64.b64encode(salt).decode(), base64.b64encode(digest).decode()


# Files


def kept_password(path: Path) -> str:
    """The password in a file of mode 0600; made at the first call. RegistryError."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            write_private(new, new_password().encode() + b"\n")
            new.replace(path)  # whole or not there: an empty password would let anybody in
        return path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RegistryError(f"{path}: {getattr(error, 'strerror', None) or 'not text'}") from None


def export(registry: Registry, kind: Kind, folder: Path) -> list[str]:
    """Write the broker's files (mode 0600) into folder, in place of those there; returns their names.

    {daemon,platform,service}.password are made once and kept: for [hubs.mqtt] password_file, for the city,
    and for the service platform."""
    found = users_of(registry, folder)
    if kind == "nats":
        files = {"users.conf": json.dumps(nats(found), indent=1) + "\n"}
    else:
        files = {
            "dynamic-security.json": json.dumps(mosquitto_dynamic(found), indent=1) + "\n",
            "passwords": mosquitto_passwords(found),
            "acl": mosquitto_acl(found),
        }
    for name, text in files.items():
        new = folder / f".{name}.new"
        try:
            write_private(new, text.encode())
            new.replace(folder / name)
        except OSError as error:
            raise RegistryError(f"{folder / name}: {error.strerror}") from None
    return [*files, *(f"{name}.password" for name in OWN_NAMES.values())]
