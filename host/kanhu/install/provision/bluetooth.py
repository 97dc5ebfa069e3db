"""The way to a hub over the air: the one that was meant, among those that listen."""

from __future__ import annotations

from kanhu.errors import LinkDown
from kanhu.install.code import ProvisionError
from kanhu.links.gatt import Backends, Found, Pipe, look

from .wires import Came

SCAN_S = 15.0
ALIKE_DB = 10  # hubs closer to each other in strength are not told apart by it


class BleWire:
    """which: an address, the beginning of an id, or "": the one that hub_id names, else the nearest."""

    def __init__(self, which: str = "", hub_id: str | None = None, backends: Backends | None = None) -> None:
        self.name = "Bluetooth"
        self._which, self._hub_id, self._backends = which.strip().lower(), hub_id, backends
        self._pipe: Pipe | None = None

    async def open(self, came: Came) -> None:
        """ProvisionError says why not, with its cure."""
        try:
            # Without a name all have to be heard before it is clear which one is nearest.
            wanted = self._which or self._hub_id
            found = await look(
                SCAN_S if wanted else SCAN_S / 2,
                lambda hubs: bool(wanted) and any(self._is_it(one) for one in hubs),
                self._backends,
            )
            one = self._choose(found)
            self.name = f"Bluetooth, {one.hub or one.device.address}"
            self._pipe = Pipe(one.device, came, lambda: came(b""), self._backends)
            await self._pipe.open()
        except LinkDown as error:
            raise ProvisionError(str(error)) from None

    def _is_it(self, one: Found) -> bool:
        if self._which:
            return one.device.address.lower() == self._which or (
                one.hub.startswith(self._which) or (len(one.hub) > 1 and self._which.startswith(one.hub))
            )
        return self._hub_id is None or one.may_be(self._hub_id)

    def _choose(self, found: list[Found]) -> Found:
        fitting = [one for one in found if self._is_it(one)]
        heard = ", ".join(f"{one.hub or one.device.address} ({one.rssi} dBm)" for one in found[:5])
        if not fitting:
            wanted = self._which or self._hub_id or "a hub"
            raise ProvisionError(
                f"{wanted} is not heard over Bluetooth: stand beside it; while it reaches nobody press "
                f"its button "
                "(that is a call, too), then it listens for ten minutes"
                + (f"; heard were {heard}" if heard else "")
            )
        if len(fitting) > 1 and fitting[0].rssi - fitting[1].rssi < ALIKE_DB:
            raise ProvisionError(f"several hubs listen here: name one with --hub-id; heard were {heard}")
        return fitting[0]

    async def write(self, data: bytes) -> None:
        """ProvisionError when the connection is gone."""
        if self._pipe is None:
            raise ProvisionError(f"{self.name}: is not open")
        try:
            await self._pipe.write(data)
        except LinkDown as error:
            raise ProvisionError(str(error)) from None

    async def close(self) -> None:
        """Hang up."""
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()
