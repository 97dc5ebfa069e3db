"""The host's side of sealing, and links that tests connect, cut and hold up."""

from kanhu_hub.ccm import Ccm
from kanhu_hub.links import LinkError
from kanhu_protocol import cbor, down, events, seal

HUB = "hub0000001"
KEY = b"0123456789abcdef"
AEAD = Ccm(KEY)


class Host:
    """Opens what a hub sends and seals what it should hear."""

    def __init__(self, boot=1):
        self.boot = boot
        self.epoch = 1000
        self.counter = 0

    def down(self, kind, fields):
        self.counter += 1
        plain = down.encode(kind, fields)
        return seal.seal(AEAD, 1, HUB, seal.DOWN, self.boot, self.epoch, self.counter, plain)

    def open(self, payload):
        """[((boot, seq), event)] of a CBOR sequence."""
        found = []
        for raw in cbor.split_sequence(payload):
            message = seal.parse(raw)
            found.append(((message.a, message.b), events.decode(message.open(AEAD, HUB, seal.UP))))
        return found


class Link:
    """A link in the test's hands."""

    def __init__(self, name, up=True):
        self.name = name
        self.up = up
        self.sent = []  # (lane, cls, payload)
        self.fail_next = 0
        self.hurries = 0
        self.opened = 0

    async def open(self):
        self.opened += 1

    async def send(self, lane, cls, payload):
        if self.fail_next:
            self.fail_next -= 1
            raise LinkError("lost")
        if not self.up:
            raise LinkError("closed")
        self.sent.append((lane, cls, payload))

    async def receive(self):
        import asyncio

        while True:
            await asyncio.sleep_ms(1000)

    async def close(self):
        self.up = False

    def connected(self, lane):
        return self.up

    def refused(self):
        """Packets refused."""
        return 0

    def hurry(self):
        self.hurries += 1

    def rssi(self):
        return -50
