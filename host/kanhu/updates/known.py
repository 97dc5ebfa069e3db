"""What each hub runs, as it last said itself."""

from __future__ import annotations

from typing import NamedTuple

from kanhu.journal import Batch, Event, Journal
from kanhu_protocol import kinds as k

_KEEP = "INSERT OR REPLACE INTO firmware VALUES (?,?,?,?,?,?)"
SLOT_A = (1, 1)  # a boot event without SLOT


class Firmware(NamedTuple):
    """A version, its slots (running, permanent), and the identity (boot, seq) of what said so."""

    version: str
    slots: tuple[int, int]
    said: tuple[int, int]


class Running:
    """Of all hubs of one journal, in the thread of its loop."""

    def __init__(self, journal: Journal) -> None:
        self._known: dict[str, Firmware] = {}
        for hub, version, slots, boot, seq in journal.reader.rows(
            "SELECT hub, version, slots, boot, seq FROM firmware"
        ):
            running, permanent = (int(one) for one in slots.split())
            self._known[hub] = Firmware(version, (running, permanent), (boot, seq))

    def version(self, hub: str) -> str | None:
        """None: it has not said it yet."""
        known = self._known.get(hub)
        return None if known is None else known.version

    def forget(self, hub: str) -> None:
        """A hub is being erased."""
        self._known.pop(hub, None)

    def note(self, batch: Batch, event: Event) -> Firmware | None:
        """A boot event or heartbeat; what it says, unless something newer is known."""
        version = event.fields.get(k.FIRMWARE)
        if version is None:
            return None
        known, said = self._known.get(event.hub), (event.boot, event.seq)
        if known is not None and said < known.said:
            return None  # held up on its way
        slots = SLOT_A if known is None else known.slots
        if event.kind == k.BOOT:
            running, permanent = event.fields.get(k.SLOT, SLOT_A)
            slots = running, permanent
        elif known is not None and known.version == version:
            return None  # each heartbeat says it
        found = self._known[event.hub] = Firmware(version, slots, said)
        text = f"{slots[0]} {slots[1]}"
        batch.run(_KEEP, event.hub, version, text, event.boot, event.seq, event.received_ms)
        return found
