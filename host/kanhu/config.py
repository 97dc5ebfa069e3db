"""The daemon's one TOML file: `kanhu run --config kanhu.toml`. docs/kanhu.example.toml explains each key."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

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
from kanhu_protocol import kinds as k
from kanhu_protocol import names
from kanhu_protocol.checks import is_id

MAX_DEADLINE_H = 8784  # a year


def _placed(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("a path has no NUL character")
    return info.context / path if info.context else path


Placed = Annotated[Path, AfterValidator(_placed)]  # relative to the file it stands in
Host = Annotated[str, AfterValidator(host_name)]


def secret_text(key: str, path: Path) -> str:
    """What stands in a file, without its final newline; ConfigError when unreadable."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        raise ConfigError(f"{key} {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{key} {path}: not UTF-8 text; write the password alone on one line") from None


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address of that name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web_address(url: str) -> str:
    """An https address, or an http one of this machine; ValueError."""
    parts = urlsplit(url)
    private = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    more = parts.query or parts.fragment or parts.username or parts.port == 0
    if not private or not parts.hostname or more:
        raise ValueError(f"{url!r}: write https://host[:port], or http:// for this machine alone")
    return url.rstrip("/")


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
        return None if self.password_file is None else secret_text("password_file", self.password_file)


class HubsBroker(Broker):
    """The hubs' broker, and its log where that is to be read for what it refused."""

    log_file: Placed | None = None


def minute_of_day(text: str) -> int:
    """0..1439 of "HH:MM"; ValueError."""
    hours, colon, minutes = text.partition(":")
    if not (colon and len(hours) == 2 and len(minutes) == 2 and (hours + minutes).isdecimal()):
        raise ValueError(f"{text!r} is no time of day; write HH:MM such as 22:00")
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError(f"{text!r} is no time of day; write 00:00 to 23:59")
    return int(hours) * 60 + int(minutes)


class Ble(_Section):
    """Hubs in range of this computer's own Bluetooth, while their network is gone."""

    enabled: bool = False
    hubs: tuple[str, ...] = ()  # these alone; none: all of the registry

    @field_validator("hubs")
    @classmethod
    def _ids(cls, hubs: tuple[str, ...]) -> tuple[str, ...]:
        for hub in hubs:
            if not is_id(hub):
                raise ValueError(f"{hub!r} is no hub; write ids as `kanhu registry hub list` shows them")
        return hubs


class Hubs(_Section):
    """Where hubs come in."""

    mqtt: HubsBroker | None = None
    serial: tuple[str, ...] = ()  # pyserial URLs
    ble: Ble = Ble()
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
    referrals: bool = False  # on a topic of their own too, for the service platform


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


class Escalation(_Section):
    """When an alarm that nobody accepts goes to street, district and city: seconds since it was raised."""

    p1: tuple[float, float, float] = (60, 180, 300)
    p2: tuple[float, float, float] = (600, 1800, 3600)
    others: tuple[float, float, float] = (14_400, 86_400, 259_200)
    quiet_hours: tuple[str, str] = ("22:00", "07:00")  # of the home; hold back only what is neither p1 nor p2

    @field_validator("p1", "p2", "others")
    @classmethod
    def _rise(cls, seconds: tuple[float, ...]) -> tuple[float, ...]:
        if not 0 < seconds[0] <= seconds[1] <= seconds[2] <= 31_536_000:
            raise ValueError("write three numbers of seconds above 0 that do not fall: [60, 180, 300]")
        return seconds

    @field_validator("quiet_hours")
    @classmethod
    def _times(cls, hours: tuple[str, str]) -> tuple[str, str]:
        for text in hours:
            minute_of_day(text)
        return hours

    def of(self, event_class: int) -> tuple[float, float, float]:
        """Of one class 1..5."""
        return self.p1 if event_class == 1 else self.p2 if event_class == 2 else self.others

    def is_quiet(self, minute: int) -> bool:
        """Whether a minute of the home's day is in the quiet hours; the same time twice: never."""
        begin, end = (minute_of_day(text) for text in self.quiet_hours)
        return begin <= minute < end if begin <= end else not end <= minute < begin


class Incidents(_Section):
    """When faults of one kind become one incident: so many hubs of one region, within so long."""

    hubs: int = Field(20, ge=2, le=100_000)
    within_s: float = Field(60.0, gt=0, le=3600)


class Care(_Section):
    """What is done about homes, alarms and faults."""

    ask_s: float = Field(
        600.0, ge=1, le=3600
    )  # how long the elder is asked before a rule's finding is an alarm
    escalation: Escalation = Escalation()
    deadlines: dict[str, float] = {}  # hours by name of the fault, where they are not the usual ones
    incidents: Incidents = Incidents()

    @field_validator("deadlines")
    @classmethod
    def _are_faults(cls, hours: dict[str, float]) -> dict[str, float]:
        kinds = {*names.RESTORAL, k.SENSOR_DOUBTED} - {k.INCIDENT_OPENED}
        known = sorted(names.KINDS[kind] for kind in kinds)
        for name, each in hours.items():
            if name not in known:
                raise ValueError(f"{name!r} has no deadline; write one of {', '.join(known)}")
            if not 0 < each <= MAX_DEADLINE_H:
                raise ValueError(f"{name}: write hours above 0, at most {MAX_DEADLINE_H}")
        return hours


class WebTls(_Section):
    """The web server's certificate and key, in PEM."""

    cert_file: Placed
    key_file: Placed


class Web(_Section):
    """The web server of the call desk and of the families' page."""

    host: Host = "127.0.0.1"
    port: int = Field(8460, ge=0, le=65535)
    tls: WebTls | None = None
    public_url: str | None = None  # how browsers name it, where a proxy stands in front
    proxies: tuple[str, ...] = ()  # addresses of proxies that say who asks (X-Forwarded-For, -Proto)

    @property
    def is_private(self) -> bool:
        """Whether what browsers send can be read by nobody on the way."""
        return self.is_https or is_loopback(self.host)

    @property
    def is_https(self) -> bool:
        """Whether browsers speak HTTPS to it."""
        return self.tls is not None or (self.public_url or "").startswith("https:")

    @field_validator("public_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        return None if url is None else web_address(url)

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, found: tuple[str, ...]) -> tuple[str, ...]:
        for one in found:
            ipaddress.ip_network(one)  # ValueError says what is wrong
        return found


class Oidc(_Section):
    """An OpenID provider, and which of its claims say what an operator may do and see."""

    issuer: str
    client_id: str = Field(min_length=1)
    client_secret_file: Placed | None = None  # none: a public client, which PKCE alone proves
    scopes: tuple[str, ...] = ("openid", "profile")
    role_claim: str = "kanhu_role"
    region_claim: str = "kanhu_region"
    name_claim: str = "name"
    roles: dict[str, str] = {}  # the provider's names of roles: ours
    ca_file: Placed | None = None  # of the provider's certificate, where it is a private one

    @field_validator("issuer")
    @classmethod
    def _private(cls, url: str) -> str:
        return web_address(url)

    def client_secret(self) -> str | None:
        """The secret's text; ConfigError when unreadable."""
        path = self.client_secret_file
        return None if path is None else secret_text("client_secret_file", path)


class Desk(_Section):
    """The call desk's pages and API (`[web]` says where)."""

    enabled: bool = False
    time_zone: str = "Asia/Shanghai"  # in which a day of figures begins
    session_hours: float = Field(12.0, gt=0, le=168)
    region_names: Placed | None = None  # a file (TOML): what people call regions
    oidc: Oidc | None = None

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no time zone; write a name such as Asia/Shanghai") from None
        return name


class Family(_Section):
    """The families' page (`[web]` says where)."""

    enabled: bool = False


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
    care: Care = Care()
    web: Web = Web()
    desk: Desk = Desk()
    family: Family = Family()
    log: Log = Log()

    @model_validator(mode="after")
    def _pages_are_private(self) -> Self:
        if (self.desk.enabled or self.family.enabled) and not self.web.is_private:
            raise ValueError(
                'passwords would travel in the clear: set [web.tls], or web.public_url = "https://.." '
                "where a proxy in front has the certificate"
            )
        if self.desk.oidc is not None and self.web.public_url is None:
            raise ValueError(
                "desk.oidc needs web.public_url: the address that the provider sends browsers back to"
            )
        return self


MOVED = frozenset(f"desk.{key}" for key in Web.model_fields)  # they stood there once


def parse(data: dict[str, object], origin: str, folder: Path | None = None) -> Config:
    """Check a parsed TOML document, its relative paths taken from folder; ConfigError names what is wrong."""
    try:
        return Config.model_validate(data, context=folder)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"])
            if key in MOVED:
                lines.append(f"{key}: is now web.{key.removeprefix('desk.')}")
            elif item["type"] == "extra_forbidden":
                lines.append(f"{key}: no such key (see docs/kanhu.example.toml)")
            else:
                said = item["msg"].removeprefix("Value error, ")
                lines.append(f"{key}: {said}" if key else said)
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
