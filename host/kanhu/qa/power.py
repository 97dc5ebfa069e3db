"""The supply of a hub under test, switched by the stimulus, uhubctl or a USB relay (docs/bench.md)."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from typing import Protocol

import serial

from kanhu.errors import KanhuError
from kanhu.qa.bench_file import NoPower, PowerTable, RelayPower, StimulusPower, UhubctlPower
from kanhu.qa.capabilities import POWER, NeedsCapability

UHUBCTL_S = 30.0  # it waits for its hub, and asks it more than once
RELAY_BAUD = 9600  # LCUS-1 and its like
RELAY_S = 3.0
RELAY_HEAD = 0xA0
LINE = "power"  # of the stimulus; low cuts, released is on
PERMISSION = "see docs/bench.md, USB permissions"


class PowerTrouble(KanhuError):
    """The supply was not switched: one sentence that says what to do."""


class Supply(Protocol):
    """One hub's supply. At rest, and with nobody there who switches it, it is on."""

    kind: str

    def switch(self, on: bool) -> None:
        """Restore or cut it; PowerTrouble. The switch has been told then; the chip may live a moment on."""


class Lines(Protocol):
    """What is needed of a stimulus (kanhu.qa.stimulus)."""

    def set(self, line: str, level: int | None) -> int: ...


def of(table: PowerTable, stimulus: Lines | None = None) -> Supply:
    """The supply of a bench.toml's [power]."""
    match table:
        case StimulusPower():
            if stimulus is None:
                raise PowerTrouble('power.kind = "stimulus" needs a stimulus that answers')
            return StimulusSupply(stimulus)
        case UhubctlPower():
            found: Supply = UhubctlSupply(table.location, table.port)
        case RelayPower():
            found = RelaySupply(table.port, table.channel)
        case NoPower():
            return NoSupply()
    return Unfed(found, stimulus) if stimulus else found


class NoSupply:
    """Nothing can cut it; NeedsCapability."""

    kind = "none"

    def switch(self, on: bool) -> None:
        if not on:
            raise NeedsCapability(POWER)


class StimulusSupply:
    """A load switch at the stimulus' line `power`."""

    kind = "stimulus"

    def __init__(self, stimulus: Lines) -> None:
        self._stimulus = stimulus

    def switch(self, on: bool) -> None:
        self._stimulus.set(LINE, None if on else 0)


class Unfed:
    """Another supply beside a stimulus, which floats its outputs while the hub is off, as for a load switch:
    none of them feeds the hub through its pins."""

    def __init__(self, supply: Supply, stimulus: Lines) -> None:
        self.kind = supply.kind
        self._supply, self._stimulus = supply, stimulus

    def switch(self, on: bool) -> None:
        if not on:
            self._stimulus.set(LINE, 0)
        try:
            self._supply.switch(on)
        except PowerTrouble:
            self._stimulus.set(LINE, None)  # it has its supply, as far as anybody knows
            raise
        if on:
            self._stimulus.set(LINE, None)


class UhubctlSupply:
    """A socket of a USB hub with per-port power switching, by the program uhubctl."""

    kind = "uhubctl"

    def __init__(self, location: str, port: int, program: str = "uhubctl") -> None:
        self._location, self._port, self._program = location, port, program

    def switch(self, on: bool) -> None:
        action = "on" if on else "off"
        said = self._run("-l", self._location, "-p", str(self._port), "-a", action)
        state = _port_state(said, self._port)
        if state is None:
            raise PowerTrouble(
                f"uhubctl does not say that it switched port {self._port} of hub {self._location}: "
                f"{_last(said)}"
            )
        if state is not on:
            raise PowerTrouble(
                f"port {self._port} of hub {self._location} is {'off' if on else 'still on'} after uhubctl "
                f"-a {action}: use a hub from uhubctl's list of those that switch single ports"
            )

    def _run(self, *arguments: str) -> str:
        found = shutil.which(self._program)
        if found is None:
            raise PowerTrouble(
                "there is no program uhubctl: install it (Debian, Ubuntu: sudo apt install uhubctl; "
                "macOS: brew install uhubctl)"
            )
        try:
            done = subprocess.run(
                [found, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=UHUBCTL_S,
                text=True,
                errors="replace",
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PowerTrouble(
                f"uhubctl did not end in {UHUBCTL_S:.0f} s: unplug USB hub {self._location} and plug it in "
                "again"
            ) from None
        except OSError as error:
            raise PowerTrouble(f"{found} cannot be run: {error.strerror}") from None
        if "permission" in done.stdout.lower():  # it says so and may exit 0
            raise PowerTrouble(f"no permission for USB hub {self._location}: {PERMISSION}")
        if done.returncode != 0 or "No compatible devices" in done.stdout:
            raise PowerTrouble(
                f"uhubctl knows no switchable port {self._port} at location {self._location}: run uhubctl to "
                f"see what there is ({_last(done.stdout)})"
            )
        return done.stdout


def _port_state(said: str, port: int) -> bool | None:
    """Whether the last status line of that port says that it has power; None without one."""
    lines = re.findall(rf"^\s*Port {port}: ([0-9a-fA-F]{{4}})\s*(.*)$", said, re.MULTILINE)
    if not lines:
        return None
    return "power" in lines[-1][1].split()


def _last(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")


class RelaySupply:
    """A serial relay board whose contact NC carries the supply: pulled in, the supply is cut.

    It answers nothing, so that only the hub itself shows whether it was switched."""

    kind = "relay"

    def __init__(self, url: str, channel: int = 1) -> None:
        self._url, self._channel = url, channel

    def switch(self, on: bool) -> None:
        try:
            with serial.serial_for_url(
                self._url, RELAY_BAUD, timeout=RELAY_S, write_timeout=RELAY_S, exclusive=True
            ) as port:
                port.write(frame(self._channel, not on))
                port.flush()
        except serial.SerialTimeoutException:
            raise PowerTrouble(
                f"the relay at {self._url} takes no data: unplug it and plug it in again"
            ) from None
        except (serial.SerialException, OSError, ValueError) as error:
            raise PowerTrouble(_port_trouble(self._url, error)) from None


def frame(channel: int, pulled_in: bool) -> bytes:
    """What moves one relay: head, channel, state, and the sum of the three."""
    body = bytes((RELAY_HEAD, channel, int(pulled_in)))
    return body + bytes((sum(body) & 0xFF,))


def _port_trouble(url: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.EACCES or "Permission denied" in text:
        return f"no permission for the relay at {url}: {PERMISSION}"
    if "exclusively lock" in text or number == errno.EBUSY:
        return f"the relay at {url} is in use by another program: end that program"
    return f"no relay at {url}: plug it in, or put its port into bench.toml ({text})"
