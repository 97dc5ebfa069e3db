"""How a monitor behaves apart from what it measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass
class Manners:
    """May be changed while the monitor lives; seconds are of this computer, whatever a hub's speed."""

    advertise_s: float = 30.0  # on the air after a measurement, unless connected
    awake_s: float = 0.0  # then it is off, whatever is under way; 0: no such limit
    linger_s: float = 5.0  # of silence from the hub, and it hangs up
    hang_up_s: float | None = 0.5  # after the last confirmation, and it hangs up; None: only by linger_s
    settle_s: float = 0.05  # between being enabled and the first indication
    bonding: bool = True  # demands an encrypted link for measurements and clock
    asks_for_security: bool = False  # sends a security request when connected
    hangs_up_paired: bool = False  # disconnects to finish pairing
    pairs: Literal["always", "once", "never"] = "always"  # once: with a bond, only in pairing mode
    one_host: bool = False  # a new bond replaces the one before
    clock: Literal["current_time", "date_time"] | None = "current_time"
    clock_set: bool = True  # until it is written
    clock_offset_s: float = 0.0  # its clock less UTC
    stores: int = 30  # measurements not yet collected; the oldest makes room
    drops: int = 0  # so many times the link is lost between an indication and its confirmation
    chatty_s: float = 0.0  # says its last measurement again so often, and never hangs up
    battery: int = 90  # percent
    maker: str = "Kanhu"
    model: str = ""  # and its name on the air; default: the profile's
    odd: bool = False  # a cuff or a scale that encodes as some do, not as its profile says
