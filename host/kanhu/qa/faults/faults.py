"""Everything that can be made to go wrong on a bench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kanhu.sim.faults.heard import Spell

from .fault import Fault, FaultTrouble, Recorder, end_all
from .on_home import HomeFaults
from .on_host import HostFaults
from .on_hub import HubFaults
from .on_links import LinkFaults

if TYPE_CHECKING:
    from kanhu.qa.rig import Rig

__all__ = ["Fault", "FaultTrouble", "Faults", "Spell"]


class Faults(LinkFaults, HostFaults, HubFaults, HomeFaults):
    """Each method gives a fault that has not begun: `with fault.stall(), fault.daemon_kill(): ...`."""

    def __init__(self, rig: Rig, recorder: Recorder, seed: int = 0) -> None:
        super().__init__(rig, recorder, seed)

    def close(self) -> list[str]:
        """End every fault, the latest first, and undo what they prepared; what did not work, in words."""
        troubles = end_all(self.open)
        try:
            self.put_back()
        except Exception as error:  # said by the fixture, which fails by it
            troubles.append(f"not put back: {type(error).__name__}: {error}")
        return troubles
