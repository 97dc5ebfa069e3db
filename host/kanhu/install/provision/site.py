"""What the registry has to say of a hub that is provisioned, and what it learns: where its home is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kanhu.install.code import ProvisionError
from kanhu.registry import Registry, checks

OVER_THE_AIR = ("ntp", "apn", "modem")  # settings that a trial needs from the registry


@dataclass(frozen=True)
class Place:
    """Where a hub is put; None: nothing is said of it. home: the pseudonym of one that is there."""

    home: str | None = None
    region: str | None = None
    name: str | None = None
    address: str | None = None
    time_zone: str | None = None
    phones: Sequence[str] | None = None

    @property
    def described(self) -> bool:
        """Whether anything is said of the home itself."""
        return any(
            one is not None for one in (self.region, self.name, self.address, self.time_zone, self.phones)
        )

    def check(self) -> None:
        """RegistryError when something cannot be so."""
        checks.region(self.region)
        if self.time_zone is not None:
            checks.time_zone(self.time_zone)
        for text, what in ((self.name, "name"), (self.address, "address")):
            checks.plain_text(text or "", what)
        for phone in self.phones or ():
            checks.phone(phone)


def settle(registry: Registry, hub_id: str, place: Place) -> str:
    """Put the hub there; returns the home's pseudonym. Either all of it, or RegistryError and nothing."""
    place.check()
    if place.home is not None:
        registry.move_hub(hub_id, place.home)
    home = registry.hub(hub_id).home
    if place.described:
        registry.set_home(home, place.region, place.time_zone, place.name, place.address, place.phones)
    return home


def more(registry: Registry, hub_id: str, network: str | None, apn: str | None) -> dict[str, Any]:
    """Settings of the registry that go along; what is given here is written there, too."""
    settings = registry.settings(hub_id)
    wanted = dict(settings)
    if network is not None:
        wanted["network"] = network
    if apn is not None:
        wanted["apn"] = apn
    if wanted != settings:
        registry.set_settings(hub_id, wanted)
    return {key: wanted[key] for key in OVER_THE_AIR if key in wanted}


def needs_time(registry: Registry, hub_id: str) -> None:
    """A hub that is to judge certificates after a power cut must be able to ask for the time."""
    if registry.settings(hub_id).get("ntp") is None:
        raise ProvisionError(
            f"hub {hub_id} needs the time before it can judge a certificate: kanhu registry hub settings "
            f"{hub_id} "
            "'ntp=[\"pool.ntp.org\",123]'"
        )
