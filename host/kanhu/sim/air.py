"""The radio around the bench: what is advertised reaches every scanner that happens to listen."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from kanhu.sim.sensors import Advert

if TYPE_CHECKING:
    from kanhu.sim.gatt import Link


class Air:
    """All advertisements of one bench. Lives in the bench's loop."""

    def __init__(self) -> None:
        self._scanners: set[Scanner] = set()
        self._link: Link | None = None
        self.sent = 0

    def link(self) -> Link:
        """Bumble's link for connectable peripherals; made when first wanted: Bumble takes 0.8 s to load."""
        if self._link is None:
            from kanhu.sim.gatt import Link

            self._link = Link(self.transmit)
        return self._link

    def join(self, scanner: Scanner) -> None:
        self._scanners.add(scanner)

    def leave(self, scanner: Scanner) -> None:
        self._scanners.discard(scanner)

    def transmit(self, advert: Advert) -> None:
        self.sent += 1
        for scanner in list(self._scanners):
            scanner.hear(advert)


class Scanner:
    """One radio's scan: hears an advertisement with the chance that its window was open."""

    def __init__(self, interval_us: int, window_us: int, on_advert: Callable[[Advert], None]) -> None:
        self._duty = window_us / interval_us
        self._on_advert = on_advert
        self.missed = 0

    def hear(self, advert: Advert) -> None:
        if random.random() < self._duty:
            self._on_advert(advert)
        else:
            self.missed += 1
