"""Faults of the TCP connections to the broker: the hubs', the daemon's or the city's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from kanhu.qa.capabilities import PROXY

from .fault import Fault
from .link_faults import Cut, HalfOpen, LinkFault, Lossy, Mute, Refuse, Reset, Slow, Stall
from .proxy import FaultProxy
from .stage import Stage

Line = Literal["hub", "daemon", "city"]


class LinkFaults(Stage):
    """line: whose connections; all hubs of a bench share theirs."""

    def cut(self, line: Line = "hub") -> Fault:
        """Connections are reset, now and anew."""
        return self._link("cut", Cut(), line)

    def stall(self, line: Line = "hub") -> Fault:
        """Connections stay and carry nothing; what waited goes through afterwards."""
        return self._link("stall", Stall(), line)

    def reset(self, line: Line = "hub", every_s: float | None = None) -> Fault:
        """Connections are reset once, or again and again; a hub may connect anew at once."""
        return self._link("reset", Reset(every_s), line, f"every {every_s:g} s" if every_s else "once")

    def refuse(self, line: Line = "hub") -> Fault:
        """Nobody listens any more; connections that there are go on."""
        return self._link("refuse", Refuse(), line)

    def slow(self, bytes_s: float = 100, line: Line = "hub") -> Fault:
        """At most so many bytes a second, each way."""
        return self._link("slow", Slow(bytes_s), line, f"{bytes_s:g} bytes/s")

    def lossy(self, chance: float = 0.2, line: Line = "hub", seed: int | None = None) -> Fault:
        """Each segment may break off at a random byte, and its connection with it: TCP loses no less."""
        seed = self.seed if seed is None else seed
        return self._link("lossy", Lossy(chance, seed), line, f"chance {chance:g}, seed {seed}")

    def half_open(self, gone: Literal["server", "client"] = "server", line: Line = "hub") -> Fault:
        """One end of the connections is gone and the other does not know; new ones go through."""
        return self._link("half-open", HalfOpen(gone), line, f"the {gone} is gone")

    def mute_broker(self, line: Line = "hub") -> Fault:
        """The broker accepts and never acknowledges: its PUBACKs are swallowed."""
        return self._link("mute broker", Mute(), line)

    def _link(self, name: str, fault: LinkFault, line: Line, detail: str = "") -> Fault:
        if line == "hub":
            self._need(PROXY)

        @contextmanager
        def make() -> Iterator[None]:
            proxy = self._proxy(line)
            proxy.set(fault)
            try:
                yield
            finally:
                proxy.clear(fault)

        return self._fault(name, make, ", ".join(filter(None, (f"line of the {line}", detail))))

    def _proxy(self, line: Line) -> FaultProxy:
        host = self.rig.host
        return {"hub": host.proxy, "daemon": host.daemon_line, "city": host.city_line}[line]
