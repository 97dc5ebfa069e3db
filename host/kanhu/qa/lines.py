"""The bench's wiring as firmware/stimulus/lines.py has it, and the settings that a hub wired so needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kanhu.install.firmware import source_dir

Kind = Literal["open drain", "push-pull", "input", "load switch"]
FILE = Path("stimulus") / "lines.py"


@dataclass(frozen=True)
class Line:
    """One line between stimulus and hub; rest is its level when nobody asks for another, None: released."""

    name: str
    gpio: int  # of the stimulus
    kind: Kind
    rest: int | None
    hub_gpio: int | None  # None: no pin of the hub
    setting: str | None  # key in the hub's settings
    device: int  # in the hub's events; 0: the hub itself
    resistor: str  # in series, ohms
    note: str

    @property
    def drives(self) -> bool:
        """Whether the stimulus acts on the hub by it."""
        return self.kind != "input"

    @property
    def acts(self) -> int:
        """The level that is not rest: pressed, moving, no mains, no supply."""
        return 1 if self.rest == 0 else 0


def load_lines(source: bytes | str | Path) -> dict[str, Line]:
    """LINES of a lines.py, by running it."""
    if isinstance(source, Path):
        source = source.read_bytes()
    namespace: dict[str, Any] = {"__name__": "lines"}
    exec(compile(source, "lines.py", "exec"), namespace)  # noqa: S102  our own firmware
    return {name: Line(name, *row) for name, row in namespace["LINES"].items()}


def hub_settings(lines: Mapping[str, Line]) -> dict[str, Any]:
    """The settings of a hub that these lines go to, as the registry and a hub's config have them."""
    settings: dict[str, Any] = {}
    for line in lines.values():
        if line.setting == "buttons":
            settings.setdefault("buttons", []).append([line.device, line.hub_gpio, None])
        elif line.setting == "pirs":
            settings.setdefault("pirs", []).append([line.device, line.hub_gpio])
        elif line.setting:
            settings[line.setting] = line.hub_gpio
    return settings


LINES = load_lines(source_dir() / FILE)
HUB_SETTINGS = hub_settings(LINES)
