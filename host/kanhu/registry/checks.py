"""What a person may enter: each check returns the value in its one form, or raises one clear line."""

from __future__ import annotations

import json
import re
import time
from importlib import resources
from typing import Any
from zoneinfo import TZPATH, ZoneInfo

from kanhu.errors import KanhuError
from kanhu_protocol import names
from kanhu_protocol.checks import ID_LENGTH, is_id

MAX_TEXT = 200  # characters of a name, room or address
MAX_SUPERVISION_S = 30 * 86_400
MIN_HEARTBEAT_S, MAX_HEARTBEAT_S = 5, 86_400
MAX_PIR_WARM_UP_S = 600
MAX_FALL_ASK_S = 600
MAX_PROOF_S = 7 * 86_400
MAX_PIN = 48  # highest GPIO of an ESP32-S3
MAX_SSID = 32  # bytes (IEEE 802.11, 9.4.2.2)
_REGION = re.compile(r"[a-z]{2}(/[0-9a-z]{1,16}){0,8}")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(([:-])[0-9A-Fa-f]{2})(\2[0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{12}")
_APN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")  # 3GPP TS 23.003, 9.1
UARTS = (1, 2)  # 0 is the console
BAUDS = (9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{1,30}")


class RegistryError(KanhuError):
    """What was asked for is not possible; one line that says why and what is."""


def now_ms() -> int:
    """Host UTC in ms."""
    return time.time_ns() // 1_000_000


def identifier(text: str, what: str) -> str:
    """A hub_id or pseudonym of a home."""
    if not is_id(text):
        raise RegistryError(
            f"{what} {text!r}: must be {ID_LENGTH} characters of 0-9 and a-z without i, l, o and u, "
            "such as 7m3k0xq2fz"
        )
    return text


def region(text: str | None) -> str | None:
    """A region path, or None."""
    if text and not _REGION.fullmatch(text):
        raise RegistryError(f"region {text!r}: must be a path from country down, such as cn/42/01/06/03")
    return text or None


def time_zone(text: str) -> str:
    """An IANA time zone."""
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        hint = (
            "such as Asia/Shanghai" if _have_zones() else "but this machine has no time zones: install tzdata"
        )
        raise RegistryError(f"time zone {text!r}: must be a name of the IANA list, {hint}") from None
    return text


def _have_zones() -> bool:
    try:
        return bool(TZPATH) or resources.is_resource("tzdata", "zones")
    except ModuleNotFoundError:
        return False


def mac(text: str) -> bytes:
    """Six bytes of a BLE address as printed."""
    match = _MAC.fullmatch(text.strip())
    if not match:
        raise RegistryError(
            f"address {text!r}: must be six bytes as printed on the sensor, such as A4:C1:38:0B:5E:9D"
        )
    address = bytes.fromhex(re.sub("[:-]", "", match.group()))
    if address in (bytes(6), b"\xff" * 6):
        raise RegistryError(f"address {text!r}: no sensor has this address")
    return address


def bind_key(text: str) -> bytes:
    """The 16 bytes of a sensor's key; what was entered is not repeated in the error."""
    digits = re.sub(r"[\s:-]", "", text)
    if not re.fullmatch(r"[0-9A-Fa-f]{32}", digits) or not int(digits, 16):
        raise RegistryError("bind key: must be the 32 hexadecimal digits that the sensor's app shows")
    return bytes.fromhex(digits)


def role(text: str) -> int:
    """The number of a role."""
    for number, name in names.ROLES.items():
        if name == text:
            return number
    raise RegistryError(f"role {text!r}: must be one of {', '.join(names.ROLES.values())}")


def plain_text(text: str, what: str) -> str:
    """A line for people."""
    text = text.strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise RegistryError(f"{what}: must be one line of at most {MAX_TEXT} characters")
    return text


def phone(text: str) -> str:
    """A telephone number."""
    if not _PHONE.fullmatch(text.strip()):
        raise RegistryError(f"telephone {text!r}: must be digits, such as +86 27 8888 1234")
    return text.strip()


def supervision(seconds: int) -> int:
    """A supervision period in seconds; 0 is unknown."""
    if not 0 <= seconds <= MAX_SUPERVISION_S:
        raise RegistryError(f"supervision {seconds} s: must be 0 (not known) to {MAX_SUPERVISION_S}")
    return seconds


def device_index(index: int) -> int:
    """A device's number at its hub."""
    if not 0 < index < 256:
        raise RegistryError(f"index {index}: must be 1 to 255")
    return index


# Settings of a hub that are no secrets (contracts, section 6), and what they must be.
def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _pin(value: Any) -> bool:
    return _whole(value) and value <= MAX_PIN


def _rows(size: int, last_may_lack: bool) -> Any:
    def check(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(row, list)
            and len(row) == size
            and all(
                _pin(item) or (last_may_lack and place == 1 and item is None)
                for place, item in enumerate(row[1:])
            )
            and _whole(row[0])
            and 0 < row[0] < 256
            for row in value
        )

    return check


def _places(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key.isascii()
        and key.isdecimal()
        and 0 < int(key) < 256
        and str(int(key)) == key
        and isinstance(place, list)
        and len(place) == 2
        and all(isinstance(text, str) and len(text) <= MAX_TEXT and text.isprintable() for text in place)
        for key, place in value.items()
    )


def _modem(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(map(_whole, value))
        and value[0] in UARTS
        and all(map(_pin, value[1:3]))
        and value[3] in BAUDS
    )


_SETTINGS: dict[str, tuple[Any, str]] = {
    "links": (
        lambda value: (
            isinstance(value, list)
            and bool(value)
            and all(item in ("mqtt", "serial", "ble") for item in value)
        ),
        'a list of "mqtt", "serial" and "ble"',
    ),
    "ntp": (
        lambda value: (
            value is None
            or (
                isinstance(value, list)
                and len(value) == 2
                and isinstance(value[0], str)
                and value[0]
                and _whole(value[1])
            )
        ),
        "[host, port] or null",
    ),
    "network": (lambda value: value in ("wifi", "ppp"), '"wifi" or "ppp"'),
    "apn": (
        lambda value: isinstance(value, str) and bool(_APN.fullmatch(value)),
        "the access point name of the SIM card's network, such as cmnet; at most 63 letters, digits, - and .",
    ),
    "modem": (
        _modem,
        "[UART, TX pin, RX pin, baud] of a cellular modem, such as [1,17,18,115200]; UART 1 or 2",
    ),
    "buttons": (
        _rows(3, True),
        "a list of [device, pin, pin of the supervised line or null], such as [[1,4,5]]",
    ),
    "pirs": (_rows(2, False), "a list of [device, pin], such as [[2,13]]"),
    "pir_warm_up": (
        lambda value: _whole(value) and value <= MAX_PIR_WARM_UP_S,
        f"seconds, 0 to {MAX_PIR_WARM_UP_S}",
    ),
    "lamp": (_pin, f"a pin number, 0 to {MAX_PIN}"),
    "buzzer": (_pin, f"a pin number, 0 to {MAX_PIN}"),
    "mains": (lambda value: value is None or _pin(value), f"a pin number, 0 to {MAX_PIN}, or null"),
    "cancel": (lambda value: value is None or _pin(value), f"a pin number, 0 to {MAX_PIN}, or null"),
    "fall_ask": (lambda value: _whole(value) and value <= MAX_FALL_ASK_S, f"seconds, 0 to {MAX_FALL_ASK_S}"),
    "proof": (lambda value: _whole(value) and value <= MAX_PROOF_S, f"seconds, 0 (never) to {MAX_PROOF_S}"),
    "places": (
        _places,
        'rooms and names of wired inputs by device, such as {"2":["kitchen","by the door"]}; they stay here',
    ),
    "heartbeat": (
        lambda value: _whole(value) and MIN_HEARTBEAT_S <= value <= MAX_HEARTBEAT_S,
        f"seconds, {MIN_HEARTBEAT_S} to {MAX_HEARTBEAT_S}",
    ),
}
# What a hub has when its settings do not say (firmware/kanhu_hub/config.py).
DEFAULT_PIR_WARM_UP_S = 60
DEFAULT_LINKS = ["mqtt"]
DEFAULT_MODEM = [1, 17, 18, 115_200]
DEFAULT_WIRED = {"buttons": [[1, 4, None]], "pirs": [[2, 13]]}
DEFAULT = object()  # the value of a setting that is to be the default again
DEFAULT_PINS = {"lamp": 2, "buzzer": 15, "mains": None, "cancel": None}
STAYS_HERE = ("places",)  # settings that the hub is not told


def settings(given: Any) -> dict[str, Any]:
    """A hub's settings without secrets."""
    if not isinstance(given, dict):
        raise RegistryError(f"settings: must be a JSON object with any of {', '.join(_SETTINGS)}")
    for key, value in given.items():
        if key not in _SETTINGS:
            raise RegistryError(
                f"setting {key!r}: there is none of this name; there are {', '.join(_SETTINGS)}"
            )
        check, expected = _SETTINGS[key]
        if not check(value):
            raise RegistryError(f"setting {key}: must be {expected}")
    wired = wired_devices(given)
    if len(wired) != len(set(wired)):
        raise RegistryError("settings: two wired inputs have the same device number")
    pins = [given.get(key, default) for key, default in DEFAULT_PINS.items()]
    for key, rows in DEFAULT_WIRED.items():
        pins += [pin for row in given.get(key, rows) for pin in row[1:]]
    if given.get("network") == "ppp":
        pins += given.get("modem", DEFAULT_MODEM)[1:3]
    for pin in pins:
        if pin is not None and pins.count(pin) > 1:
            raise RegistryError(f"settings: pin {pin} is taken twice (docs/wiring.md has the default pins)")
    return given


def setting(text: str) -> tuple[str, Any]:
    """(key, value) of KEY=VALUE, the value in JSON or, left empty, DEFAULT."""
    key, equals, value = text.partition("=")
    if not equals or key not in _SETTINGS:
        raise RegistryError(f"{text!r}: write KEY=VALUE with KEY one of {', '.join(_SETTINGS)}")
    try:
        return key, json.loads(value) if value else DEFAULT
    except (ValueError, RecursionError):
        raise RegistryError(f"setting {key}: must be {_SETTINGS[key][1]}") from None


def wifi(ssid: str, password: str) -> tuple[str, str]:
    """Name and passphrase of a wireless network; an empty passphrase is an open one."""
    if not (ssid + password).isprintable():  # a terminal's bytes that are no UTF-8 among others
        raise RegistryError("Wi-Fi: name and password must be printable text in UTF-8")
    if not 0 < len(ssid.encode()) <= MAX_SSID:
        raise RegistryError(f"Wi-Fi {ssid!r}: a network's name has 1 to {MAX_SSID} bytes")
    if password and not 8 <= len(password.encode()) <= 63:
        raise RegistryError("Wi-Fi password: must be 8 to 63 characters, or empty for an open network")
    return ssid, password


def endpoint(text: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = text.rpartition(":")
    if not host or not host.isprintable() or not port.isdecimal() or not 0 < int(port) < 65536:
        raise RegistryError(f"broker {text!r}: write HOST:PORT, such as 192.168.1.10:1883")
    return host, int(port)


def wired_devices(given: dict[str, Any]) -> list[int]:
    """Device numbers that the hub's own wires take."""
    return [row[0] for key, default in DEFAULT_WIRED.items() for row in given.get(key, default)]
