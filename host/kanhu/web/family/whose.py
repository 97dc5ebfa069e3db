"""Who a reading is of: its monitor's wearer, the one of several whose number it says, or who was said."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kanhu.registry import Registry
from kanhu.registry.families import Families, wearers_of
from kanhu_protocol import names

from .measured import Measurement

UNNAMED = ""  # a monitor of whom nobody has said who wears it


class _Worn(NamedTuple):
    """A sensor under an index, while it was there (host UTC ms)."""

    from_ms: int
    until_ms: int
    role: int
    name: str
    people: list[str]


class Whose:
    """Of some hubs of one home, as the registry has it now."""

    def __init__(self, registry: Registry, families: Families, hubs: Iterable[str]) -> None:
        self._said: dict[str, dict[tuple[int, int], str]] = {}
        self._worn: dict[tuple[str, int], list[_Worn]] = {}
        roles = {name: number for number, name in names.ROLES.items()}
        for hub in hubs:
            self._said[hub] = families.wearers(hub)
            for row in registry.sensor_history(hub):
                self._worn.setdefault((hub, row["index"]), []).append(
                    _Worn(
                        row["added_ms"], row["removed_ms"] or 1 << 62, roles.get(row["role"], 0), row["name"],
                        wearers_of(row["wearer"]),
                    )
                )  # fmt: skip

    @property
    def roles(self) -> set[int]:
        """Of all sensors that are, or were, there (names.ROLES)."""
        return {one.role for worn in self._worn.values() for one in worn}

    @property
    def shared(self) -> list[tuple[str, int]]:
        """(hub, device) of every monitor that several people use."""
        return [where for where, worn in self._worn.items() if any(len(one.people) > 1 for one in worn)]

    def people(self, roles: Iterable[int]) -> list[str]:
        """Everybody who has a monitor of these roles now; UNNAMED stands for nobody's."""
        found = dict.fromkeys(
            person
            for worn in self._worn.values()
            if worn[-1].role in roles and worn[-1].until_ms == 1 << 62
            for person in (worn[-1].people or [UNNAMED])
        )
        return list(found)

    def sharing(self, one: Measurement) -> list[str]:
        """Who uses its monitor."""
        worn = self._of(one)
        return worn.people if worn else []

    def monitor(self, one: Measurement) -> tuple[str, int]:
        """(name that was given, role) of what it came from; ("", 0) when that is not known."""
        worn = self._of(one)
        return (worn.name, worn.role) if worn else ("", 0)

    def of(self, one: Measurement) -> str | None:
        """Who it is of; None: of one of several, and nobody has said of whom."""
        said = self._said.get(one.hub, {}).get((one.boot, one.seq))
        if said is not None:
            return said
        people = self.sharing(one)
        if len(people) < 2:
            return people[0] if people else UNNAMED
        return people[one.user - 1] if one.user and one.user <= len(people) else None

    def was_said(self, one: Measurement) -> bool:
        """Whether somebody has said whose it is."""
        return (one.boot, one.seq) in self._said.get(one.hub, {})

    def _of(self, one: Measurement) -> _Worn | None:
        worn = self._worn.get((one.hub, one.device), [])
        found = [each for each in worn if each.from_ms <= one.received_ms < each.until_ms]
        return found[-1] if found else worn[-1] if worn else None
