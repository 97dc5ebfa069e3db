"""Down messages: opened, checked against replay, and done."""

from kanhu_hub.clock import HOST
from kanhu_protocol import down, seal
from kanhu_protocol import kinds as k

UNKNOWN, MALFORMED, NOT_SAVED = 1, 2, 3  # DETAIL of command.refused


class Downlink:
    """take(bytes) for every message of every link; `refused` is [forged, replayed, malformed]."""

    def __init__(self, aead, generation, hub_id, recorder, outbox, alarms, devices, clock):
        self._aead = aead
        self._generation = generation
        self._hub_id = hub_id
        self._recorder = recorder
        self._outbox = outbox
        self._alarms = alarms
        self._devices = devices
        self._clock = clock
        self.last = None  # (epoch, counter) last opened
        self.refused = [0, 0, 0]
        self.heard_ms = None  # when a host last proved to be there
        self.on_receipt = None
        self.on_stale = None  # called for what was sealed for an earlier boot
        # (fields) of ASK and later types: 0, DETAIL of command.refused, or None where nothing is answered.
        self.on_order = None
        self._asked = []  # numbers of the last ones: a command comes again until its answer arrives

    def take(self, data):
        """Handle one sealed message, whatever it is made of."""
        try:
            message = seal.parse(data, seal.MAX_DOWN)
        except seal.SealError:
            self.refused[2] += 1
            return
        try:
            if message.generation != self._generation:
                raise ValueError
            plain = message.open(self._aead, self._hub_id, seal.DOWN)
        except ValueError:
            self.refused[0] += 1
            return
        if message.a != self._recorder.boot or (self.last and (message.b, message.c) <= self.last):
            self.refused[1] += 1
            if message.a < self._recorder.boot and self.on_stale:
                self.on_stale()
            return
        self.last = (message.b, message.c)
        self.heard_ms = self._clock.now_ms()
        try:
            fields = down.decode(plain)
        except down.DownError as error:
            self.refused[2] += 1
            number = error.args[1] if len(error.args) > 1 else None
            if number:
                self._refuse(number, UNKNOWN if error.args[0] == "type" else MALFORMED)
            return
        self._do(fields[k.TYPE], fields)

    def _do(self, kind, fields):
        upto, single = fields.get(k.UPTO, ()), fields.get(k.SINGLE, ())
        if kind == k.STORED:
            self._alarms.receipt(2, upto, single)
            self._outbox.stored(upto, single)
            if self.on_receipt:
                self.on_receipt()
            return
        if kind == k.DELIVERED:
            self._alarms.receipt(3, upto, single)
            return
        number = fields.get(k.NUMBER)
        done = {k.COMMAND: number}
        good = True
        why = NOT_SAVED
        if kind == k.ALARM_IS:
            name, state = tuple(fields[k.ALARM_NAME]), fields[k.ALARM_STATE]
            good = self._alarms.person_says(name, state)
            done[k.ALARM] = name
            done[k.STATE] = state
        elif kind == k.TIME:
            if self._clock.set(fields[k.TIME_MS], HOST):
                self._recorder.record(k.CLOCK_SET, {})
                return
        elif kind == k.REQUEST_MISSING:
            from kanhu_hub import losses  # rarely needed

            good = losses.say_again(fields[k.RANGES], self._outbox, self._recorder)
            if self.on_receipt:
                self.on_receipt()
        elif kind == k.DEVICES:
            good = self._devices.replace(fields[k.VERSION_OF], fields[k.TABLE], fields.get(k.ZONE_S))
        elif kind >= k.ASK and number not in self._asked:
            why = self.on_order(fields) if self.on_order else UNKNOWN
            if why is None:
                return
            good = not why
            if good:
                self._asked = self._asked[-15:] + [number]
        if good:
            self._recorder.record(k.COMMAND_DONE, done)
        else:
            self._refuse(number, why)

    def _refuse(self, number, detail):
        self._recorder.record(k.COMMAND_REFUSED, {k.COMMAND: number, k.DETAIL: detail})
