"""The daemon's one TOML file: `kanhu run --config kanhu.toml`. docs/kanhu.example.toml explains each key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kanhu.errors import ConfigError
from kanhu.hosts import host_name


def _placed(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("a path has no NUL character")
    return info.context / path if info.context else path


Placed = Annotated[Path, AfterValidator(_placed)]  # relative to the file it stands in
Host = Annotated[str, AfterValidator(host_name)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tls(_Section):
    """A private CA and, where the other side asks for one, a certificate of our own; files in PEM."""

    ca_file: Placed
    cert_file: Placed | None = None
    key_file: Placed | None = None
    server_name: Host | None = None  # the broker's name in its certificate, where it is not `host`

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file come together")
        return self


class Broker(_Section):
    """An MQTT 3.1.1 broker: host, port, credential, TLS."""

    host: Host = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65535)
    username: str | None = None
    password_file: Placed | None = None
    tls: Tls | None = None

    def password(self) -> str | None:
        """The password's text, without the file's final newline; ConfigError when unreadable."""
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise ConfigError(f"password_file {self.password_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(
                f"password_file {self.password_file}: not UTF-8 text; write the password alone on one line"
            ) from None


class HubsBroker(Broker):
    """The hubs' broker, and its log where that is to be read for what it refused."""

    log_file: Placed | None = None


class Hubs(_Section):
    """Where hubs come in."""

    mqtt: HubsBroker | None = None
    serial: tuple[str, ...] = ()  # pyserial URLs
    heartbeat_s: int = Field(300, ge=1, le=86_400)
    missed_heartbeats: int = Field(3, ge=1, le=100)

    @field_validator("serial")
    @classmethod
    def _ports(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.strip() or not url.isprintable():
                raise ValueError(
                    f"{url!r} names no port; write one such as /dev/ttyUSB0 or socket://host:port"
                )
            if urls.count(url) > 1:
                raise ValueError(f"{url} stands there twice; a port is opened once")
        return urls


class Platform(_Section):
    """Where events go out. delivered_by="puback" is for a platform that cannot acknowledge."""

    mqtt: Broker | None = None
    delivered_by: Literal["ack", "puback"] = "ack"
    window: int = Field(200, ge=1, le=10_000)  # events awaiting acknowledgement, P1 not counted
    retry_s: float = Field(10.0, gt=0, le=3600)


class Embedded(_Section):
    """nats-server as a child of the daemon, for one home, tests and the demo."""

    enabled: bool = False
    host: Host = "127.0.0.1"
    port: int = Field(1883, ge=1, le=65535)
    users: bool = False  # everybody with a name, a password and topics of their own
    tls: Tls | None = None

    @model_validator(mode="after")
    def _certified(self) -> Self:
        if self.tls is not None and self.tls.cert_file is None:
            raise ValueError("tls needs the server's cert_file and key_file: kanhu pki issue")
        return self


class Metrics(_Section):
    """Prometheus metrics over HTTP."""

    enabled: bool = True
    host: Host = "127.0.0.1"
    port: int = Field(9464, ge=0, le=65535)


class Retention(_Section):
    """How long delivered events stay in the journal."""

    days: int = Field(400, ge=1)


class Log(_Section):
    """What is said, how, and where to."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    file: Placed | None = None  # instead of standard error


class Config(_Section):
    """Everything `kanhu run` needs; every key has a default except data_dir."""

    data_dir: Placed
    hubs: Hubs = Hubs()
    platform: Platform = Platform()
    broker: Embedded = Embedded()
    metrics: Metrics = Metrics()
    retention: Retention = Retention()
    log: Log = Log()


def parse(data: dict[str, object], origin: str, folder: Path | None = None) -> Config:
    """Check a parsed TOML document, its relative paths taken from folder; ConfigError names what is wrong."""
    try:
        return Config.model_validate(data, context=folder)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if item["type"] == "extra_forbidden":
                lines.append(f"{key}: no such key (see docs/kanhu.example.toml)")
            else:
                lines.append(f"{key}: {item['msg'].removeprefix('Value error, ')}")
        raise ConfigError(f"{origin}: " + "; ".join(lines)) from None


def load(path: Path) -> Config:
    """Read and check a TOML file; relative data_dir and files are taken from the file's own folder."""
    try:
        with path.open("rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; copy docs/kanhu.example.toml to start from") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; see docs/kanhu.example.toml") from None
    except ValueError as error:  # TOML's own, bytes that are no UTF-8, a number without end
        raise ConfigError(f"{path}: not TOML: {error}") from None
    return parse(data, str(path), path.parent.resolve())
