"""What the registry knows, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """A household; id is a pseudonym, what follows time_zone is personal and never leaves the registry."""

    id: str
    region: str | None  # path such as cn/42/01/06/03
    time_zone: str  # IANA
    name: str = ""
    address: str = ""
    phones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub; revoked ones stay known, so that their past keeps a home."""

    id: str
    home: str
    generation: int  # of its newest key
    table_version: int  # of its device table
    config_version: int
    created_ms: int
    revoked_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Sensor:
    """A BLE sensor in a hub's device table; role is a number of names.ROLES, address 6 bytes as printed."""

    hub: str
    index: int
    role: int
    address: bytes
    name: str = ""
    room: str = ""
    supervision_s: int = 0  # longest silence when well; 0: not known
    encrypted: bool = False  # it has a bind key, which stays in the registry
    wearer: str = ""  # of a health monitor
    table_version: int = 0  # of the first device table that holds it as it is
    paired_ms: int | None = None  # when its hub had that table
    proven_ms: int | None = None  # when something of it last came through to the platform, and was waited for

    @property
    def state(self) -> str:
        """asked (its hub does not hold it yet), paired or proven."""
        if self.paired_ms is None:
            return "asked"
        return "paired" if self.proven_ms is None else "proven"

    @property
    def mac(self) -> str:
        """The address as printed on the sensor."""
        return self.address.hex(":").upper()
