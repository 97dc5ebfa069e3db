"""A stimulus on a simulated bench, asked over its terminal as over a serial port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import serial

from kanhu.qa import stimulus_image
from kanhu.qa.radio import Radio
from kanhu.sim import Bench
from kanhu.sim.hub import Hub


class Refused(Exception):
    """The stimulus's own sentence."""


class Asked:
    """ask() sends a request and gives its answer; radio as the suite has it."""

    def __init__(self, bench: Bench, name: str = "stimulus") -> None:
        self.hub: Hub = bench.add_hub(name, files=stimulus_image.files())
        self.hub.wait_log('"stimulus"', 30)
        self._port = serial.Serial(str(Path(self.hub.tty)), timeout=30)
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self.radio = Radio(self.ask)

    def ask(self, do: str, **fields: Any) -> Any:
        self._number += 1
        self._port.write(json.dumps({"n": self._number, "do": do, **fields}).encode() + b"\n")
        while line := self._port.readline():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if found.get("n") != self._number:
                self.events.append(found)
            elif "error" in found:
                raise Refused(found["error"])
            else:
                return found["ok"]
        raise TimeoutError(f"no answer to {do}; {self.hub.log()[-1500:]}")

    def close(self) -> None:
        self._port.close()
