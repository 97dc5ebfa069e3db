"""Whether a board may be written, and what its NVS is to hold."""

from __future__ import annotations

from typing import Any

from kanhu.errors import KanhuError
from kanhu.install import release
from kanhu.install.bundle import Bundle
from kanhu.install.flash import judge
from kanhu.install.flash.plan import Plan
from kanhu.install.flash.troubles import Refused
from kanhu.journal.past import past
from kanhu.registry import Registry, checks
from kanhu.registry.boards import Allocation, BoardRow


def allowed(
    row: BoardRow | None, facts: dict[str, Any] | None, bundle: Bundle, plan: Plan, registry: Registry
) -> None:
    """Refused when the board is newer, or holds what nobody else has."""
    runs = str(facts["firmware"]) if facts else (row.version if row and row.state == "trusted" else "")
    if _release(runs) > bundle.number and not plan.allow_older:
        raise Refused(
            f"it runs {runs}, which is newer than {bundle.version}: build a newer bundle, "
            "or say --allow-older"
        )
    if plan.erase_data:
        return
    if facts is None:
        if row and row.state == "trusted" and in_service(row.hub, plan, registry):
            raise Refused(
                f"hub {row.hub} on it does not answer, so nobody knows what it still holds: read it out, "
                "or say --erase-data to give that up"
            )
        return
    hub, held = str(facts["hub"]), facts.get("held")
    if registry.remembers(hub) and not in_service(hub, plan, registry):
        return
    if row and row.hub == hub and _unbelieved(row, facts, registry):
        return  # what was broken off before left this key, and no host will ever open what it seals
    if not isinstance(held, dict):
        raise Refused(
            f"hub {hub} on it does not tell what it still holds: run it again, or say --erase-data to give "
            "that up"
        )
    # The start that made it answer was ours, and so is what the hub recorded of it.
    spans = [span for span in held["events"] if span[0] != facts.get("started") or not facts["started"]]
    left = judge.unstored(plan.data_dir, hub, spans)
    count = sum(last - first + 1 for _, first, last in spans) if left is None else left
    if count:
        where = "no host here has" if left is not None else "may be nowhere else (there is no journal here)"
        raise Refused(
            f"hub {hub} on it holds {count} events that {where}: let it reach its host until kanhu "
            "status shows none awaited, or say --erase-data to give them up"
        )


def values(bundle: Bundle, given: Allocation, plan: Plan, registry: Registry) -> dict[str, int | bytes]:
    """What a board's NVS is to hold, secrets among it; a hub without settings gets its board's usual ones."""
    usual = {**bundle.settings, **plan.settings}
    if usual and not registry.settings(given.hub):
        registry.set_settings(given.hub, usual)
    wifi = broker = None
    if plan.network:
        wifi = plan.network.wifi
        broker = (*plan.network.broker, given.hub, registry.mqtt_password(given.hub))
    ca = plan.network.ca if plan.network else b""
    found: dict[str, int | bytes] = {
        "hub_id": given.hub.encode(),
        "key": given.key,
        "generation": given.generation,
        "config": registry.hub_config(given.hub, wifi, broker, bool(ca)),
        "release": bundle.signer,
        "commission": given.commission,
    }
    if given.floor:
        found["boot"] = given.floor
    if ca:
        found["ca"] = ca
    return found


def pins(hub: str, registry: Registry) -> list[int]:
    """Pins of a hub's wiring."""
    settings = registry.settings(hub)
    rows = [row for key, default in checks.DEFAULT_WIRED.items() for row in settings.get(key, default)]
    single = [settings.get(name, default) for name, default in checks.DEFAULT_PINS.items()]
    return sorted({pin for pin in [*single, *(pin for row in rows for pin in row[1:])] if pin is not None})


def in_service(hub: str, plan: Plan, registry: Registry) -> bool:
    """Whether a host has heard it, or its home is a real one."""
    home = registry.home_of(hub)
    known = home is not None and bool(home.region or home.name or home.address)
    return known or past(plan.data_dir, hub).boot > 0


def _unbelieved(row: BoardRow, facts: dict[str, Any], registry: Registry) -> bool:
    """Whether a board runs the key of a work that did not come to its end."""
    known = {judge.fingerprint(key) for key in registry.keys(row.hub).values()}
    return row.state != "trusted" and facts.get("generation") == row.generation and facts["key"] not in known


def _release(version: str) -> int:
    try:
        return release.number(version)
    except KanhuError:
        return -1
