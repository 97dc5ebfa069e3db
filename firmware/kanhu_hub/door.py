"""A way in for commissioning: frames on a stream, and Improv beside them where that is the console."""

import micropython
from micropython import const

from kanhu_protocol import VERSION, cbor, frame

SERIAL, BLE = 1, 2  # DETAIL of provisioned

_WRONG = const(10)  # messages that do not fit the code
_OPEN = const(33)  # key of the hello: docs/commissioning.md
_SCANNED = const(20)  # networks told
_ROOM = const(400)  # bytes of them in one message, which has at most 512


class Door:
    """owner: requests.Requests; stream: its `tap` is shown what comes, write(bytes) answers."""

    used = None  # called when what came was authentic

    def __init__(self, owner, stream, detail):
        self._owner = owner
        self.stream = stream
        self.detail = detail
        self._decoder = frame.Decoder()
        self.wrong = 0
        self.shut = False
        self.improv = None
        stream.tap = self.feed

    def feed(self, data):
        """What has come, whoever else reads it."""
        try:
            self._feed(data)
        except Exception as error:  # who reads has others to read for
            print("commissioning", repr(error))

    def _feed(self, data):
        if self.improv and (b"\x03" in data if self.shut else self.improv.feed(data, self._owner.now())):
            micropython.kbd_intr(3)
            raise KeyboardInterrupt
        if self.shut:
            return
        for kind, body in self._decoder.feed(data):
            if kind == frame.HELLO:
                self.hello()
            elif kind == frame.COMMISSION_DOWN and self._owner.aead:
                fits = self._owner.take(self, body)
                if fits and self.used:
                    self.used()
                elif fits is False:
                    self.wrong += 1
                    self.shut = self.wrong >= _WRONG

    def hello(self):
        """Say whose hub this is, and that it can be talked to."""
        owner = self._owner
        if owner.aead:
            hello = {0: VERSION, 1: owner.hub_id, 2: owner.boot, _OPEN: 1}
            self.stream.write(frame.encode(frame.HELLO, cbor.dumps(hello)))

    def say(self, message):
        """A map, sealed."""
        self.stream.write(frame.encode(frame.COMMISSION_UP, self._owner.sealed(message)))

    def tell(self, step, ok, **more):
        """A step of the trial."""
        message = {name: value for name, value in more.items() if value is not None}
        message.update({"is": "step", "step": step, "ok": ok})
        self.say(message)

    def tried(self, works):
        """The trial is over: its steps have said how."""

    def found(self, networks):
        """Answer to scan, in as many messages as it takes."""
        rows = [list(row) for row in networks[:_SCANNED]]
        while True:
            part, size = [], 0
            while rows and size < _ROOM:
                size += len(cbor.dumps(rows[0]))  # at most 38
                part.append(rows.pop(0))
            self.say({"is": "scan", "networks": part, "last": not rows})
            if not rows:
                return
