"""bench.toml: which boards stand on a bench, where, and how they are reached (docs/qa.md)."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from kanhu.errors import KanhuError
from kanhu.install import boards
from kanhu.install.flash import ports

PASSWORD = "KANHU_WIFI_PASSWORD"  # noqa: S105  # the variable's name
SIZE_MAX = 65_536  # bytes
_LOOPBACK = re.compile(r"(rfc2217|socket)://(localhost|127(\.\d+){3}|\[::1\])[:/]", re.IGNORECASE)


class BenchFileError(KanhuError):
    """bench.toml cannot be used: names the file, the key and what is expected."""


def _board(name: str) -> str:
    try:
        boards.load(name)
    except boards.BoardError as error:
        raise ValueError(str(error)) from None
    return name


def _address(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("must be an IPv4 address of this computer, such as 192.168.1.10") from None
    return text


def _mac(text: str) -> str:
    plain = ports.plain(text)
    if len(plain) != 12 or any(digit not in "0123456789abcdef" for digit in plain):
        raise ValueError("must be 12 hexadecimal digits, such as 240ac40000a1")
    return plain


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HostTable(_Strict):
    """[host]"""

    address: Annotated[str, AfterValidator(_address)] = "127.0.0.1"


class WifiTable(_Strict):
    """[wifi]"""

    name: Annotated[str, Field(min_length=1, max_length=32)]
    password: SecretStr | None = None

    def secret(self) -> str:
        """The password, of the file or of the environment; BenchFileError."""
        found = self.password.get_secret_value() if self.password else os.environ.get(PASSWORD)
        if found is None:
            raise BenchFileError(
                f"wifi.password: put it into bench.toml or into the environment as {PASSWORD}"
            )
        return found


class Place(_Strict):
    """[[hub]] and [stimulus]: a board and where it is; mac beside port or usb_serial: no other is written."""

    board: Annotated[str, AfterValidator(_board)]
    name: Annotated[str | None, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")] = None
    port: Annotated[str | None, Field(min_length=1)] = None
    mac: Annotated[str | None, AfterValidator(_mac)] = None
    usb_serial: Annotated[str | None, Field(min_length=1)] = None
    simulated: bool | None = None  # None: so it is when its port is a TCP port of this computer

    @model_validator(mode="after")
    def _one_way(self) -> Place:
        given = [self.port is not None, self.usb_serial is not None]
        if all(given) or not any([*given, self.mac is not None]):
            raise ValueError("say where it is by port, usb_serial or mac; mac may stand beside the others")
        return self

    @property
    def where(self) -> str:
        """What `ports.discover` finds it by."""
        return self.port or self.usb_serial or self.mac or ""

    @property
    def is_simulated(self) -> bool:
        """Whether no silicon is behind its port."""
        return bool(_LOOPBACK.match(self.where)) if self.simulated is None else self.simulated


class StimulusPower(_Strict):
    """The stimulus' line `power` leads to a load switch in the hub's supply."""

    kind: Literal["stimulus"]


class UhubctlPower(_Strict):
    """A USB hub that can switch its sockets."""

    kind: Literal["uhubctl"]
    location: Annotated[str, Field(pattern=r"^\d+(-\d+(\.\d+)*)?$")]  # as uhubctl prints it
    port: Annotated[int, Field(ge=1, le=32)]


class RelayPower(_Strict):
    """A USB relay board at a serial port."""

    kind: Literal["relay"]
    port: Annotated[str, Field(min_length=1)]
    channel: Annotated[int, Field(ge=1, le=16)] = 1


class NoPower(_Strict):
    """Nothing can cut the supply."""

    kind: Literal["none"]


PowerTable = Annotated[StimulusPower | UhubctlPower | RelayPower | NoPower, Field(discriminator="kind")]


class BenchFile(_Strict):
    """All of bench.toml."""

    wifi: WifiTable
    hub: Annotated[list[Place], Field(min_length=1)]
    host: HostTable = HostTable()
    stimulus: Place | None = None
    power: PowerTable = NoPower(kind="none")
    _path: Path = PrivateAttr(default=Path("bench.toml"))

    @model_validator(mode="after")
    def _fits(self) -> BenchFile:
        places = [*self.hub, *([self.stimulus] if self.stimulus else [])]
        where = [ports.plain(one.where) for one in places]
        if double := next((one.where for one in places if where.count(ports.plain(one.where)) > 1), None):
            raise ValueError(f"{double} stands there twice: each board needs a port of its own")
        names = [self.hub_name(index) for index in range(len(self.hub))]
        if len(set(names)) != len(names):
            raise ValueError("two hubs have the same name")
        if self.power.kind == "stimulus" and self.stimulus is None:
            raise ValueError('power.kind = "stimulus" needs a [stimulus]')
        return self

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return self._path

    def hub_name(self, index: int) -> str:
        """Of the index-th [[hub]]: its name, or hub, hub-2, ..."""
        return self.hub[index].name or ("hub" if index == 0 else f"hub-{index + 1}")


def load(path: Path) -> BenchFile:
    """The bench of a file; BenchFileError."""
    try:
        data = path.read_bytes()[: SIZE_MAX + 1]
    except OSError as error:
        raise BenchFileError(f"{path}: {error.strerror}") from None
    if len(data) > SIZE_MAX:
        raise BenchFileError(f"{path}: larger than {SIZE_MAX} bytes: this is no bench.toml")
    try:
        found = BenchFile.model_validate(tomllib.loads(data.decode()))
    except UnicodeDecodeError:
        raise BenchFileError(f"{path}: not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BenchFileError(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise BenchFileError(f"{path}: {where}: {said}" if where else f"{path}: {said}") from None
    found._path = path
    return found
