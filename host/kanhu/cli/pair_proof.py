"""A sensor that `kanhu pair` has chosen: its key, and its proof as it goes on."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import typer

from kanhu import requests
from kanhu.cli import bind_key as keys
from kanhu.cli.show import said
from kanhu.errors import KanhuError
from kanhu.pairing import PROOF_S
from kanhu.registry import checks
from kanhu.registry.sensors import MONITORS
from kanhu_protocol import names

LOOK_EVERY_S = 0.5
KEY_TRIES = 3
STAGES = {
    "waiting": "the hub is being told of the sensor",
    "asked": "the hub is being told to wait for the sensor",
    "stored": "kept at this host; waiting for the platform's receipt",
    "delivered": "the platform has it: proven",
}


def with_key(
    folder: Path, request: dict[str, Any], found: dict[str, Any], key: str | None, asks: bool
) -> dict[str, Any]:
    """The daemon's answer to a request for this sensor, with its key where it encrypts; asks: for that."""
    for left in range(KEY_TRIES, 0, -1):
        given = "-" if key is None and asks and found["encrypted"] else key
        try:
            secret = {} if given is None else {"bind_key": keys.read(given).hex()}
            return requests.ask(folder, {**request, **secret})
        except KanhuError as error:
            if not asks or not found["encrypted"] or left == 1:
                raise
            print(error, file=sys.stderr)
            key = None
    raise AssertionError("the last try has ended this")


def finish(folder: Path, made: dict[str, Any], no_proof: bool, as_json: bool, how: str) -> None:
    """Say what was made, prove it, and say how that ended."""
    hub, index = made["hub"], made["index"]
    if how and not as_json:
        print(f"{made['address']} {how} sensor {index} ({made['role']}) of hub {hub}")
    if no_proof:
        said(made, as_json, "not proven yet: kanhu pair prove " + f"{hub} {index}")
        return
    proof = requests.ask(folder, {"do": "pair.prove", "hub": hub, "index": index, "seconds": PROOF_S})
    try:
        proof = _proven(folder, made, proof, as_json)
    except BaseException:
        requests.ask(folder, {"do": "pair.close", "hub": hub})
        raise
    if as_json:
        print(json.dumps({**made, "proof": proof}, ensure_ascii=False))
        if proof["state"] == "failed":
            raise typer.Exit(1)
    elif proof["state"] == "failed":
        raise KanhuError(
            f"sensor {index} is not proven: {proof['why']}; again: kanhu pair prove {hub} {index}"
        )


def _proven(folder: Path, made: dict[str, Any], proof: dict[str, Any], as_json: bool) -> dict[str, Any]:
    told = ""
    while True:
        state = proof["state"]
        if state != told and not as_json and state != "failed":
            told = state
            print(_ready(made) if state == "ready" else STAGES[state], flush=True)
        if state in ("delivered", "failed"):
            return proof
        time.sleep(LOOK_EVERY_S)
        proof = requests.ask(folder, {"do": "pair.proof", "hub": made["hub"]})


def _ready(made: dict[str, Any]) -> str:
    role = made["role"]
    if role == names.ROLES[1]:
        return "the hub's lamp blinks twice: press the button once now; a second press would be a call"
    if role in ("motion", "door", "window", "visit"):
        return "use it now: walk past it, open the door or window, or press it"
    if checks.role(role) in MONITORS:
        return "measure now"
    return "wake it now (its own test would be a real alarm)"
