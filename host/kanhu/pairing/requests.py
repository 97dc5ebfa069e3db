"""What a daemon does when `kanhu pair` asks it (kanhu.requests)."""

from __future__ import annotations

from typing import Any

from kanhu.errors import DataError
from kanhu.pairing.pairing import Pairing
from kanhu.pairing.values import Proof, Window
from kanhu.registry import Sensor, checks
from kanhu.requests import Handler
from kanhu_protocol import names


def handler(pairing: Pairing) -> Handler:
    """Carries out requests `pair.*`; KanhuError says why not."""

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        do, hub = str(request.get("do", "")), str(request.get("hub", ""))
        if do == "pair.open":
            return _window(pairing, await pairing.open(hub, int(request["seconds"])))
        if do == "pair.heard":
            return _window(pairing, pairing.window(hub))
        if do == "pair.close":
            await pairing.close(hub)
            return {}
        if do in ("pair.pair", "pair.replace"):
            key = checks.bind_key(request["bind_key"]) if request.get("bind_key") else None
            address = str(request["address"])
            if do == "pair.replace":
                return sensor_row(pairing.replace(hub, int(request["index"]), address, key))
            more = {what: str(request.get(what, "")) for what in ("role", "name", "room", "wearer")}
            made = pairing.pair(
                hub, address, bind_key=key, supervision_s=int(request.get("supervision_s", 0)), **more
            )
            return sensor_row(made)
        if do == "pair.prove":
            return _proof(await pairing.prove(hub, int(request["index"]), int(request["seconds"])))
        if do == "pair.proof":
            return _proof(pairing.proof(hub))
        raise DataError("the daemon does not know this request: is it of another version?")

    return handle


def sensor_row(sensor: Sensor) -> dict[str, Any]:
    """A sensor as plain values."""
    return {
        "hub": sensor.hub, "index": sensor.index, "role": names.ROLES.get(sensor.role, str(sensor.role)),
        "address": sensor.mac, "name": sensor.name, "room": sensor.room, "wearer": sensor.wearer,
        "encrypted": sensor.encrypted, "state": sensor.state, "paired_ms": sensor.paired_ms,
        "proven_ms": sensor.proven_ms,
    }  # fmt: skip


def _window(pairing: Pairing, window: Window) -> dict[str, Any]:
    return {
        "hub": window.hub, "state": window.state, "why": window.why, "ends_ms": window.ends_ms,
        "heard": [
            {
                "address": one.mac, "role": names.ROLES.get(one.role or 0), "name": one.name,
                "rssi_dbm": one.rssi, "battery_percent": one.battery,
                "encrypted": one.advertised is not None, "heard_ms": one.heard_ms,
                "whose": pairing.whose(window.hub, one.address),
            }
            for one in pairing.heard(window.hub)
        ],
    }  # fmt: skip


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "hub": proof.sensor.hub, "index": proof.sensor.index, "state": proof.state, "why": proof.why,
        "code": getattr(proof.why, "code", ""),
        "ends_ms": proof.ends_ms, "event": names.KINDS.get(proof.kind), "happened_ms": proof.happened_ms,
        "stored_ms": proof.stored_ms, "delivered_ms": proof.delivered_ms,
    }  # fmt: skip
