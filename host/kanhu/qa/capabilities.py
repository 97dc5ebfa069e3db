"""What a bench can do, by name, and how it comes to be able to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from kanhu.errors import KanhuError

# Wires of the stimulus board
PRESS, MOTION, MAINS, INDICATOR = "press", "motion", "mains", "indicator"
# Its radio
RADIO, MONITORS = "radio", "monitors"
# Supply and serial port of the hub
POWER, RESET, FLASH, EXEC, LOG, SERIAL_LINK = "power", "reset", "flash", "exec", "log", "serial_link"
# The way between hub and host
PROXY = "proxy"
# By code run on the board
FLASH_FULL = "flash_full"
# Simulation only
POWER_POINT, FAST_CLOCK, FLASH_COUNTER, WIFI = "power_point", "fast_clock", "flash_counter", "wifi"
DNS, HUB_CLOCK, AIR_STORM = "dns", "hub_clock", "air_storm"
# Silicon only
RADIO_RANGE, BROWN_OUT, FLASH_WEAR, HEAP, ELECTRICAL = (
    "radio_range", "brown_out", "flash_wear", "heap", "electrical",
)  # fmt: skip

SIMULATION = frozenset({POWER_POINT, FAST_CLOCK, FLASH_COUNTER, WIFI, DNS, HUB_CLOCK, AIR_STORM})
SILICON = frozenset({RADIO_RANGE, BROWN_OUT, FLASH_WEAR, HEAP, ELECTRICAL})

_STIMULUS = "add [stimulus] to bench.toml and wire its line to the hub (docs/bench.md)"
_SIMULATED = "run --target sim"
_SILICON = "run --target usb with real boards"
HOW: Mapping[str, str] = MappingProxyType(
    {
        PRESS: _STIMULUS,
        MOTION: _STIMULUS,
        MAINS: _STIMULUS,
        INDICATOR: _STIMULUS,
        RADIO: "add [stimulus] to bench.toml: its radio plays the sensors (docs/bench.md)",
        MONITORS: "add [stimulus] to bench.toml: its radio plays the health monitors (docs/bench.md)",
        POWER: "add [power] to bench.toml: the stimulus' load switch, uhubctl or a relay (docs/bench.md)",
        RESET: "use a serial port with DTR and RTS wired to EN and GPIO0",
        FLASH: "use a serial port with DTR and RTS wired to EN and GPIO0, and leave --no-flash out",
        EXEC: "use a serial port that reaches the hub's console",
        LOG: "use a serial port that reaches the hub's console",
        SERIAL_LINK: _SIMULATED,  # elsewhere the suite itself has the hub's only port
        PROXY: "let the hub reach this computer: [host] address in bench.toml",
        FLASH_FULL: "use a serial port that reaches the hub's console",
        **dict.fromkeys(SIMULATION, _SIMULATED),
        **dict.fromkeys(SILICON, _SILICON),
    }
)
KNOWN = frozenset(HOW)


class NeedsCapability(KanhuError):
    """The bench cannot do what was asked; .names says what is missing, why says it where no name does."""

    def __init__(self, *names: str, why: str = "") -> None:
        self.names = names
        super().__init__(why or "; ".join(map(missing, sorted(names))))


def missing(name: str) -> str:
    """Why a test that needs it does not run here, and what to do."""
    return f"this bench has no {name}: {HOW[name]}"


def check(names: Iterable[str]) -> frozenset[str]:
    """The names, each a known one; KanhuError names the first that is not."""
    found = frozenset(names)
    if strange := sorted(found - KNOWN):
        raise KanhuError(f"no capability {strange[0]!r}: there is {', '.join(sorted(KNOWN))}")
    return found
