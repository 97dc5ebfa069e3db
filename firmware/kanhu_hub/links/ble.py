"""BLE link, the spare path: serial's frames over the GATT service, offered while no other link works."""

from micropython import const

from kanhu_hub.board.gatt import of
from kanhu_hub.links import LinkError
from kanhu_hub.links.serial import SerialLink

_LOOK_MS = const(1000)
_CUT_OFF_MS = const(5000)  # no other link for so long: a central is wanted
_BACK_MS = const(60000)  # another link for so long: none is, any more


class BleLink(SerialLink):
    """Connected while a central is that has said hello and answers."""

    name = "ble"

    def __init__(self, hub_id, boot, radio, clock):
        self._gatt = of(radio, hub_id)
        self._met = -1  # the connection whose hello was heard
        SerialLink.__init__(self, hub_id, boot, self._gatt, clock)

    async def send(self, lane, cls, payload):
        """Queue one frame of sealed events; LinkError when nobody is there."""
        if not self.connected(lane):
            raise LinkError("closed")
        await SerialLink.send(self, lane, cls, payload)

    def connected(self, lane):
        """Whether a host is there, as far as it has answered."""
        here = self._gatt.connected() and self._met == self._gatt.connections
        return here and SerialLink.connected(self, lane)

    def _take(self, kind, body):
        heard = self.greetings
        SerialLink._take(self, kind, body)
        if self.greetings != heard:
            self._met = self._gatt.connections

    async def run(self, way, courier, downlink):
        """Offer it while it is needed, for ever."""
        last_ms = cut_off_ms = back_ms = 0
        wanted = False
        while True:
            others = [one for one in courier.ways if one is not way and one.met and one.link.connected(0)]
            cut_off_ms, back_ms = (0, back_ms + _LOOK_MS) if others else (cut_off_ms + _LOOK_MS, 0)
            if cut_off_ms >= _CUT_OFF_MS:
                wanted = True
            elif back_ms >= _BACK_MS:
                wanted = False
            self._gatt.want(self.name, wanted)
            if downlink.heard_ms not in (None, last_ms) and self.connected(0):
                last_ms = downlink.heard_ms
                self._gatt.used()
            await self._clock.sleep_ms(_LOOK_MS)
